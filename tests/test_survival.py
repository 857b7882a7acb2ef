"""The survival harness in short, its table, and the book's page about both."""

import ast
import csv
import os
import re
import subprocess
import sys

import dask.distributed
import dask_jobqueue
import pytest

from helpers import ROOT, report
from helpers.report import survival as page
from helpers.runs.record import read_record
from survival.checks import Tally
from survival.faults import Faults


def attack(table, *layers):
    """Rows of the table that the harness leaves, in which all was survived."""
    words = [word for layer in layers for word in ("--only", layer)]
    command = [sys.executable, "-m", "tests.survival", "--quick", *words, "--output", str(table)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = list(csv.DictReader(table.open()))
    assert all(row["tried"] == row["survived"] for row in rows)
    return rows


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the harness forks")
def test_a_dozen_kills_and_a_fault_at_every_write_are_survived(tmp_path):
    rows = attack(tmp_path / "survival.csv", "writes", "bodies")
    kills = [row for row in rows if "notebook's code" in row["fault"]]
    assert len(kills) == 2
    assert sum(int(row["tried"]) for row in kills) >= 12
    assert len(rows) > 30
    assert sum(int(row["tried"]) for row in rows) > 300


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the harness forks")
def test_a_dozen_kills_of_real_batches_are_survived(tmp_path):
    rows = attack(tmp_path / "survival.csv", "batches")
    # Of the last two a batch may end before its moment: then nothing was tried.
    assert 10 <= sum(int(row["tried"]) for row in rows) <= 12


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "EACCES", "short"])
def test_the_injector_meets_a_write_that_nobody_guards(tmp_path, fault):
    """A writer without any care must be found out, or the harness would prove nothing."""
    path = tmp_path / "plain"
    path.write_bytes(b"old")
    at = 1 if fault == "short" else 2  # the opening empties the file
    with Faults(tmp_path, at, fault) as faults, pytest.raises(OSError, match="Errno"):
        path.write_bytes(b"new content")
    assert path.read_bytes() == (b"new c" if fault == "short" else b"")
    assert faults.done[-1] == "write /plain"


def test_what_is_not_survived_is_counted_and_told(capsys):
    tally = Tally()
    tally.count("kill", [])
    tally.count("kill", ["a part of a record"], "operation 3")
    assert tally.rows() == [("kill", 2, 1)]
    assert "kill (operation 3): a part of a record" in capsys.readouterr().out


def test_the_page_shows_every_fault_and_prints_a_loss_bold(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "REFERENCE", tmp_path)
    rows = "012345678901,2026-01-01,kill,9,9\n1e5,2026-01-02,cut,7,6\n"
    (tmp_path / "survival.csv").write_text(f"commit,date,fault,tried,survived\n{rows}")
    text = report.show_survival().data
    shown = [line for line in text.splitlines() if line[:1] == "|"]
    assert shown[2:] == ["| kill | 9 | 9 |", "| cut | 7 | **6** |"]
    last = "1 at commit `012345678901` on 2026-01-01; 1 at commit `1e5` on 2026-01-02."
    assert text.endswith(last)


@pytest.fixture
def slurm() -> str:
    """The lines of the page that start a batch on a cluster."""
    text = (ROOT / "book" / "reliability.md").read_text()
    (lines,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return lines


def test_it_takes_ten_lines(slurm):
    assert len([line for line in slurm.splitlines() if line]) == 10


def test_the_ten_lines_make_runs_with_a_local_cluster_in_slurms_place(slurm, tmp_path):
    (tmp_path / "dask_jobqueue.py").write_text(
        "from distributed import LocalCluster\n"
        "class SLURMCluster(LocalCluster):\n"
        "    def __init__(self, cores, processes, memory, walltime, queue, job_extra_directives):\n"
        "        super().__init__(0, threads_per_worker=cores, dashboard_address=None)\n"
        "    def adapt(self, minimum_jobs, maximum_jobs):\n"
        "        return super().adapt(minimum=minimum_jobs, maximum=1)\n"
    )
    (tmp_path / "slurm.py").write_text(slurm)
    results = tmp_path / "smoke"
    tiny = {"results": results, "epochs": 1, "image_size": 16, "batch_size": 360}
    words = [word for name, value in tiny.items() for word in ("-p", f"{name}={value}")]
    words += ["--only", "pathmnist_basic", "--seeds", "0", "-p", "corruptions={'blur': [0.5]}"]
    command = [sys.executable, str(tmp_path / "slurm.py"), *words]
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_record(results / "pathmnist_basic" / "seed-0") is not None


def test_dask_jobqueue_takes_the_arguments_of_the_ten_lines(slurm):
    names = {"gpu": ["--gres=gpu:1"]}
    for node in ast.walk(ast.parse(slurm)):
        if isinstance(node, ast.Assign) and node.targets[0].id == "job":
            names["job"] = ast.literal_eval(node.value)
    assert isinstance(dask_jobqueue.SLURMCluster, type)
    assert issubclass(dask_jobqueue.SLURMCluster, dask.distributed.SpecCluster)
    extra = {"queue": "gpu", "job_extra_directives": names["gpu"]}
    with dask_jobqueue.SLURMCluster(**names["job"], **extra) as cluster:
        script = cluster.job_script()
    assert "#SBATCH --gres=gpu:1" in script
    assert "#SBATCH -p gpu" in script
    assert "#SBATCH -t 12:00:00" in script
