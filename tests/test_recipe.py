import ast
import hashlib
from collections import Counter

import jupytext
import papermill
import pytest
import yaml

from helpers import InputError
from helpers.runs import parameters
from helpers.runs.parameters import (
    NOTEBOOKS,
    PROFILES,
    list_experiments,
    parse_overrides,
    parse_seeds,
    read_defaults,
    read_profile,
    resolve,
)
from helpers.runs.plan import plan
from helpers.runs.recipe import MODELS, ExperimentRecipe
from helpers.runs.record import write_record

EXPERIMENTS = list_experiments()


def test_there_are_two_pretrainings_six_experiments_and_two_ablations():
    kinds = Counter(name.split("_")[0] for name in EXPERIMENTS)
    assert kinds >= Counter(pretrain=2, pathmnist=3, pets=3, ablation=2)  # an own one may be there


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_notebook_shows_all_its_parameters(name):
    model = MODELS.get(name, ExperimentRecipe)
    defaults = read_defaults(name)
    assert set(defaults) == set(model.model_fields)
    values = {key: value for key, value in defaults.items() if key != "results"}
    assert resolve(name, "paper", 0, {}).model_dump(exclude={"results"}) == values


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_papermill_reads_the_same_parameters(name, tmp_path):
    path = tmp_path / f"{name}.ipynb"
    jupytext.write(jupytext.read(NOTEBOOKS / f"{name}.py"), path)
    theirs = papermill.inspect_notebook(str(path))
    assert {key: ast.literal_eval(value["default"]) for key, value in theirs.items()} == (
        read_defaults(name)
    )


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_notebooks_are_short_and_define_nothing(name):
    cells = jupytext.read(NOTEBOOKS / f"{name}.py").cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    lines = [line for line in code.splitlines() if line.strip() and line.strip()[0] != "#"]
    assert len(lines) <= 30
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    assert not any(isinstance(node, definitions) for node in ast.walk(ast.parse(code)))


def test_the_protocol_of_the_authors_code_is_what_the_notebooks_show():
    basic, mixup, pretrained = (
        resolve(f"pathmnist_{arm}", "paper", 0, {}) for arm in ("basic", "mixup", "pretrained")
    )
    assert [r.epochs for r in (basic, mixup, pretrained)] == [80, 60, 60]
    assert {r.batch_size for r in (basic, mixup, pretrained)} == {256}
    assert {r.weight_decay for r in (basic, mixup, pretrained)} == {1e-6}
    assert (basic.mixup_alpha, basic.augment_probability) == (0, 0)
    assert (mixup.mixup_alpha, mixup.augment_probability, mixup.rotation_degrees) == (0.3, 0.4, 20)
    assert (mixup.backbone_lr, mixup.head_lr) == (1e-3, 1e-3)
    assert (pretrained.backbone_lr, pretrained.head_lr) == (5e-5, 5e-4)
    assert (pretrained.initialisation, pretrained.batch_norm) == ("imagenet", "affine_frozen")
    assert {basic.initialisation, mixup.initialisation} == {"random"}
    assert {basic.batch_norm, mixup.batch_norm} == {"train"}
    assert (mixup.second_forward, pretrained.second_forward) == (True, True)
    assert {(r.network, r.image_size) for r in (basic, mixup, pretrained)} == {("resnet18", 28)}
    same = {"network", "image_size", "batch_size", "weight_decay", "corruptions", "data_source"}
    assert basic.model_dump(include=same) == mixup.model_dump(include=same)
    names = ("mixup_alpha", "augment_probability", "rotation_degrees", "corruptions")
    for name in names:
        assert getattr(mixup, name) == getattr(pretrained, name)
    assert (basic.backbone_lr, basic.head_lr) == (1e-3, 1e-3)
    strengths = {"brightness": [0.8, 0.9, 1.1, 1.2], "blur": [0.3, 0.5, 0.7, 0.9]}
    assert mixup.corruptions == strengths


def test_the_pets_arms_share_one_configuration():
    arms = [resolve(f"pets_{arm}", "paper", 0, {}) for arm in ("scratch", "supervised")]
    arms.append(resolve("pets_barlow_twins", "paper", 0, {}))
    assert [arm.epochs for arm in arms] == [120, 25, 25]
    assert [arm.initialisation for arm in arms] == ["random", "imagenet", "barlow_twins"]
    blur = {"blur": [0.3, 0.5, 0.7, 0.9]}
    assert arms[0].corruptions == blur | {"brightness": [0.6, 0.8, 1.2, 1.4]}
    assert all(arm.backbone_lr == arm.head_lr / 10 for arm in arms[1:])
    own = {"epochs", "initialisation", "backbone_lr", "head_lr"}
    assert len({arm.model_dump_json(exclude=own) for arm in arms}) == 1


