"""Any value for any parameter is taken as it stands or refused in one line; nothing else."""

import json
import math

import pytest
import yaml
from hypothesis import given, settings, strategies as st

from helpers import InputError
from helpers.runs import parameters
from helpers.runs.checks import make_recipe
from helpers.runs.parameters import (
    list_experiments,
    parse_overrides,
    parse_seeds,
    read_defaults,
    read_profile,
    resolve,
)
from helpers.runs.plan import plan
from helpers.runs.recipe import MODELS, ExperimentRecipe

few = settings(max_examples=150, deadline=None, derandomize=True)

DEFAULTS = {name: read_defaults(name) | {"seed": 0} for name in list_experiments()}
NAMES = sorted(
    {name for model in (ExperimentRecipe, *MODELS.values()) for name in model.model_fields}
)

#: What YAML, a Python literal or a notebook can hold, and more.
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=5)
WORDS = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=9)
ANYTHING = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(WORDS | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


def attempt(function, *arguments):
    """What a function returns, or None and the message where it refuses: one line."""
    try:
        return function(*arguments), ""
    except InputError as error:
        message = str(error)
    assert message
    assert message.isprintable()
    assert len(message) < 2000
    return None, message


def likely(draw, name: str):
    """A value near those that a parameter takes, or anything at all."""
    near = {
        "corruptions": st.dictionaries(
            st.sampled_from(["brightness", "blur", "snow"]), st.lists(st.floats(), max_size=3)
        ),
        "initialisation": st.sampled_from(["random", "imagenet", "", "a/b.pt"]),
        "switches": st.lists(st.dictionaries(st.sampled_from(["experiment", *NAMES]), PLAIN)),
    }
    numbers = st.integers(-1, 5) | st.sampled_from([1e-9, 1.5, 2**32, 10**400, math.inf, math.nan])
    return draw(near.get(name, numbers) | ANYTHING)


@few
@given(st.data(), st.sampled_from(sorted(DEFAULTS)))
def test_a_recipe_is_made_or_refused_in_a_line_that_names_the_parameter(data, experiment):
    changed = data.draw(st.lists(st.sampled_from(sorted(DEFAULTS[experiment])), max_size=2))
    values = DEFAULTS[experiment] | {name: likely(data.draw, name) for name in changed}
    recipe, message = attempt(make_recipe, experiment, values)
    if recipe is None:
        assert any(name in message for name in changed)
        return
    # What is taken is kept: the record's JSON gives the same recipe, and the same hash.
    stored = json.loads(json.dumps(recipe.model_dump(mode="json"), allow_nan=False))
    again = make_recipe(experiment, stored)
    assert again == recipe
    assert again.identity == recipe.identity
    for name in changed:
        assert type(getattr(recipe, name)) is type(values[name]) or isinstance(values[name], int)


@few
@given(st.sampled_from(sorted(DEFAULTS)), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_the_hash_knows_every_parameter_but_the_seed_and_the_places(experiment, one, other):
    recipes = [
        make_recipe(experiment, DEFAULTS[experiment] | {"seed": seed, "results": f"r{seed}"})
        for seed in (one, other)
    ]
    assert recipes[0].identity == recipes[1].identity
    if "weight_decay" in DEFAULTS[experiment]:
        changed = DEFAULTS[experiment] | {"weight_decay": one + 1.5}
        assert make_recipe(experiment, changed).identity != recipes[0].identity


@few
@given(st.sampled_from(NAMES), st.data())
def test_a_misspelt_parameter_is_refused_and_the_nearest_one_named(name, data):
    place = data.draw(st.integers(0, len(name) - 1))
    misspelt = name[:place] + name[place + 1 :]  # a letter too few
    if misspelt in NAMES or len(name) < 4:
        return
    _, message = attempt(plan, "smoke", [0], "*", {misspelt: 1})
    start, meant = message.rstrip("?").split("; did you mean ")
    assert start == f"there is no parameter '{misspelt}'"
    assert meant in NAMES
    assert meant[:2] == name[:2] or meant == name


@few
@given(st.dictionaries(WORDS, ANYTHING, min_size=1, max_size=3))
def test_any_overrides_are_planned_or_refused_in_one_line(overrides):
    jobs, _ = attempt(plan, "smoke", [0], "pathmnist_basic", overrides)
    assert jobs is None or len(jobs) == 1


@few
@given(st.lists(WORDS))
def test_any_assignments_are_parsed_or_refused_in_one_line(assignments):
    values, _ = attempt(parse_overrides, assignments)
    assert values is None or len(values) <= len(assignments)


@pytest.mark.parametrize("depth", [90, 300, 5_000, 50_000])
def test_a_deep_assignment_is_a_word_or_a_list(depth):
    assert isinstance(
        parse_overrides(["switches=" + "[" * depth + "]" * depth])["switches"], str | list
    )


def test_more_seeds_than_anybody_wants_are_refused():
    assert len(parse_seeds("1-10000")) == 10_000
    assert attempt(parse_seeds, "0-10000")[0] is None
    assert attempt(parse_seeds, "0-99999999999")[0] is None


@few
@given(st.text(st.characters(codec="utf-8")) | st.from_regex(r"[0-9,\- ]{1,12}", fullmatch=True))
def test_any_seeds_are_parsed_or_refused_in_one_line(text):
    seeds, _ = attempt(parse_seeds, text)
    if seeds is not None:
        assert seeds == sorted(set(seeds))
        assert parse_seeds(",".join(map(str, seeds))) == seeds


@few
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), min_size=1, max_size=5))
def test_seeds_are_those_of_all_ranges(ranges):
    text = ",".join(f"{first}-{first + more}" for first, more in ranges)
    expected = sorted({n for first, more in ranges for n in range(first, first + more + 1)})
    assert parse_seeds(text) == expected


