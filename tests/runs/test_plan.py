"""Plans: the runs that are asked for, those that they need, and those that are done."""

import json
import shutil

import pytest

from helpers import InputError
from helpers.runs import run
from helpers.runs.files import beside, write_file
from helpers.runs.plan import plan
from helpers.runs.record import write_record


def names(jobs):
    return [job.name for job in jobs]


def write(job, **changes):
    """Write a record without files, as the run of a job would describe itself."""
    parameters = job.config.model_dump(mode="json")
    described = {
        "experiment": job.experiment,
        "variant": job.config.variant,
        "seed": job.config.seed,
        "parameters": parameters | changes.pop("parameters", {}),
        "weights": {"sha256": None},
    }
    return write_record(job.folder, described | changes, {"history.csv": b"epoch\n1\n"})


def test_runs_come_after_those_that_they_start_from():
    planned = names(plan("smoke", [1, 0]))
    assert len(planned) == len(set(planned)) == 20
    for arm, start in [
        ("pathmnist_pretrained", "pathmnist_basic"),
        ("pets_supervised", "pathmnist_basic"),
        ("pets_barlow_twins", "pathmnist_mixup"),
    ]:
        assert planned.index(f"{start} seed 0") < planned.index(f"{arm} seed 1")
    assert names(plan("paper", [1], "pets_supervised")) == ["pets_supervised seed 1"]
    overrides = {"epochs": 2, "image_size": 64, "results": "results/x"}
    start, job = plan("smoke", [1], "pets_supervised", overrides)
    assert (start.name, job.needed) == ("pathmnist_basic seed 0", start.folder)
    for name, value in overrides.items():
        assert getattr(start.config, name) == value
    # Weights of other results are taken as they are.
    own = {"initialisation": "results/x/pathmnist_mixup/seed-0/weights.pt"}
    assert len(plan("smoke", [1], "pets_scratch", own)) == 1


def test_variants_run_with_seed_0_or_where_they_are_named():
    every = [name for name in names(plan("smoke", [0, 1])) if "@" in name]
    assert {name.split()[-1] for name in every} == {"0"}
    assert "pathmnist_mixup@two_forwards seed 0" in every
    named = names(plan("smoke", [0, 1], only="pathmnist_mixup@*"))
    assert len(named) == 6
    assert {name.split()[-1] for name in named} == {"0", "1"}
    assert names(plan("smoke", [0], only="pathmnist_basic")) == ["pathmnist_basic seed 0"]


@pytest.mark.parametrize("profile", ["smoke", "paper", "short"])
def test_a_variant_that_its_arm_already_is_under_a_profile_is_left_out(profile):
    jobs = {job.name: job for job in plan(profile, [0])}
    mixup = jobs["pathmnist_mixup seed 0"].config
    for name, job in jobs.items():
        if name.startswith("pathmnist_mixup@"):
            assert job.config.computed != mixup.computed
            assert job.folder.parent.name == name.split()[0]
            assert job.injected.get("variant", "") == job.config.variant
    forwards = "two" if profile == "smoke" else "one"
    assert f"pathmnist_mixup@{forwards}_forward{'s' * (forwards == 'two')} seed 0" in jobs


@pytest.mark.parametrize(
    "overrides",
    [
        {"initialisation": "imagenet"},
        {"initialisation": "results/smoke/pathmnist_basic/seed-0/weights.pt"},
        {"stand_in_weights": {"imagenet": "pets_supervised/seed-0/weights.pt"}},
    ],
)
def test_a_run_never_starts_from_itself(overrides):
    with pytest.raises(InputError, match="would start from its own weights, results/smoke/p.*/w"):
        plan("smoke", [1], "p*_*", overrides)


def test_another_start_of_one_arm_is_planned_after_its_source():
    overrides = {"initialisation": "imagenet", "results": "results/start"}
    source, job = plan("smoke", [0], "pathmnist_mixup", overrides)
    assert (source.name, source.config.start) == ("pathmnist_basic seed 0", "random")
    assert job.config.start == "results/start/pathmnist_basic/seed-0/weights.pt"