@pytest.mark.parametrize(
    ("text", "seeds"), [("0-2", [0, 1, 2]), ("7", [7]), ("3, 0-1,1", [0, 1, 3])]
)
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["3-1", "x", "", "1-", "-1", "1.5", "0-2,x"])
def test_bad_seeds_are_named(text):
    with pytest.raises(InputError, match="seeds: .* is no seed or range; write 0-2"):
        parse_seeds(text)


def test_overrides_are_python_values_or_words():
    assert parse_overrides(["epochs=3", "head_lr=1e-3", "network=resnet50"]) == {
        "epochs": 3,
        "head_lr": 1e-3,
        "network": "resnet50",
    }
    assert parse_overrides(["corruptions={'blur': [1]}"]) == {"corruptions": {"blur": [1]}}
    with pytest.raises(InputError, match="write name=value"):
        parse_overrides(["epochs"])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", 0, "epochs: .*greater than or equal to 1, not 0"),
        ("epochs", 2.5, "epochs: .*valid integer, not 2.5"),
        ("backbone_lr", "1e-3", "backbone_lr: .*valid number, not '1e-3'"),
        ("backbone_lr", float("nan"), "backbone_lr: "),
        ("corruptions", {"brightness": [-1.0]}, r"corruptions.brightness.0: .*equal to 0.01"),
        ("corruptions", {"snow": [1.0]}, "corruptions.snow"),
        ("corruptions", {"blur": []}, "corruptions.blur: .*at least 1"),
        ("network", "resnet19", "network: .*'resnet18' or 'resnet50', not 'resnet19'"),
        (
            "batch_norm",
            "freeze",
            "batch_norm: .*'train', 'frozen' or 'affine_frozen', not 'freeze'",
        ),
        ("second_forward", 1, "second_forward: .*valid boolean, not 1"),
        ("augment_probability", 1.5, "augment_probability: .*less than or equal to 1"),
        ("epoch", 3, "no parameter 'epoch'; did you mean epochs?"),
    ],
)
def test_bad_parameters_are_named(name, value, message):
    with pytest.raises(InputError, match=message):
        resolve("pathmnist_basic", "smoke", 0, {name: value})


