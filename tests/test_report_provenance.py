"""The table of all runs: one row each, linked to its notebook."""

import pytest

import made_up
from helpers.report.facts import show_build
from helpers.report.provenance import COLUMNS, show_runs
from helpers.runs.record import run_folder, write_record

WEIGHTS = {"initialisation": "made up", "sha256": None, "official": False}


@pytest.fixture
def results(tmp_path, monkeypatch):
    made_up.write_records(tmp_path, "made_up")
    made_up.show(monkeypatch, tmp_path, "made_up")
    return tmp_path


def write_start(results, seed=0):
    """Write a made-up pretraining run, and return it."""
    other = made_up.write_run(results / "other", "made_up", "pets_scratch", seed)
    run = other.run | {"experiment": "pretrain_supervised", "evaluate_seconds": None}
    folder = run_folder(results, "pretrain_supervised", seed)
    return write_record(folder, run, {"weights.pt": f"checkpoint {seed}".encode()})


def start_from(record, results):
    """Write a run anew as one that started from a checkpoint, for all seeds alike."""
    for seed in (0, 1, 2):
        made = made_up.write_run(results, "made_up", "pets_supervised", seed)
        files = {name: (made.folder / name).read_bytes() for name in made.run["files"]}
        weights = WEIGHTS | {"sha256": record.run["files"]["weights.pt"]}
        write_record(made.folder, made.run | {"weights": weights}, files)


def read_rows():
    """Return the rows of the shown table as dicts of its columns."""
    lines = [line for line in show_runs().data.splitlines() if line.startswith("|")]
    split = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    assert split[0] == list(COLUMNS)
    return [dict(zip(COLUMNS, cells, strict=True)) for cells in split[2:]]


def test_each_run_has_a_row(results):
    rows = read_rows()
    assert [row["Experiment"] for row in rows] == [n for n in made_up.EXPERIMENTS for _ in range(3)]
    assert rows[0] == {
        "Experiment": "pathmnist_basic",
        "Seed": "{doc}`0 </runs/pathmnist_basic>`",
        "Recipe": "`pathmnist_basic`",
        "Data": "tissue `pathmnist`, stand-in",
        "First weights": "random",
        "Commit": "`0123456789`",
        "Training (s)": "60.0",
        "Peak memory (MB)": "300",
        "Epoch kept": "5",
    }


def test_seeds_link_to_what_the_book_holds(results):
    (results / "pets_scratch/seed-0.ipynb").unlink()
    (results / "pets_supervised/seed-1.ipynb").unlink()
    links = [row["Seed"] for row in read_rows() if row["Experiment"].startswith("pets_s")]
    assert links == [
        "0",
        "{doc}`1 </runs/pets_scratch>`",
        "{download}`2 </runs/pets_scratch-seed-2.ipynb>`",
        "{doc}`0 </runs/pets_supervised>`",
        "1",
        "{download}`2 </runs/pets_supervised-seed-2.ipynb>`",
    ]


def test_pretraining_is_listed_where_a_run_started_from_it(results, monkeypatch):
    start, unused = write_start(results, 0), write_start(results, 1)
    start_from(start, results)
    made_up.show(monkeypatch, results, "made_up")
    rows = read_rows()
    assert len(rows) == 18 + 1
    checksum = start.run["files"]["weights.pt"][:12]
    assert rows[-1]["Experiment"] == "pretrain_supervised"
    assert rows[-1]["First weights"] == f"random; gave `{checksum}`"
    (used,) = {row["First weights"] for row in rows if row["Experiment"] == "pets_supervised"}
    assert used == f"`{checksum}`, stand-in"
    assert unused.run["files"]["weights.pt"][:12] not in str(rows)


def test_ablations_stand_after_the_arms(results):
    arm = made_up.write_run(results / "other", "made_up", "pets_scratch", 0)
    run = {name: value for name, value in arm.run.items() if name != "weights"} | {
        "experiment": "ablation_pets",
        "arms": {"pets_scratch": [], "pets_supervised": []},
        "best_epoch": {"one switch": 4, "another": 2},
    }
    folder = run_folder(results, "ablation_pets", 0)
    write_record(folder, run, {"history.csv": b"variant,epoch\n"})
    rows = read_rows()
    assert len(rows) == 18 + 1
    assert rows[-1]["Experiment"] == "ablation_pets"
    assert rows[-1]["First weights"] == "those of pets_scratch, pets_supervised"
    assert rows[-1]["Epoch kept"] == "4, 2"


def test_a_damaged_run_is_named_over_the_table_and_left_out_of_it(results, monkeypatch):
    start = write_start(results)
    start_from(start, results)
    (start.folder / "weights.pt").write_bytes(b"")
    (results / "pets_scratch/seed-1/run.json").write_text("{")
    made_up.show(monkeypatch, results, "made_up")
    rows = read_rows()
    assert len(rows) == 18 - 1
    seeds = [row["Seed"] for row in rows if row["Experiment"] == "pets_scratch"]
    assert seeds == [
        "{doc}`0 </runs/pets_scratch>`",
        "{download}`2 </runs/pets_scratch-seed-2.ipynb>`",
    ]
    box = show_runs().data.partition("```{table}")[0]
    assert box.startswith("```{warning}")
    assert "pets_scratch seed 1 is left out: run.json cannot be read" in box
    assert str(results) not in box
    assert "pretrain_supervised seed 0 is left out: weights.pt differs" in box
    assert "Left out" in show_build().data
    assert "pretrain_supervised/seed-0" in show_build().data


def test_a_book_of_whole_records_has_no_warning(results):
    assert "warning" not in show_runs().data
    assert "Left out" not in show_build().data


@pytest.mark.parametrize("content", [b"", b'{"cells": [', b"[]", b"\xff"])
def test_a_torn_notebook_is_none(results, content):
    (results / "pets_scratch/seed-0.ipynb").write_bytes(content)
    (row, *_) = [row for row in read_rows() if row["Experiment"] == "pets_scratch"]
    assert row["Seed"] == "0"


def test_what_a_sceptic_looks_for_is_told(results, monkeypatch):
    """Official data and weights, a part of a data set, uncommitted changes, no git, no memory."""
    for seed in (0, 1, 2):
        record = made_up.write_run(results, "made_up", "pets_scratch", seed, official=True)
        environment = record.run["environment"] | {"git_dirty": True}
        changes = {"peak_memory_bytes": None, "environment": environment}
        if seed == 2:
            changes["environment"] = environment | {"git_commit": None, "git_dirty": None}
            changes["data"] = record.run["data"] | {"official": False}
        files = {name: (record.folder / name).read_bytes() for name in record.run["files"]}
        write_record(record.folder, record.run | changes, files)
    made_up.show(monkeypatch, results, "made_up")
    _, before, last = [row for row in read_rows() if row["Experiment"] == "pets_scratch"]
    assert before["Data"] == "pets `pets`, official"
    assert before["Commit"] == "`0123456789` with changes"
    assert before["Peak memory (MB)"] == ""
    assert last["Data"] == "pets `pets`, a part"
    assert last["Commit"] == "`not known`"