@pytest.fixture
def profile(tmp_path, monkeypatch):
    monkeypatch.setattr(parameters, "PROFILES", tmp_path)
    return tmp_path / "mine.yaml"


HOSTILE = {
    "code": b"!!python/object/apply:os.system ['touch {marker}']",
    "code in a value": b"epochs: !!python/object/new:os.system ['touch {marker}']",
    "module": b"epochs: !!python/module:antigravity",
    "no YAML": b"epochs: [1, 2",
    "tab": b"epochs:\n\t- 1",
    "no text": b"\xff\xfe\x00\x01",
    "nul": b"epochs: \x00",
    "a list": b"- epochs",
    "a number": b"7",
    "number as a name": b"7: 1",
    "list as a name": b"[a, b]: 1",
    "an alias": b"epochs: &a 3\nbatch_size: *a",
    "two documents": b"epochs: 1\n---\nepochs: 2",
    "unknown anchor": b"epochs: *none",
    "a date": b"epochs: 2024-13-45",
    "deep": b"epochs: " + b"[" * 3000 + b"]" * 3000,
    "deep and open": b"[" * 20_000,
    "grows": b"a0: &a0 [x, x]\n"
    + b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 60)),
    "grows in a known one": b"switches:\n- &a0 {experiment: [x, x]}\n"
    + b"".join(b"- &a%d {experiment: [*a%d, *a%d]}\n" % (n, n - 1, n - 1) for n in range(1, 60)),
    "own loop": b"switches: &loop [*loop]",
    "own loop in a dict": b"corruptions: &loop {blur: *loop}",
    "long number": b"epochs: " + b"9" * 10_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_profile_is_refused_in_one_line(profile, tmp_path, name):
    marker = tmp_path / "touched"
    profile.write_bytes(HOSTILE[name].replace(b"{marker}", bytes(marker)))
    experiment = "ablation_pets" if b"switches" in HOSTILE[name] else "pathmnist_basic"
    recipe, message = attempt(resolve, experiment, "mine", 0, {})
    assert recipe is None
    assert message
    assert not marker.exists()


@few
@given(content=st.binary(max_size=60) | st.text("ab:-[]{}&*!|>'\"#% \n\t0", max_size=40))
def test_any_profile_is_read_or_refused_in_one_line(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("profiles")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parameters, "PROFILES", folder)
        content = content if isinstance(content, bytes) else content.encode()
        (folder / "mine.yaml").write_bytes(content)
        values, _ = attempt(read_profile, "mine")
    assert not values or values.keys() <= set(NAMES)


@few
@given(st.dictionaries(st.sampled_from(["epochs", "batch_size"]), st.integers(2, 9**9)))
def test_a_profile_gives_what_it_says(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("profiles")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parameters, "PROFILES", folder)
        (folder / "mine.yaml").write_text(yaml.safe_dump(values))
        recipe = resolve("pathmnist_basic", "mine", 0, {})
    assert recipe.model_dump(include=values.keys()) == values
