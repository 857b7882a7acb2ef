"""Batches from outside: what they leave, and what happens when their processes die."""

import multiprocessing
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys

import dask.distributed
import dask_jobqueue
import jupytext
import pytest
from distributed import LocalCluster

from helpers import ROOT
from helpers.runs.config import NOTEBOOKS, parse_overrides
from helpers.runs.files import lock_run
from helpers.runs.plan import plan
from runs.batches import Batch, wait_for, write_data

STOPPED = "stopped; the same command continues with what is missing"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Batch:
    """A batch of two runs that nothing happened to; the others must end with its bits."""
    data = write_data(tmp_path_factory.mktemp("data") / "data.npz")
    batch = Batch(tmp_path_factory.mktemp("a bätch {x}"), data, seeds="0-1")
    batch.run()
    return batch


@pytest.fixture
def begin(tmp_path, undisturbed):
    """Make a batch on the data set of the undisturbed one."""
    return lambda *words, **options: Batch(tmp_path, undisturbed.data, *words, **options)


def test_a_batch_logs_its_epochs_and_leaves_records_and_notebooks(undisturbed):
    log = undisturbed.log.read_text().splitlines()
    assert (log[0], log[-1]) == ("2 runs to make", "all 2 runs complete")
    accuracies = r"validation accuracy [01]\.\d{3} \(best [01]\.\d{3}\)"
    epoch = rf"epoch \d+ of 12, {accuracies}, [\d.]+ s per epoch, training ends about \w+ \d"
    for seed in (0, 1):
        lines = [line for line in log if line.startswith(f"pathmnist_basic seed {seed} ")]
        assert any(re.search(epoch, line) for line in lines[:-1])
        assert re.search(r" done +\d+ s$", lines[-1])
        assert {"history.csv", "metrics.csv", "predictions.npz"} <= undisturbed.files(seed).keys()
        assert ("weights.pt" in undisturbed.files(seed)) is (seed == 0)
    assert len(log) == len(set(log))
    assert undisturbed.left() == {"seed-0", "seed-0.ipynb", "seed-1", "seed-1.ipynb"}
    assert [line.split()[3] for line in undisturbed.status()[:2]] == ["done", "done"]


def test_finished_runs_are_skipped_whatever_the_clock_says(undisturbed):
    paths = [path for path in undisturbed.results.rglob("*") if path.is_file()]
    for path in paths:
        os.utime(path, (0, 7 * (path.suffix == ".npz")))
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in paths]
    assert undisturbed.run() == ["all 2 runs complete"]
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in paths] == before


