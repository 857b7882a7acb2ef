"""Wrong parameters are refused alike in the command line, a profile and a notebook run by hand."""

import json
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import jupytext
import medmnist
import pytest
import yaml
from hypothesis import HealthCheck, given, settings, strategies as st

import made_up
from helpers import InputError, catalogue, runs
from helpers.runs import parameters
from helpers.runs.checks import PATHMNIST_SIZES, make_recipe
from helpers.runs.parameters import (
    NOTEBOOKS,
    list_experiments,
    parse_overrides,
    parse_seeds,
    read_defaults,
    read_profile,
    resolve,
)
from helpers.runs.record import read_record

#: Name, value, and what the error says; the value as the command line writes it, by its repr.
WRONG = [
    ("epochs", True, "epochs: .*valid integer, not True"),
    ("epochs", 1e999, "epochs: .*valid integer, not inf"),
    ("epochs", None, "epochs: .*valid integer, not None"),
    ("backbone_lr", True, "backbone_lr: .*valid number, not True"),
    ("backbone_lr", 1e999, "backbone_lr: .*finite number, not inf"),
    ("weight_decay", -1e-9, "weight_decay: .*greater than or equal to 0"),
    ("augment_probability", -0.1, "augment_probability: .*greater than or equal to 0"),
    ("rotation_degrees", 1e999, "rotation_degrees: .*less than or equal to 180, not inf"),
    ("image_size", 8, "image_size: .*greater than or equal to 16, not 8"),
    ("corruptions", {}, "corruptions: .*at least 1 item"),
    ("corruptions", {"blr": [1.0]}, "corruptions.blr.*: .*'brightness' or 'blur', not 'blr'"),
    ("corruptions", {"blur": [0.5, 0.3, 0.5]}, r"corruptions.blur: each strength must be given"),
    ("corruptions", {"blur": [1e-50]}, "corruptions.blur.0: .*greater than or equal to 0.01"),
    ("corruptions", {"brightness": [1e9]}, "corruptions.brightness.0: .*less than or equal to 100"),
    ("corruptions", {"blur": 0.5}, "corruptions.blur: .*valid list, not 0.5"),
    ("stand_in_weights", {"imagnet": "x/y.pt"}, "stand_in_weights.imagnet.*, not 'imagnet'"),
    ("initialisation", "imagenett", "no initialisation 'imagenett'; did you mean imagenet?"),
    ("second_forward", 0, "second_forward: .*valid boolean, not 0"),
    ("epoch", 3, "no parameter 'epoch'; did you mean epochs?"),
    ("Epochs", 3, "no parameter 'Epochs'; did you mean epochs?"),
]


@pytest.mark.parametrize(("name", "value", "message"), WRONG)
def test_the_command_line_refuses(name, value, message):
    text = repr(value).replace("inf", "1e999")
    with pytest.raises(InputError, match=message):
        resolve("pathmnist_basic", "smoke", 0, parse_overrides([f"{name}={text}"]))


@pytest.fixture
def profile(tmp_path, monkeypatch):
    monkeypatch.setattr(parameters, "PROFILES", tmp_path)
    return tmp_path / "mine.yaml"


@pytest.mark.parametrize(("name", "value", "message"), WRONG)
def test_a_profile_refuses(name, value, message, profile):
    profile.write_text(yaml.safe_dump({name: value}))
    with pytest.raises(InputError, match=message):
        resolve("pathmnist_basic", "mine", 0, {})


@pytest.mark.parametrize(("name", "value", "message"), WRONG)
def test_a_notebook_refuses(name, value, message):
    """As papermill starts it: with the parameters' cell run, and its own below that."""
    injected = f"# Parameters\n{name} = {value!r}\n"
    space = read_defaults("pathmnist_basic") | {name: value, "In": ["", "seed = 0", injected]}
    with pytest.raises(InputError, match=message):
        runs.begin("pathmnist_basic", space)


def test_a_notebook_takes_all_that_is_no_parameter_but_was_not_injected():
    space = read_defaults("pathmnist_basic") | {"mine": 3, "In": ["", "mine = 3", "# Parameters?"]}
    assert runs.begin("pathmnist_basic", space).recipe.epochs == 80
    space["In"].append("# Parameters\nseed = 3\npretraining_epochs = 4\n")  # another notebook's
    assert runs.begin("pathmnist_basic", space).recipe.epochs == 80


