"""Which records a book shows, and which it refuses to show together."""

import pytest

import made_up
from helpers import ROOT, InputError
from helpers.report.damage import advise, describe_damage, list_damaged
from helpers.report.source import (
    Source,
    list_numbers,
    read_shown,
)
from helpers.runs.record import write_record


@pytest.fixture
def source(tmp_path):
    made_up.write_records(tmp_path, "made_up")
    return Source("made_up", tmp_path, "0-2")


def edit(source, experiment, seed, **changes):
    """Write a made-up record that says something else of its run."""
    record = made_up.write_run(source.results, "made_up", experiment, seed)
    files = {name: (record.folder / name).read_bytes() for name in record.run["files"]}
    changes = {
        name: record.run[name] | value if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    write_record(record.folder, record.run | changes, files)


@pytest.mark.parametrize(
    ("numbers", "text"), [([0], "0"), ([0, 1], "0, 1"), ([2, 3, 4], "2–4"), ([0, 2, 3], "0, 2, 3")]
)
def test_list_numbers(numbers, text):
    assert list_numbers(numbers) == text


def test_missing_experiment_names_the_command(tmp_path):
    made_up.write_run(tmp_path, "paper", "pets_scratch", 0)
    with pytest.raises(
        InputError,
        match="python -m helpers run --profile paper -p results=.*, and the parameters and seeds",
    ):
        read_shown(Source("paper", tmp_path, "0-2"))


def test_a_cell_mixes_no_recipes_and_both_are_named(source):
    edit(source, "pets_scratch", 1, recipe_hash="other", parameters={"epochs": 6, "results": "x"})
    with pytest.raises(InputError) as error:
        read_shown(source)
    text = str(error.value)
    assert f"{source.results / 'pets_scratch'} mixes runs of different recipes, data or" in text
    assert "recipe pets_scratch has 2 seeds (0, 2), recipe other has 1 seed (1);" in text
    assert "; epochs 5 against 6; delete" in text  # not where the results lie


@pytest.mark.parametrize("what", ["data", "weights"])
def test_a_cell_mixes_no_data_or_weights(source, what):
    edit(source, "pets_scratch", 1, **{what: {"sha256": "another checksum"}})
    with pytest.raises(InputError, match=f"; {what} sha256 .* against another chec; delete"):
        read_shown(source)


def test_only_what_a_line_holds_is_named(source):
    many = {"epochs": 6, "batch_size": 3, "weight_decay": 1.0, "mixup_alpha": 9.0}
    edit(source, "pets_scratch", 1, recipe_hash="b", parameters=many)
    edit(
        source,
        "pets_scratch",
        2,
        recipe_hash="c",
        parameters={"corruptions": {"blur": [0.123] * 50}},
    )
    with pytest.raises(InputError) as error:
        read_shown(source)
    text = str(error.value)
    assert "recipe pets_scratch has 1 seed (0), recipe b has 1 seed (1), 1 more;" in text
    assert text.count(" against ") == 3
    assert ", 1 more; delete" in text
    edit(source, "pets_scratch", 1)
    with pytest.raises(InputError, match=r"corruptions {\"bri.* against .{79}…; delete"):
        read_shown(source)


def test_seeds_of_a_recipe_may_come_from_other_commits(source):
    edit(source, "pets_scratch", 1, environment={"git_commit": "other", "git_dirty": True})
    assert [record.seed for record in read_shown(source)["pets_scratch"]] == [0, 1, 2]


def test_a_table_mixes_no_data(source):
    for seed in (0, 1, 2):
        edit(source, "pets_scratch", seed, data={"sha256": "a part of pets"})
    with pytest.raises(InputError) as error:
        read_shown(source)
    assert "the arms of Oxford-IIIT Pets in" in str(error.value)
    assert "(pets_scratch on a part of pe, pets_supervised on pets, " in str(error.value)


def test_the_environment_names_profile_and_folder(source, monkeypatch):
    monkeypatch.setenv("REPORT_PROFILE", "mine")
    monkeypatch.delenv("REPORT_RESULTS", raising=False)
    assert Source.from_environment().results.parts[-2:] == ("results", "mine")
    monkeypatch.setenv("REPORT_RESULTS", str(source.results))
    assert Source.from_environment() == Source("mine", source.results, "0-2")


def test_records_of_an_earlier_version_are_refused(source):
    for seed in (0, 1, 2):
        record = made_up.write_run(source.results, "made_up", "pets_scratch", seed)
        files = {name: (record.folder / name).read_bytes() for name in record.run["files"]}
        parameters = {k: v for k, v in record.run["parameters"].items() if k != "second_forward"}
        write_record(record.folder, record.run | {"parameters": parameters}, files)
    with pytest.raises(InputError, match="earlier version .* without the parameters second_forw"):
        read_shown(source)


def test_a_damaged_record_is_left_out_and_named_with_the_command_that_mends(source):
    (source.results / "pets_scratch/seed-1/metrics.csv").write_text("")
    assert [record.seed for record in read_shown(source)["pets_scratch"]] == [0, 2]
    (error,) = list_damaged(source)
    assert describe_damage(error) == (
        "pets_scratch seed 1 is left out: metrics.csv differs from its checksum in run.json"
    )
    assert advise(source, error) == (
        f"python -m helpers run -p results={source.results} --only pets_scratch --seeds 1"
    )
    smoke = Source("smoke", ROOT / "results/smoke", "0")
    assert advise(smoke, error).endswith("run --profile smoke --only pets_scratch --seeds 1")


def test_of_an_experiment_with_damaged_records_alone_no_book_is_made(source):
    for folder in (source.results / "pets_scratch").glob("seed-?"):
        (folder / "metrics.csv").write_text("")
    with pytest.raises(InputError, match="no runs of pets_scratch in"):
        read_shown(source)


def test_a_mistyped_profile_is_told_with_the_nearest(monkeypatch):
    monkeypatch.setenv("REPORT_PROFILE", "smok")
    with pytest.raises(InputError, match="no profile or folder of runs 'smok'; did you mean smoke"):
        read_shown(Source.from_environment())