def test_a_killed_batch_leaves_no_process_and_continues_to_the_same_bits(begin, undisturbed):
    batch = begin().start()
    batch.wait_for_epoch()
    assert batch.stop(signal.SIGKILL) == []
    assert batch.files() is None
    state = r"interrupted +after epoch \d+ of 12; `run` with the same options continues there"
    assert re.search(state, batch.status()[0])
    assert batch.run()[-1] == "run complete"
    assert batch.files() == undisturbed.files()
    assert batch.left() == {"seed-0", "seed-0.ipynb"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_end_a_batch_in_two_lines(begin, number, code):
    batch = begin().start()
    batch.wait_for_epoch()
    running, counts = batch.status()
    where = f"on {re.escape(socket.gethostname())}, process {batch.processes('ipykernel')[0].pid}"
    assert re.search(rf"running +{where}: epoch \d+ of 12, ", running)
    assert counts.startswith("0 done, 1 running, 0 interrupted")
    assert batch.stop(number) == []
    log = batch.finish(code)
    assert log[-2:] == ["0 of 1 runs are done", STOPPED]
    assert all(re.match(r"1 run to make|pathmnist_basic seed 0 +epoch", line) for line in log[:-2])


@pytest.mark.parametrize("seconds", [0.2, 1.5, 3])
def test_a_signal_to_all_processes_while_workers_start_ends_in_one_line(begin, seconds):
    batch = begin(seeds="0-1").start()
    with pytest.raises(subprocess.TimeoutExpired):
        batch.process.wait(seconds)
    family = batch.processes()
    os.killpg(batch.process.pid, signal.SIGTERM if seconds == 3 else signal.SIGINT)
    log = batch.process.wait(60) and batch.log.read_text().splitlines()
    # Before Python has set its handlers, a signal just ends it.
    assert seconds < 1 or log[-1] == STOPPED
    assert "Traceback" not in "".join(log)
    wait_for(lambda: not any(process.is_running() for process in family), 15)


def test_a_killed_kernel_is_reported_and_the_other_runs_continue(begin, undisturbed):
    batch = begin(seeds="0-1").start()
    batch.wait_for_epoch(seed=1)
    batch.processes(".seed-1.")[0].kill()
    log = batch.finish(1)
    assert log[-2] == "pathmnist_basic seed 1: DeadKernelError: Kernel died"
    assert log[-1] == "1 of 2 runs failed; `status` and their notebooks show where"
    assert batch.files() == undisturbed.files()
    assert batch.status()[1].split()[3:7] == ["failed", "DeadKernelError:", "Kernel", "died;"]


def test_another_worker_makes_the_run_of_a_killed_one(begin, undisturbed):
    batch = begin().start()
    batch.wait_for_epoch()
    (kernel,) = batch.processes("ipykernel")
    kernel.parent().kill()
    log = batch.finish()
    assert any("distributed.nanny - WARNING - Restarting worker" in line for line in log)
    assert batch.files() == undisturbed.files()


def test_two_batches_share_the_work(begin, undisturbed):
    first, second = begin(seeds="0-1").start(), begin(seeds="0-1")
    second.log = second.folder / "second.log"
    second.start()
    made = {}

    def have_ended() -> bool:
        for seed in (0, 1):  # a run that is made must not be made again
            if (first.place(seed) / "run.json").exists():
                inode = first.place(seed).stat().st_ino
                assert made.setdefault(seed, inode) == inode
        return first.process.poll() is not None and second.process.poll() is not None

    wait_for(have_ended)
    assert first.finish()[-1] == second.finish()[-1] == "all 2 runs complete"
    assert [first.files(seed) for seed in (0, 1)] == [undisturbed.files(s) for s in (0, 1)]
    assert first.left() == undisturbed.left()


def test_a_batch_waits_for_a_run_that_another_process_makes(begin, undisturbed, tmp_path):
    batch = begin()
    shutil.copytree(undisturbed.results, batch.results)
    aside = batch.place().rename(tmp_path / "aside")
    with lock_run(batch.place()) as ours:
        assert ours
        batch.start()
        batch.wait_for(
            lambda: "another batch is making some of these runs" in batch.log.read_text()
        )
        assert batch.status()[0].endswith("running     training has not begun")
        aside.rename(batch.place())
    assert batch.finish()[-1] == "run complete"


def test_a_corrupt_record_is_made_again_and_leftovers_are_cleared(begin, undisturbed):
    batch = begin(seeds="0-1")
    shutil.copytree(undisturbed.results, batch.results)
    (batch.place(0) / "metrics.csv").write_bytes(b"")
    for name in (".seed-0.12.new", ".seed-1.ab.new", ".seed-1.checkpoint"):
        batch.place().with_name(name).touch()
    assert re.search("corrupt .*metrics.csv", batch.status()[0])
    log = batch.run()
    assert re.match("warning: .*seed-0.*metrics.csv.*; this batch repeats it", log[0])
    assert batch.files(0) == undisturbed.files(0)
    (aside,) = batch.left() - undisturbed.left()
    assert re.fullmatch(r"\.seed-0\.\w+\.corrupt", aside)


@pytest.fixture
def slurm() -> str:
    """The lines of the page Reliability that start a batch on a cluster."""
    text = (ROOT / "book" / "reliability.md").read_text()
    (lines,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return lines


def test_a_scheduler_elsewhere_makes_the_runs_as_the_slurm_recipe_says(begin, undisturbed, slurm):
    batch = begin()
    (batch.folder / "dask_jobqueue.py").write_text(
        "from distributed import LocalCluster\n"
        "class SLURMCluster(LocalCluster):\n"
        "    def __init__(self, cores, processes, memory, walltime, queue, job_extra_directives):\n"
        "        super().__init__(0, threads_per_worker=cores, dashboard_address=None)\n"
        "    def adapt(self, minimum_jobs, maximum_jobs):\n"
        "        return super().adapt(minimum=minimum_jobs, maximum=1)\n"
    )
    (batch.folder / "slurm.py").write_text(slurm)
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(batch.folder / "slurm.py"), *batch.words]
    env = batch.environment | {"PYTHONPATH": path}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert batch.files() == undisturbed.files()


def test_dask_jobqueue_accepts_the_slurm_recipe(slurm):
    job = {"cores": 1, "processes": 1, "memory": "16GB", "walltime": "12:00:00"}
    assert str(job).replace("'", '"') in slurm
    extra = {"queue": "gpu", "job_extra_directives": ["--gres=gpu:1"]}
    assert issubclass(dask_jobqueue.SLURMCluster, dask.distributed.SpecCluster)
    with dask_jobqueue.SLURMCluster(**job, **extra) as cluster:
        script = cluster.job_script()
    for line in ("--gres=gpu:1", "-p gpu", "-t 12:00:00"):
        assert f"#SBATCH {line}" in script


def test_a_lost_scheduler_ends_the_batch_in_one_line(begin):
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        where = ["--scheduler", cluster.scheduler_address]
        batch = begin(*where, DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="3s").start()
        batch.wait_for_epoch()
    log = batch.finish(1)
    assert log[-1] == (
        "lost the connection to the scheduler; the same command continues with what is missing"
    )
    assert "Traceback" not in "".join(log)


def execute(parameters: dict) -> None:
    """Execute the code of a notebook in this process, as a kernel does."""
    os.environ["OMP_NUM_THREADS"] = "1"
    notebook = jupytext.read(NOTEBOOKS / "pathmnist_basic.py")
    values = {"display": lambda *_: None}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            exec(cell.source, values)
            if "parameters" in cell.metadata.get("tags", []):
                values |= parameters


def test_a_dozen_kills_at_random_moments_end_in_the_same_bits(begin, undisturbed):
    batch = begin()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["helpers.experiment", "helpers.report", "helpers.runs"])
    moments, kills = random.Random(16), 0
    (job,) = plan("smoke", [0], "pathmnist_basic", parse_overrides(batch.words[5::2]))
    while kills < 12:
        run = context.Process(target=execute, args=[job.injected])
        run.start()
        run.join(moments.uniform(0.1, 1.5))
        if run.exitcode is None:
            run.kill()
            kills += 1
        run.join()
        assert run.exitcode in (0, -signal.SIGKILL)
        if run.exitcode == 0:
            assert batch.files() == undisturbed.files()
            shutil.rmtree(batch.place())
    batch.run()
    assert batch.files() == undisturbed.files()
    assert batch.left() == {"seed-0", "seed-0.ipynb"}