def test_unknown_names_get_the_nearest():
    with pytest.raises(InputError, match="no profile 'smoek'; did you mean smoke?"):
        resolve("pathmnist_basic", "smoek", 0, {})
    with pytest.raises(InputError, match="no experiment 'pathmnist_basics'; did you mean"):
        resolve("pathmnist_basics", "smoke", 0, {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: [", "is no YAML"),
        ("just words", "must be"),
        ("epoch: 3", "no parameter 'epoch'"),
    ],
)
def test_bad_profiles_are_named(tmp_path, monkeypatch, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    monkeypatch.setattr(parameters, "PROFILES", tmp_path)
    with pytest.raises(InputError, match=message):
        read_profile("mine")


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_profiles_records_go_to_its_own_folder(path):
    assert yaml.safe_load(path.read_text())["results"] == f"results/{path.stem}"


def test_the_hash_is_of_what_is_computed_and_not_of_where_or_which_seed():
    base = resolve("pets_scratch", "smoke", 0, {})
    same = resolve("pets_scratch", "smoke", 5, {"results": "elsewhere", "data_dir": "there"})
    other = resolve("pets_scratch", "smoke", 0, {"head_lr": 2e-3})
    assert base.identity == same.identity != other.identity


def test_runs_come_after_what_they_start_from():
    jobs = plan("smoke", [0, 1])
    names = [job.name for job in jobs]
    assert len(names) == len(set(names))
    assert sum(name.startswith("pretrain") for name in names) == 2
    assert sum(name.startswith("ablation") for name in names) == 2
    for first, then in [
        ("pretrain_supervised seed 0", "pathmnist_pretrained seed 0"),
        ("pretrain_supervised seed 0", "pets_supervised seed 0"),
        ("pretrain_barlow_twins seed 0", "pets_barlow_twins seed 0"),
        ("pathmnist_mixup seed 0", "ablation_pathmnist seed 0"),
        ("pathmnist_pretrained seed 0", "ablation_pathmnist seed 0"),
        ("pets_supervised seed 0", "ablation_pets seed 0"),
    ]:
        assert names.index(first) < names.index(then)


def test_only_asks_for_a_part_and_for_what_it_needs():
    assert [j.name for j in plan("smoke", [3], "pathmnist_basic")] == ["pathmnist_basic seed 3"]
    assert [j.name for j in plan("smoke", [3], "pets_b*")] == [
        "pretrain_barlow_twins seed 0",
        "pets_barlow_twins seed 3",
    ]
    assert len(plan("smoke", [0], "pretrain_*")) == 2
    own = plan("smoke", [0], "pathmnist_p*", {"data_source": "data/mine.npz", "image_size": 32})
    sources = {job.experiment: job.recipe.data_source for job in own}
    # Else a network would start from weights that it learned on the images of its own test.
    assert sources == {"pretrain_supervised": "synthetic", "pathmnist_pretrained": "data/mine.npz"}
    assert {job.recipe.image_size for job in own} == {32}
    assert not any(j.name.startswith("pre") for j in plan("paper", [1]))  # weights are published
    with pytest.raises(InputError, match="no experiment 'dogs'"):
        plan("smoke", [0], "dogs")


def test_a_run_can_start_from_a_checkpoint_that_the_batch_makes():
    start = "results/paper/pretrain_supervised/seed-4/weights.pt"
    jobs = plan("paper", [0], "pets_scratch", {"initialisation": start})
    assert [job.name for job in jobs] == ["pretrain_supervised seed 4", "pets_scratch seed 0"]
    assert jobs[0].recipe.initialisation == "random"


def test_stand_in_weights_lie_below_the_results():
    recipe = resolve("pets_supervised", "smoke", 0, {"results": "results/mine"})
    assert recipe.initialisation == "imagenet"
    assert recipe.start == "results/mine/pretrain_supervised/seed-0/weights.pt"
    assert resolve("pets_supervised", "paper", 0, {}).start == "imagenet"
    assert resolve("pets_scratch", "smoke", 0, {}).start == "random"


def test_weights_elsewhere_are_no_run_of_this_batch():
    elsewhere = {"initialisation": "results/other/pretrain_supervised/seed-4/weights.pt"}
    jobs = plan("paper", [0], "pets_scratch", elsewhere | {"results": "results/mine"})
    assert [job.name for job in jobs] == ["pets_scratch seed 0"]


def test_pretraining_takes_over_only_what_is_meant_for_it():
    words = {"network": "resnet50", "batch_norm": "frozen", "batch_size": 8}
    first, second = plan("smoke", [0], "pets_supervised", words | {"pretraining_epochs": 2})
    assert (first.experiment, second.experiment) == ("pretrain_supervised", "pets_supervised")
    assert (first.recipe.network, first.recipe.pretraining_epochs) == ("resnet50", 2)
    assert (first.recipe.batch_norm, first.recipe.batch_size) == ("train", 32)
    assert (second.recipe.batch_norm, second.recipe.batch_size) == ("frozen", 8)


def test_a_seed_is_no_override_and_a_parameter_must_belong_to_a_run():
    with pytest.raises(InputError, match="seed: give seeds as --seeds"):
        plan("smoke", [0], "pets_scratch", {"seed": 9})
    with pytest.raises(InputError, match="no parameter of these runs 'projector'"):
        plan("smoke", [0], "pets_scratch", {"projector": [2]})


def test_a_run_from_other_weights_than_lie_there_is_not_done(tmp_path):
    first, second = plan("smoke", [0], "pets_supervised", {"results": str(tmp_path / "smoke")})
    about = {"seed": 0, "data": {}, "recipe_hash": ""}

    def write(job, digest):
        parameters = job.recipe.model_dump(mode="json")
        run = about | {"experiment": job.experiment, "parameters": parameters}
        files = {} if job is second else {"weights.pt": digest}
        write_record(job.folder, run | {"weights": {"sha256": hashed(digest)}}, files)

    def hashed(content):
        return hashlib.sha256(content).hexdigest()

    write(first, b"old")
    write(second, b"old")
    assert first.is_done()
    assert second.is_done()
    write(first, b"new")
    with pytest.raises(InputError, match="other weights to start from"):
        second.is_done()