def test_a_notebook_does_not_replace_a_run_by_another_recipe(tmp_path):
    space = read_defaults("pathmnist_basic") | {"results": str(tmp_path)}
    record = made_up.write_run(tmp_path, "smoke", "pathmnist_basic", 0)
    with pytest.raises(InputError, match="results: .*seed-0 holds a run by another recipe; give"):
        runs.begin("pathmnist_basic", space)
    assert runs.begin("pathmnist_basic", space | {"seed": 1})
    (record.folder / "run.json").write_bytes(b"damaged")
    assert runs.begin("pathmnist_basic", space)


def test_a_run_by_hand_does_not_take_the_place_of_a_record_that_came_meanwhile(tmp_path):
    values = read_defaults("pathmnist_basic") | {"results": str(tmp_path)}
    run = runs.begin("pathmnist_basic", values)
    other = made_up.write_run(tmp_path, "made_up", "pathmnist_basic", 0)
    model = SimpleNamespace(machine={}, peak_gpu_memory_bytes=None)
    with pytest.raises(InputError, match="holds a run by another recipe"):
        run._write(model, {}, {})
    assert read_record(other.folder).run == other.run


def test_a_name_mistyped_in_the_notebook_is_refused():
    values = read_defaults("pathmnist_basic")
    cell = "seed = 0\nepoch = 3  # of training"
    with pytest.raises(InputError, match="no parameter 'epoch'; did you mean epochs"):
        runs.begin("pathmnist_basic", values | {"In": ["", "import os", cell]})


@pytest.mark.parametrize("text", ["epochs = 1", "# %% tags=['parameters']\nepochs = 6 * 10"])
def test_a_notebook_without_a_plain_cell_of_parameters_is_named(tmp_path, monkeypatch, text):
    monkeypatch.setattr(parameters, "NOTEBOOKS", tmp_path)
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(InputError, match="mine.py needs a cell tagged parameters"):
        read_defaults("mine")


def test_a_notebook_s_name_is_plain(tmp_path, monkeypatch):
    monkeypatch.setattr(parameters, "NOTEBOOKS", tmp_path)
    (tmp_path / "a <b>.py").touch()
    with pytest.raises(InputError, match="letters, digits, _ and - is needed"):
        parameters.list_experiments()


def test_results_may_lie_at_home():
    values = read_defaults("pathmnist_basic") | {"results": "~/mine"}
    assert make_recipe("pathmnist_basic", values).results == str(Path.home() / "mine")


def test_papermill_by_hand_stops_at_an_unknown_name(tmp_path):
    jupytext.write(jupytext.read(NOTEBOOKS / "pathmnist_basic.py"), tmp_path / "basic.ipynb")
    words = ["basic.ipynb", "out.ipynb", "-p", "epoch", "3", "-p", "data_source", "synthetic"]
    command = [sys.executable, "-m", "papermill", *words, "--no-progress-bar"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "InputError: there is no parameter 'epoch'; did you mean epochs?" in done.stderr
    cells = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    (place,) = (i for i, cell in enumerate(cells) if "runs.begin" in "".join(cell["source"]))
    assert not any(cell.get("execution_count") for cell in cells[place + 1 :])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    "name",
    [name for name, value in read_defaults("pathmnist_basic").items() if isinstance(value, float)],
)
def test_no_number_is_nan_or_infinite(name, value):
    with pytest.raises(InputError, match=f"{name}: .*, not -?(nan|inf)"):
        make_recipe("pathmnist_basic", read_defaults("pathmnist_basic") | {name: value})
    corruptions = {"corruptions": {"blur": [value]}}
    with pytest.raises(InputError, match="corruptions.blur.0: "):
        make_recipe("pathmnist_basic", read_defaults("pathmnist_basic") | corruptions)


def test_the_name_of_a_notebook_begins_with_that_of_its_data_set():
    values = read_defaults("pathmnist_basic")
    assert make_recipe("pathmnist_again", values)
    with pytest.raises(InputError, match="fog_basic: the name of a notebook begins with that of"):
        make_recipe("fog_basic", values)


def test_a_data_set_whose_name_begins_with_another_s_is_found(monkeypatch):
    monkeypatch.setitem(catalogue.DATASETS, "pets_at_night", catalogue.DATASETS["pets"])
    assert catalogue.find_dataset("pets_at_night_scratch") == "pets_at_night"
    assert catalogue.find_dataset("pets_scratch") == "pets"
    assert catalogue.find_dataset("petsy_scratch") is None


