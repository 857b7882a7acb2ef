"""Choice of the records: profile, folder, seeds; mixtures; corrupt and missing ones."""

import json
import shutil

import pytest

import made_up
from helpers import InputError
from helpers.report import records


@pytest.fixture
def root(monkeypatch, tmp_path):
    """A repository without records."""
    monkeypatch.setattr(records, "ROOT", tmp_path)
    return tmp_path


def write(folder, experiment="pathmnist_basic", seed=0, **options):
    return made_up.write_run(folder, folder.name, experiment, seed, **options)


def test_each_data_set_shows_its_best_profile(root):
    for profile in ("smoke", "short"):
        write(root / "results" / profile, "pets_scratch")
    write(root / "results/smoke")
    write(root / "records/paper")
    assert records.find_evidence("pathmnist").profile == "paper"
    assert records.find_evidence("pets").profile == "short"
    assert records.shown_records("pets").keys() == {"No Pretraining"}


def test_a_profile_of_variants_alone_hides_no_arms(root):
    write(root / "results/paper", variant="plain")
    write(root / "results/short")
    assert [evidence.profile for evidence in records.list_evidence("pathmnist")] == ["short"]


def test_the_environment_forces_profile_folder_and_seeds(root, monkeypatch):
    for seed in range(4):
        write(root / "results/smoke", seed=seed)
        write(root / "records/paper", seed=seed)
    monkeypatch.setenv("REPORT_PROFILE", "smoke")
    assert records.find_evidence("pathmnist").profile == "smoke"
    monkeypatch.setenv("REPORT_SEEDS", "1-2")
    assert [r.seed for r in records.shown_records("pathmnist")["Basic"]] == [1, 2]
    monkeypatch.setenv("REPORT_PROFILE", "")
    monkeypatch.setenv("REPORT_RESULTS", "records/paper")
    (first, _) = records.shown_records("pathmnist")["Basic"]
    assert first.folder == root / "records/paper/pathmnist_basic/seed-1"
    monkeypatch.setenv("REPORT_RESULTS", "")
    monkeypatch.setenv("REPORT_PROFILE", "papr")
    with pytest.raises(InputError, match="did you mean paper"):
        records.shown_records("pathmnist")


def test_own_records_come_before_shipped_ones(root):
    own, shipped = root / "results/paper", root / "records/paper"
    write(shipped, seed=0), write(shipped, seed=1), write(own, seed=1)
    shown = records.shown_records("pathmnist")["Basic"]
    assert [record.folder.parents[1] for record in shown] == [shipped, own]


def test_other_notebooks_and_data_sets_follow_the_papers(root):
    folder = root / "results/smoke"
    write(folder, "pathmnist_extra"), write(folder, "fog_basic"), write(folder, "pets_scratch")
    assert records.datasets() == ["pathmnist", "pets", "fog"]
    assert list(records.arms("pathmnist")) == [*records.PAPER_ARMS["pathmnist"], "extra"]
    assert records.arms("fog") == {"basic": "fog_basic"}


def test_different_configurations_or_data_are_never_mixed(root):
    folder = root / "results/smoke"
    for seed in (0, 1):
        write(folder, seed=seed)
    write(folder, seed=2, changes={"weight_decay": 0.1})
    other = write(folder, "pathmnist_mixup")
    run = {k: v for k, v in other.run.items() if k not in ("files", "checksum", "left_out")}
    contents = {name: (other.folder / name).read_bytes() for name in other.run["files"]}
    shutil.rmtree(other.folder)
    made_up.write_record(other.folder, run | {"data": run["data"] | {"sha256": "x"}}, contents)
    shown = records.shown_records("pathmnist")
    assert {label: [r.seed for r in group] for label, group in shown.items()} == {"Basic": [0, 1]}
    first, second = records.find_evidence("pathmnist").warnings
    assert first == "pathmnist_mixup seed 0 is left out: made on other data"
    assert second.startswith("pathmnist_basic seed 2 is left out: other parameters")


def test_a_missing_parameter_counts_as_the_default(root):
    folder = root / "results/smoke"
    write(folder, official=True)
    record = write(folder, seed=1, official=True)
    run = json.loads((record.folder / "run.json").read_text())
    del run["parameters"]["second_forward"], run["checksum"], run["files"]
    contents = {name: (record.folder / name).read_bytes() for name in record.run["files"]}
    shutil.rmtree(record.folder)
    made_up.write_record(record.folder, run, contents)
    changes = map(records.list_changes, records.shown_records("pathmnist")["Basic"])
    assert list(changes) == [{}, {}]


def test_missing_runs_are_named_with_their_command(root):
    absent = "No Pretraining (seeds 0–2), Supervised (seeds 0–2), Self-Supervised (seeds 0–2)"
    assert absent in records.missing_runs("pets")
    folder = root / "results/smoke"
    for experiment in records.PAPER_ARMS["pets"].values():
        for seed in (0, 1):
            write(folder, experiment, seed)
    made_up.forget()
    assert records.missing_runs("pets") is None
    shutil.rmtree(folder / "pets_scratch/seed-1")
    made_up.forget()
    line = records.missing_runs("pets")
    assert line.startswith("Not measured: No Pretraining (seed 1).")
    command = "`python -m helpers run --profile smoke --only 'pets_*' --seeds 0,1`"
    assert command in line


def test_a_corrupt_record_is_left_out_with_a_warning(root, capsys):
    record = write(root / "results/smoke")
    write(root / "results/smoke", seed=1)
    (record.folder / "metrics.csv").write_text("nothing")
    assert [r.seed for r in records.shown_records("pathmnist")["Basic"]] == [1]
    (error,) = records.warn_of_corrupt_records()
    assert error.folder == record.folder
    command = "python -m helpers run --profile smoke --only pathmnist_basic --seeds 0"
    assert capsys.readouterr().err.endswith(f"to repeat it: {command}\n")


def test_descriptions(root):
    folder = root / "results/short"
    for seed in (0, 1, 2, 5):
        write(folder, seed=seed)
    write(folder, "pathmnist_mixup")
    assert records.describe_seeds("pathmnist") == "1 to 4 seeds (0, 1, 2, 5)"
    assert records.describe_evidence("pathmnist").startswith("profile short (5 epochs), 1 to 4")
    assert records.describe_data("pathmnist") == "tissue (in place of PathMNIST)"
    assert records.describe_data("pets") == "Oxford-IIIT Pets"
    assert records.list_numbers([0, 1, 2]) == "0–2"
