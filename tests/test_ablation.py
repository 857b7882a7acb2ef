"""Ablations: planned, made on a tiny data set by their own notebook, and shown."""

import io
import re
import shutil
from urllib.parse import unquote

import jupytext
import numpy as np
import pandas as pd
import pytest
import torch

import made_up
from helpers import InputError, experiment, metrics
from helpers.experiment.data import Data, Split
from helpers.report.source import ARMS, DATASETS
from helpers.report.switches import SIGNS, show_ablation
from helpers.runs.parameters import NOTEBOOKS, read_defaults
from helpers.runs.plan import plan
from helpers.runs.record import read_record, run_folder, write_record
from helpers.runs.run import pack_arrays

MIXUP = "pathmnist_mixup second_forward=True"
PRETRAINED = "pathmnist_pretrained batch_norm=affine_frozen, head_lr=0.001"
SWITCHES = [
    {"experiment": "pathmnist_mixup", "second_forward": False},  # as it is: left out
    {"experiment": "pathmnist_mixup", "second_forward": True},
    {"experiment": "pathmnist_mixup", "second_forward": True},  # twice: made once
    # One of the three is as it is, and no part of the change.
    {
        "experiment": "pathmnist_pretrained",
        **{"batch_norm": "affine_frozen", "head_lr": 1e-3, "epochs": 2},
    },
]
TINY = {"epochs": 2, "batch_size": 16, "image_size": 16, "initialisation": "random"}


def make_data(seed):
    generator = torch.Generator().manual_seed(seed)
    splits = [
        Split(
            torch.randint(0, 256, (count, 3, 16, 16), generator=generator, dtype=torch.uint8),
            torch.arange(count) % 9,
        )
        for count in (48, 18, 18)
    ]
    return Data("tiny", False, tuple(map(str, range(9))), *splits)


def execute(name, drawn=7, **parameters):
    """Run the code of a notebook here, on a data set of a few images."""
    values = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "load_data", lambda *_, **__: make_data(drawn))
        for cell in jupytext.read(NOTEBOOKS / f"{name}.py").cells:
            if cell.cell_type == "code":
                exec(cell.source, values)
            if "parameters" in cell.metadata.get("tags", []):
                values |= parameters


def edit(record, **changes):
    """Write a record anew that says something else of its run."""
    files = {name: (record.folder / name).read_bytes() for name in record.run["files"]}
    write_record(record.folder, record.run | changes, files)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """Two arms and the ablation, made."""
    results = str(tmp_path_factory.mktemp("made") / "smoke")
    words = TINY | {"results": results, "switches": SWITCHES}
    jobs = {job.experiment: job for job in plan("smoke", [0], "ablation_pathmnist", words)}
    for job in jobs.values():
        execute(job.experiment, **job.injected)
    return jobs


def test_an_ablation_is_made_after_its_arms(jobs):
    assert list(jobs) == ["pathmnist_mixup", "pathmnist_pretrained", "ablation_pathmnist"]
    assert jobs["ablation_pathmnist"].needs == [job.folder for job in jobs.values()][:2]
    assert all(job.is_done() for job in jobs.values())


def test_the_record_holds_all_variants_that_differ_from_their_arms(jobs):
    record = read_record(jobs["ablation_pathmnist"].folder).check()
    predictions = record.predictions
    assert predictions["variants"].tolist() == [MIXUP, PRETRAINED]
    assert predictions["experiments"].tolist() == ["pathmnist_mixup", "pathmnist_pretrained"]
    assert predictions["logits"].shape == (2, 9, 18, 9)
    assert predictions["logits"].dtype == np.float16
    arm = read_record(jobs["pathmnist_mixup"].folder)
    for name in ("labels", "corruption", "strength"):
        np.testing.assert_array_equal(predictions[name], arm.predictions[name])
    assert record.history.groupby("variant", sort=False).size().to_dict() == {
        MIXUP: 2,
        PRETRAINED: 2,
    }
    first = record.metrics.query("variant == @MIXUP").accuracy
    expected = metrics.accuracy(predictions["logits"][0], predictions["labels"])
    np.testing.assert_allclose(first, expected)
    assert record.run["changes"] == {
        MIXUP: {"second_forward": True},
        PRETRAINED: {"batch_norm": "affine_frozen", "head_lr": 1e-3},
    }
    assert record.run["arms"]["pathmnist_mixup"] == arm.origin