def test_values_that_do_not_go_together_are_refused():
    with pytest.raises(InputError, match="image_size: PathMNIST has 28, 64, 128, 224 pixels, not"):
        resolve("pathmnist_basic", "paper", 0, {"image_size": 32})
    assert resolve("pathmnist_basic", "smoke", 0, {"image_size": 32}).image_size == 32
    assert resolve("pets_scratch", "paper", 0, {"image_size": 32}).image_size == 32
    other = {"dataset": "pathmnist", "image_size": 32}
    with pytest.raises(InputError, match="image_size: PathMNIST has"):
        resolve("pretrain_barlow_twins", "paper", 0, other)
    with pytest.raises(InputError, match="no published barlow_twins weights of a resnet18; take"):
        resolve("pets_barlow_twins", "paper", 0, {"network": "resnet18"})
    start = {"network": "resnet18", "initialisation": "weights.pt"}
    assert resolve("pets_barlow_twins", "paper", 0, start).start == "weights.pt"


def test_the_sizes_are_those_of_the_package():
    assert tuple(medmnist.PathMNIST.available_sizes) == PATHMNIST_SIZES


@pytest.mark.parametrize("text", ["0-4294967295", "5,0-10000"])
def test_too_many_seeds_are_refused_before_they_fill_the_memory(text):
    tracemalloc.start()
    with pytest.raises(InputError, match="seeds: .* names too many"):
        parse_seeds(text)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_seed_must_fit_a_generator():
    assert parse_seeds("0-9999")[-1] == 9999
    (seed,) = parse_seeds(str(2**32))
    with pytest.raises(InputError, match="seed: .*less than 4294967296, not 4294967296"):
        resolve("pathmnist_basic", "smoke", seed, {})
    with pytest.raises(InputError, match="no seed or range"):
        parse_seeds("1" * 5000)


def test_a_parameter_given_twice_is_refused():
    with pytest.raises(InputError, match="-p epochs=4: epochs is given twice"):
        parse_overrides(["epochs=3", "epochs=4"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 3\nbatch_size: 8\nepochs: 4", "epochs stands twice .*line 3"),
        ("corruptions: {blur: [1.0], blur: [2.0]}", "blur stands twice"),
        ("a: &a [1]\nb: *a", "write out what .*line 2"),
        ("a: &a {b: *a}", "write out what"),
        ("epochs: !!python/object/apply:os.getpid []", "could not determine a constructor"),
        ("epochs: !!int x", "is no YAML"),
        ("? [1, 2]\n: 3", "is no YAML"),
        ("1: 2", "no parameter '1'"),
        ("[" * 100_000, "is no YAML: maximum recursion"),
        ("---\nepochs: 3\n---\nepochs: 4", "is no YAML: expected a single document"),
        ("epochs: \0", "is no YAML"),
    ],
)
def test_yaml_that_no_profile_needs_is_refused(text, message, profile):
    profile.write_text(text)
    with pytest.raises(InputError, match=message) as refused:
        read_profile("mine")
    assert "\n" not in str(refused.value)


def test_a_line_cannot_stand_for_gigabytes(profile):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    for first, then in zip("abcdefghi", "bcdefghij", strict=True):
        lines.append(f"{then}: &{then} [{', '.join([f'*{first}'] * 10)}]")
    profile.write_text("\n".join(lines))
    with pytest.raises(InputError, match="mine.yaml is no YAML: write out what"):
        read_profile("mine")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(list_experiments()),
    st.dictionaries(
        st.sampled_from(sorted(read_defaults("pathmnist_basic"))) | st.text(), VALUES, max_size=3
    ),
)
def test_any_values_make_a_recipe_or_one_line(experiment, values):
    values.pop("seed", None)
    try:
        recipe = resolve(experiment, "smoke", 0, values)
    except InputError as error:
        message = str(error)
    else:
        message = ""
        assert re.fullmatch("[0-9a-f]{12}", recipe.identity)
        assert recipe == make_recipe(experiment, recipe.model_dump(mode="json"))
    assert "\n" not in message


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.text().map(lambda text: text.encode("utf-8", "replace")) | st.binary(max_size=200)
)
def test_any_profile_is_read_or_refused_in_one_line(profile, content):
    profile.write_bytes(content)
    try:
        read = read_profile("mine")
    except InputError as error:
        message, read = str(error), {}
    else:
        message = ""
    assert "\n" not in message
    assert read == {}  # no random text is a parameter