@pytest.fixture
def job(tmp_path):
    (job,) = plan("smoke", [1], "pathmnist_basic", {"results": str(tmp_path / "results")})
    return job


def test_a_run_is_done_if_its_record_has_the_same_configuration(job):
    assert not job.is_done()
    record = write(job)
    assert job.is_done()
    shutil.rmtree(job.folder)
    # A parameter that the record lacks had its default.
    parameters = {name: value for name, value in record.parameters.items() if name != "variant"}
    write_record(job.folder, record.run | {"parameters": parameters}, {})
    assert job.is_done()


def test_other_parameters_are_named_also_of_another_seed(job):
    (other,) = plan("smoke", [2], "pathmnist_basic", {"results": job.config.results})
    write(other, parameters={"epochs": 9})
    message = "was made with a different epochs.*-p results=FOLDER"
    with pytest.raises(InputError, match=message):
        job.is_done()
    with pytest.raises(InputError, match=message):
        other.is_done()


def test_changed_own_data_are_noticed_without_torch(tmp_path):
    from helpers.data_files import describe_source

    source = tmp_path / "mine.npz"
    source.write_bytes(b"first")
    overrides = {"results": str(tmp_path / "results"), "data_source": str(source)}
    job, later = plan("smoke", [0, 1], "pathmnist_basic", overrides)
    write(job, data={"files": describe_source(str(source))})
    assert job.is_done()
    assert not later.is_done()
    source.write_bytes(b"other")
    for seed in (job, later):
        with pytest.raises(InputError, match="was made with a different content of .*mine.npz"):
            seed.is_done()


def test_other_first_weights_are_noticed(tmp_path):
    overrides = {"results": str(tmp_path)}
    start, job = plan("smoke", [0], "pathmnist_pretrained", overrides)
    described = {"experiment": start.experiment, "seed": 0, "parameters": {}}
    record = write_record(start.folder, described, {"weights.pt": b"weights"})
    write(job, weights={"sha256": record.run["files"]["weights.pt"]})
    assert job.is_done()
    (other,) = plan("smoke", [0], "pets_supervised", overrides)[1:]
    write(other, weights={"sha256": "0" * 64})
    with pytest.raises(InputError, match="weights to start from"):
        other.is_done()
    (tmp_path / "w.pt").write_bytes(b"weights")
    overrides = {"results": str(tmp_path / "own"), "initialisation": str(tmp_path / "w.pt")}
    (own,) = plan("smoke", [0], "pathmnist_basic", overrides)
    write(own, weights={"sha256": record.run["files"]["weights.pt"]})
    assert own.is_done()
    (tmp_path / "w.pt").write_bytes(b"others")
    with pytest.raises(InputError, match="weights to start from"):
        own.is_done()


def test_the_error_of_a_failed_run_is_shown(job):
    assert job.failure() == ""
    write_file(beside(job.folder, "error"), b"ValueError: bad\nvalue")
    assert job.failure() == "ValueError: bad value"
    job.notebook.touch()
    assert job.failure() == f"ValueError: bad value; see {job.notebook}"


def test_a_notebook_s_other_names_are_no_parameters(job):
    ipython = {"In": ["seed = 1"], "Out": {}, "_i": "seed", "__name__": "__main__", "json": json}
    values = job.config.model_dump()
    assert run.begin("pathmnist_basic", ipython | values).config == job.config
    with pytest.raises(InputError, match="unknown parameter 'mixup_alfa'; did you"):
        run.begin("pathmnist_basic", ipython | values | {"mixup_alfa": 0.3})


def test_a_run_does_not_begin_where_a_record_is(job):
    write(job)
    with pytest.raises(InputError, match="exists; delete it, or give another folder"):
        run.begin("pathmnist_basic", job.config.model_dump())