def test_a_variant_is_what_its_arm_would_be_with_that_parameter(jobs, tmp_path):
    arm = jobs["pathmnist_mixup"]
    changes = {"second_forward": True, "results": str(tmp_path)}
    execute(arm.experiment, **(arm.injected | changes))
    alone = read_record(run_folder(tmp_path, arm.experiment, 0)).predictions["logits"]
    variants = read_record(jobs["ablation_pathmnist"].folder).predictions["logits"]
    np.testing.assert_array_equal(variants[0], alone)
    assert not np.array_equal(alone, read_record(arm.folder).predictions["logits"])


def test_an_ablation_of_arms_that_were_made_anew_is_not_done(jobs):
    before = read_record(jobs["pathmnist_pretrained"].folder)
    edit(before, recipe_hash="another")
    try:
        with pytest.raises(InputError, match="other pathmnist_pretrained to compare with"):
            jobs["ablation_pathmnist"].is_done()
    finally:
        edit(before)


def test_other_switches_are_another_recipe(jobs):
    words = TINY | {"results": jobs["ablation_pathmnist"].recipe.results}
    *_, job = plan("smoke", [0], "ablation_pathmnist", words)
    with pytest.raises(InputError, match="made with another recipe .other switches"):
        job.is_done()


def test_nothing_is_trained_on_other_data_than_the_arms(jobs):
    job = jobs["ablation_pathmnist"]
    before = (job.folder / "run.json").read_text()
    with pytest.raises(InputError, match="was made from other data than ablation_pathmnist"):
        execute(job.experiment, drawn=8, **job.injected)
    assert (job.folder / "run.json").read_text() == before


def test_without_its_arms_an_ablation_says_which_is_missing(jobs, tmp_path):
    words = jobs["ablation_pathmnist"].injected | {"results": str(tmp_path)}
    with pytest.raises(InputError, match="needs the record .*pathmnist_mixup.seed-0; make that"):
        execute("ablation_pathmnist", **words)


@pytest.mark.parametrize(
    ("switch", "message"),
    [
        ({"experiment": "pathmnist_mixup", "second_foward": True}, "did you mean second_forward?"),
        ({"experiment": "pathmnist_mixup", "head_lr": "1e-3"}, "mixup: head_lr: .*valid number"),
        ({"experiment": "pathmnist_mixup", "batch_norm": "off"}, "batch_norm: .*not 'off'"),
        ({"experiment": "pathmnist_mixup", "image_size": 64}, "no parameter to switch 'image_size"),
        ({"experiment": "pathmnist_mixup", "epochs": 4}, "have all these values already"),
        ({"experiment": "pathmnist_mixer"}, "'pathmnist_mixer'; did you mean pathmnist_mixup?"),
        ({"experiment": "pets_scratch", "epochs": 9}, "of ablation_pathmnist's switches"),
        ({"epochs": 9}, "no experiment of ablation_pathmnist's switches 'None'"),
        ({"experiment": ["pathmnist_mixup"]}, "no experiment of ablation_pathmnist's switches"),
        ("epochs", "switches.0: .*dictionary"),
    ],
)
def test_a_bad_switch_stops_the_plan(switch, message):
    with pytest.raises(InputError, match=message):
        plan("smoke", [0], "ablation_pathmnist", {"switches": [switch]})


@pytest.mark.parametrize("profile", ["smoke", "paper"])
def test_each_profile_switches_something_of_its_own(profile):
    for dataset in ("pathmnist", "pets"):
        *arms, job = plan(profile, [0], f"ablation_{dataset}")
        assert job.experiment == f"ablation_{dataset}"
        assert {arm.recipe.seed for arm in arms} == {0}


def test_ablations_are_made_for_seed_0_or_where_asked_for():
    def list_ablations(seeds, only):
        names = [job.name for job in plan("paper", seeds, only)]
        return [name for name in names if name.startswith("ablation")]

    assert list_ablations([0, 1], "*") == ["ablation_pathmnist seed 0", "ablation_pets seed 0"]
    assert list_ablations([1, 2], "*") == []
    assert list_ablations([1, 2], "ablation_pe*") == [
        "ablation_pets seed 1",
        "ablation_pets seed 2",
    ]


