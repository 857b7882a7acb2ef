"""Parameters through every door: notebooks, profiles, command line, variants, papermill by hand."""

import ast

import jupytext
import papermill
import pytest
from hypothesis import given, settings, strategies as st

from helpers import InputError
from helpers.runs import config
from helpers.runs.config import (
    NOTEBOOKS,
    Config,
    list_experiments,
    list_profiles,
    make_config,
    parse_overrides,
    parse_seeds,
    read_defaults,
    read_profile,
    read_title,
    read_variants,
    resolve,
)

EXPERIMENTS = list_experiments()
VALUES = read_defaults("pathmnist_basic")
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
ANY = st.recursive(
    PLAIN, lambda x: st.lists(x) | st.dictionaries(st.text(max_size=8), x), max_leaves=4
)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_notebooks_show_every_parameter_are_short_and_define_nothing(name, tmp_path):
    defaults = read_defaults(name)
    # A batch adds the variant where it is set.
    assert set(defaults) == set(Config.model_fields) - {"variant"}
    assert resolve(name, "paper", 0, {}).model_dump(exclude={"variant"}) == defaults
    notebook = jupytext.read(NOTEBOOKS / f"{name}.py")
    jupytext.write(notebook, tmp_path / "n.ipynb")
    theirs = papermill.inspect_notebook(str(tmp_path / "n.ipynb"))
    assert {key: ast.literal_eval(value["default"]) for key, value in theirs.items()} == defaults
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert sum(line.strip()[:1] not in ("", "#") for line in code.splitlines()) <= 30
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    assert not any(isinstance(node, definitions) for node in ast.walk(ast.parse(code)))


def test_notebooks_follow_the_authors_code():
    basic, mixup, pretrained = (
        resolve(f"pathmnist_{arm}", "paper", 0, {}) for arm in ("basic", "mixup", "pretrained")
    )
    assert [c.epochs for c in (basic, mixup, pretrained)] == [80, 60, 60]
    assert (basic.mixup_alpha, basic.augment_probability) == (0, 0)
    assert (mixup.mixup_alpha, mixup.augment_probability, mixup.rotation_degrees) == (0.3, 0.4, 20)
    assert (pretrained.backbone_lr, pretrained.head_lr) == (5e-5, 5e-4)
    assert (pretrained.initialisation, pretrained.batch_norm) == ("imagenet", "affine_frozen")
    assert (mixup.second_forward, pretrained.second_forward) == (True, True)
    strengths = {"brightness": [0.8, 0.9, 1.1, 1.2], "blur": [0.3, 0.5, 0.7, 0.9]}
    for arm in (basic, mixup, pretrained):
        assert (arm.batch_size, arm.weight_decay, arm.corruptions) == (256, 1e-6, strengths)
        assert (arm.network, arm.image_size, arm.data_source) == ("resnet18", 28, "official")
    assert {c.backbone_lr for c in (basic, mixup)} == {c.head_lr for c in (basic, mixup)} == {1e-3}


def test_pets_arms_share_one_configuration():
    arms = [resolve(f"pets_{a}", "paper", 0, {}) for a in ("scratch", "supervised", "barlow_twins")]
    assert [arm.epochs for arm in arms] == [120, 25, 25]
    assert [arm.initialisation for arm in arms] == ["random", "imagenet", "barlow_twins"]
    assert arms[0].corruptions["brightness"] == [0.6, 0.8, 1.2, 1.4]
    own = {"epochs", "initialisation", "backbone_lr", "head_lr"}
    assert len({arm.model_dump_json(exclude=own) for arm in arms}) == 1


def test_headings_name_data_set_and_arm():
    assert read_title("pathmnist_mixup") == ("PathMNIST", "MixUp + Aug")
    assert {read_title(name)[0] for name in EXPERIMENTS} == {"PathMNIST", "Pets"}


@pytest.mark.parametrize("profile", list_profiles())
def test_a_profile_keeps_its_records_apart_and_short_is_paper_with_ten_epochs(profile):
    assert resolve("pathmnist_basic", profile, 0, {}).results == f"results/{profile}"
    short, paper = (resolve("pathmnist_mixup", name, 0, {}).computed for name in ("short", "paper"))
    assert short == paper | {"epochs": 10}