@pytest.fixture
def results(tmp_path, monkeypatch):
    made_up.write_records(tmp_path, "made_up")
    made_up.show(monkeypatch, tmp_path, "made_up")
    return tmp_path


def write_ablation(results, *seeds):
    """Write variants of an arm: as good as it, as good as the arm before it, and hopeless."""
    changes = {"as it is": {"epochs": 6}, "as before": {"head_lr": 0.5}, "hopeless": {"epochs": 1}}
    for seed in seeds:
        names = ("pathmnist_mixup", "pathmnist_pretrained")
        mixup, pretrained = (read_record(run_folder(results, name, seed)) for name in names)
        arrays = pretrained.predictions
        same, before = arrays["logits"], mixup.predictions["logits"]
        predictions = {name: arrays[name] for name in ("labels", "corruption", "strength")} | {
            "variants": np.array(list(changes)),
            "experiments": np.array(["pathmnist_pretrained"] * 3),
            "logits": np.stack([same, before, -same]),
        }
        run = pretrained.run | {
            "experiment": "ablation_pathmnist",
            "arms": {"pathmnist_pretrained": pretrained.origin},
            "changes": changes,
        }
        contents = {"predictions.npz": pack_arrays(predictions)}
        write_record(run_folder(results, "ablation_pathmnist", seed), run, contents)