def test_hash_covers_every_parameter_except_seed_and_places():
    first = make_config("pathmnist_basic", VALUES)
    # As computed by the version that made the first records of the study.
    assert resolve("pathmnist_basic", "short", 0, {}).hash == "13dce6c268c2"
    assert resolve("pathmnist_mixup", "short", 0, {}).hash == "7b3fbf381f23"
    same = VALUES | {"seed": 5, "results": "elsewhere", "data_dir": "there", "variant": "other"}
    assert make_config("pathmnist_basic", same).hash == first.hash
    others = {"epochs": 3, "head_lr": 0.5, "corruptions": {"blur": [1.0]}, "batch_norm": "frozen"}
    hashes = {make_config("pathmnist_basic", VALUES | {n: v}).hash for n, v in others.items()}
    assert len(hashes | {first.hash}) == len(others) + 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", 0, "epochs: .*greater than or equal to 1, not 0"),
        ("epochs", "3", "epochs: .*integer, not '3'"),
        ("head_lr", float("nan"), "head_lr: .*finite"),
        ("head_lr", "1e-3", "head_lr: .*number, not '1e-3'"),
        ("initialisation", "imagenets", "did you mean imagenet?"),
        ("initialisation", "barlow_twins", "no barlow_twins weights of a resnet18"),
        ("data_source", "offical", "give official, synthetic, or the path"),
        ("corruptions", {"blurr": [1.0]}, "corruptions.blurr"),
        ("corruptions", {"blur": [0.5, 0.5]}, "give each strength once"),
        ("corruptions", {"blur": [0.0]}, "greater than or equal to 0.01"),
        ("seed", 2**32, "seed: .*less than 4294967296"),
        ("variant", "a/b", "variant: string should match pattern"),
    ],
)
def test_bad_values_are_named(name, value, message):
    with pytest.raises(InputError, match=message) as error:
        make_config("pathmnist_basic", VALUES | {name: value})
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="a notebook's name must begin with a data set"):
        make_config("birds_basic", VALUES)


@given(values=st.dictionaries(st.sampled_from(sorted(VALUES)), ANY, max_size=3))
@settings(max_examples=150, deadline=None)
def test_any_values_make_a_config_or_one_line(values):
    try:
        made = make_config("pathmnist_basic", VALUES | values)
    except InputError as error:
        made = str(error)
    assert "\n" not in made if isinstance(made, str) else len(made.hash) == 12


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 3\nepochs: 4", "epochs is given twice"),
        ("- epochs", "must consist of 'name: value' lines"),
        ("epochs: [", "is not valid YAML"),
        ("epoch: 3", "unknown parameter 'epoch'"),
    ],
)
def test_bad_profiles_are_named(tmp_path, monkeypatch, text, message):
    monkeypatch.setattr(config, "PROFILES", tmp_path)
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_profile("mine")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("seed: int = 4", 4),
        ("seed=4", 4),
        ("epochs = seed = 4", 4),
        ("seed = (4, 5)", (4, 5)),
        ("seed = -4", -4),
        ("%time seed = 4", "'%time seed = 4' is not 'name = value'"),
        ("seed = 2 * 2", "'seed = 2 \\* 2' is not 'name = value'"),
        ("seed, x = 4, 5", "is not 'name = value'"),
    ],
)
def test_own_notebooks_assign_plain_values_in_any_form(tmp_path, monkeypatch, line, result):
    monkeypatch.setattr(config, "NOTEBOOKS", tmp_path)
    (tmp_path / "pets_mine.py").write_text(f'# %% tags=["parameters"]\n{line}\n')
    if isinstance(result, str):
        with pytest.raises(InputError, match=result):
            read_defaults("pets_mine")
    else:
        assert read_defaults("pets_mine")["seed"] == result


def test_variants_change_choices_that_are_open_to_them(tmp_path, monkeypatch):
    for experiment, variants in read_variants().items():
        for name, changes in variants.items():
            made = resolve(experiment, "paper", 0, {}, name)
            assert made.computed == resolve(experiment, "paper", 0, changes).computed
            assert made.variant == name
    monkeypatch.setattr(config, "VARIANTS", tmp_path / "variants.yaml")
    for text, message in [
        ("pathmnist_basic: {a: {image_size: 64}}", "unknown parameter of variant a 'image_size'"),
        ("pathmnist_basic: {a: {lr: 1.0}}", "unknown parameter of variant a 'lr'"),
        ("pathmnist_basic: {a b: {epochs: 1}}", "variants.yaml: pathmnist_basic: a b"),
        ("pathmnist_basic: {1: {epochs: 1}}", "variants.yaml: pathmnist_basic: 1"),
        ("pathmnist_basics: {a: {epochs: 1}}", "did you mean pathmnist_basic?"),
    ]:
        (tmp_path / "variants.yaml").write_text(text)
        with pytest.raises(InputError, match=message):
            read_variants()


def test_seeds_and_overrides_are_parsed():
    assert parse_seeds("3, 0-1,1") == [0, 1, 3]
    for text in ("3-1", "x", "", "1-", "-1", "1.5", "0-2,x", "0-99999"):
        with pytest.raises(InputError, match="seeds: "):
            parse_seeds(text)
    given = ["epochs=3", "head_lr = 1e-3", "network=resnet50", "corruptions={'blur': [1.0]}"]
    expected = {"epochs": 3, "head_lr": 1e-3, "network": "resnet50", "corruptions": {"blur": [1.0]}}
    assert parse_overrides(given) == expected
    for bad in (["epochs"], ["epochs=1", "epochs=2"]):
        with pytest.raises(InputError, match="-p epochs"):
            parse_overrides(bad)