def read_table(text):
    """Return the cells under "Accuracy" and under the calibration error, by switch."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:1] == "|"][2:]
    (end,) = (place for place, line in enumerate(lines) if "RMS" in line[0] and place)
    accuracy, error = lines[1:end], lines[end + 1 :]
    return [{line[0].split(": ")[1]: line[1:] for line in part} for part in (accuracy, error)]


def read_comparisons(cell):
    """Return before, after and the conclusion, by the arm that is held against."""
    return dict(re.findall(r"\[minus ([^]]+):\]\{\.verdict\} \[([^]]+)\]\{\.verdict\}", cell))


def test_a_conclusion_stays_moves_or_is_undecided(results):
    write_ablation(results, 0, 1, 2)
    text = show_ablation("pathmnist").data
    accuracy, _ = read_table(text)
    assert list(accuracy) == ["`epochs` 5 → 6", "`head_lr` 0.0005 → 0.5", "`epochs` 5 → 1"]
    stays, undecided, moves = (read_comparisons(cells[0]) for cells in accuracy.values())
    assert stays["MixUp + Aug"].endswith(" ✓ stays")
    assert undecided["MixUp + Aug"].endswith(" → 0.0 ? undecided")
    assert moves["MixUp + Aug"].endswith(" ✗ moves")
    # The same switch may answer otherwise in another pair; all are shown.
    assert list(stays) == list(undecided) == list(moves) == ["Basic", "MixUp + Aug"]
    assert undecided["Basic"].endswith(" ✓ stays")
    assert "| MixUp + Aug + PT: `epochs` 5 → 1 |" in text
    assert "for other seeds and other test images, from the seeds 0–2" in text
    assert "alone" not in text


def test_its_numbers_can_be_taken_away(results):
    write_ablation(results, 0, 1, 2)
    text = show_ablation("pathmnist").data
    (link,) = re.findall(r'\.csv" href="data:text/csv[^,]+,([^"]+)"', text)
    table = pd.read_csv(io.StringIO(unquote(link)), dtype=str, keep_default_na=False)
    page = re.sub(r"\+(?=\d)", "", text.split("```{raw}")[0].replace("−", "-"))
    assert set(table.switch) == {"epochs 5 → 6", "head_lr 0.0005 → 0.5", "epochs 5 → 1"}
    assert len(table) == 2 * 3 * 3 * (1 + 2 * 2)  # metrics, switches, columns, differences
    for row in table[table.subtrahend == "as it was"].itertuples():
        cell = f"{row.mean} [{row.low} to {row.high}]"
        assert cell in page
    for (_, other), pair in table[table.subtrahend != "as it was"].groupby(
        ["switch", "subtrahend"], sort=False
    ):
        before, after = pair.iloc[:2].itertuples()
        assert f"[minus {other}:]" in page
        assert f"{before.mean} → {after.mean} {SIGNS[after.conclusion]} {after.conclusion}" in page


def test_one_seed_decides_nothing_and_shows_what_it_measured(results):
    write_ablation(results, 0)
    text = show_ablation("pathmnist").data
    arms = [read_record(run_folder(results, name, 0)).predictions for name in ARMS["pathmnist"]]
    labels = arms[0]["labels"]
    basic, mixup, arm = (100 * metrics.accuracy(part["logits"][0], labels) for part in arms)
    turned = 100 * metrics.accuracy(-arms[2]["logits"][0], labels)
    accuracy, error = read_table(text)
    cell = accuracy["`epochs` 5 → 1"][0]
    assert cell.startswith(f"{turned - arm:+.1f} [".replace("-", "−"))
    expected = {"Basic": basic, "MixUp + Aug": mixup}
    assert turned < basic < mixup < arm  # so both signs change
    assert read_comparisons(cell) == {
        row: f"{arm - other:+.1f} → {turned - other:+.1f} ? undecided".replace("-", "−")
        for row, other in expected.items()
    }
    cells = [cell for part in (accuracy, error) for cells in part.values() for cell in cells]
    assert len(cells) == 2 * 3 * 3
    for cell in cells:
        pairs = read_comparisons(cell)
        assert list(pairs) == ["Basic", "MixUp + Aug"]
        assert all(pair.endswith(" ? undecided") for pair in pairs.values())
    assert "from seed 0 alone, which does not tell how far other seeds would lie" in text
    assert "every conclusion is undecided" in text


@pytest.mark.parametrize(("lost", "expected"), [((1, 2), "? undecided"), ((2,), "✗ moves")])
def test_a_conclusion_needs_two_seeds_that_both_arms_have(results, lost, expected):
    """Basic was made with fewer seeds than the ablation: that pair has only theirs."""
    for seed in lost:
        shutil.rmtree(run_folder(results, "pathmnist_basic", seed))
    write_ablation(results, 0, 1, 2)
    accuracy, _ = read_table(show_ablation("pathmnist").data)
    pairs = read_comparisons(accuracy["`epochs` 5 → 1"][0])
    assert pairs["Basic"].endswith(expected)
    assert pairs["MixUp + Aug"].endswith("✗ moves")


def test_without_a_seed_in_common_there_is_no_pair(results):
    shutil.rmtree(run_folder(results, "pathmnist_basic", 0))
    write_ablation(results, 0)
    accuracy, _ = read_table(show_ablation("pathmnist").data)
    assert list(read_comparisons(accuracy["`epochs` 5 → 1"][0])) == ["MixUp + Aug"]


@pytest.mark.parametrize(("dataset", "title"), DATASETS.items())
def test_the_register_marks_as_measured_what_the_ablation_switches(dataset, title):
    page = (NOTEBOOKS.parent / "register.md").read_text()
    section = page.split(f"\n## {title}\n")[1].split("\n### ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")]
    measured = {
        (arm, parameter)
        for _, here, answer in rows
        if "yes" in answer
        for arm in [answer.split("yes, in ")[1].rstrip(" |")]
        for parameter in re.findall(r"`(\w+)", here)
    }
    switches = read_defaults(f"ablation_{dataset}")["switches"]
    assert measured == {
        (ARMS[dataset][switch["experiment"]], parameter)
        for switch in switches
        for parameter in switch.keys() - {"experiment"}
    }


def test_what_is_not_there_is_said_with_the_command_that_makes_it(results, monkeypatch):
    text = show_ablation("pets").data
    assert text.startswith("No ablation of Oxford-IIIT Pets belongs to these runs.")
    assert "`python -m helpers run --only ablation_pets --seeds 0` and the parameters" in text
    made_up.show(monkeypatch, results, "paper")
    assert "run --profile paper --only ablation_pets" in show_ablation("pets").data


def test_an_ablation_of_other_runs_is_not_shown(results, monkeypatch):
    write_ablation(results, 0)
    folder = run_folder(results, "pathmnist_pretrained", 0)
    for seed in (0, 1, 2):
        edit(read_record(folder.with_name(f"seed-{seed}")), recipe_hash="another")
    made_up.show(monkeypatch, results, "made_up")
    text = show_ablation("pathmnist").data
    assert "that of seed 0 had another pathmnist_pretrained. Delete it and make it anew" in text
    assert "|" not in text
