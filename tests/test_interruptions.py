"""Real batches that are killed, stopped or doubled: what they leave, and that no bit differs."""

import contextlib
import functools
import json
import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest
from dask.system import CPU_COUNT

from helpers import ROOT
from helpers.runs.files import list_beside
from helpers.runs.record import read_record, read_records, run_folder
from test_worker import fork, hold

SMALL = ["--only", "pathmnist_mixup", "-p", "epochs=4", "-p", "image_size=16"]
SMALL += ["-p", "batch_size=64", "-p", "corruptions={'blur': [0.5]}"]
SMALL += ["--jobs", "1"]  # the bits depend on how many threads share a sum


def start(results, *words, **environment):
    """Start a batch in a session of its own."""
    command = [sys.executable, "-m", "helpers", "run", *SMALL, "-p", f"results={results}", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    how = {"cwd": ROOT, "env": os.environ | environment, "start_new_session": True}
    listen = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    # Tests that a shell started in the background hand on that Ctrl-C is ignored.
    return subprocess.Popen(command, **how, **pipes, preexec_fn=listen)


def finish(process, code=0):
    out, err = process.communicate(timeout=900)
    assert process.returncode == code, err
    return out, err


def wait_for(condition, seconds=600):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def place(results, seed=0):
    return run_folder(results, "pathmnist_mixup", seed)


def in_training(results, seed=0):
    return list_beside(place(results, seed), "checkpoint")


def check(results, undisturbed, *seeds):
    """The records are whole, with the bits of the undisturbed ones, and nothing else is left."""
    assert [record.seed for record in read_records(results)] == list(seeds)
    for seed in seeds:
        assert read_record(place(results, seed)).run["files"] == undisturbed[seed]
    names = {path.name for path in place(results).parent.iterdir()}
    assert names == {f"seed-{seed}{end}" for seed in seeds for end in ("", ".ipynb")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Checksums of the files of two runs that nothing happened to."""
    results = tmp_path_factory.mktemp("undisturbed")
    finish(start(results, "--seeds", "0-1"))
    return [read_record(place(results, seed)).run["files"] for seed in (0, 1)]


def test_a_batch_that_is_killed_leaves_no_process_and_goes_on_to_the_same_bits(
    tmp_path, undisturbed
):
    results = tmp_path / "größer und schöner"
    batch = start(results, "--seeds", "0")
    wait_for(lambda: in_training(results))
    family = psutil.Process(batch.pid).children(recursive=True)
    assert any("kernel_server" in " ".join(process.cmdline()) for process in family)
    batch.kill()
    batch.communicate()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
    assert read_records(results) == []
    out, _ = finish(start(results, "--seeds", "0"))
    assert "the run is there" in out
    check(results, undisturbed, 0)
    assert "training goes on after epoch" in place(results).with_suffix(".ipynb").read_text()


def test_ctrl_c_stops_at_once_and_tells_what_is_done(tmp_path, undisturbed):
    batch = start(tmp_path, "--seeds", "0-1")
    wait_for(lambda: place(tmp_path, 0).exists() and in_training(tmp_path, 1))
    family = psutil.Process(batch.pid).children(recursive=True)
    batch.send_signal(signal.SIGINT)
    _, err = finish(batch, 130)
    assert not place(tmp_path, 1).exists()  # it did not wait for the run's end
    assert "1 of 2 runs are done\nstopped; the same command goes on with what is missing" in err
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
    finish(start(tmp_path, "--seeds", "0-1"))
    check(tmp_path, undisturbed, 0, 1)


@pytest.mark.parametrize("seconds", [1, 1.5, 2, 2.5, 3, 4])
def test_ctrl_c_while_workers_start_ends_in_two_lines(tmp_path, seconds):
    batch = start(tmp_path, "--seeds", "0-1", "--jobs", "2")
    time.sleep(seconds)
    family = psutil.Process(batch.pid).children(recursive=True)
    os.killpg(batch.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, err = finish(batch, 130)
    *counted, last = err.splitlines()
    assert last == "stopped; the same command goes on with what is missing"
    assert counted in ([], ["0 of 2 runs are done"])
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive


def test_ctrl_c_within_executed_text_is_130_too(tmp_path):
    (tmp_path / "typer.py").write_text('exec("raise KeyboardInterrupt")')  # as dataclasses do it
    batch = start(tmp_path, PYTHONPATH=str(tmp_path))
    _, err = finish(batch, 130)
    assert err == "stopped; the same command goes on with what is missing\n"


def test_two_batches_share_the_work(tmp_path, undisturbed):
    batches = [start(tmp_path, "--seeds", "0-1") for _ in range(2)]
    seen = {}

    def ended():
        for seed in (0, 1):  # what was made once must not be made again
            if place(tmp_path, seed).exists():
                made = (place(tmp_path, seed) / "run.json").stat().st_ino
                assert seen.setdefault(seed, made) == made
        return all(batch.poll() is not None for batch in batches)

    wait_for(ended)
    assert all("all 2 runs are there" in finish(batch)[0] for batch in batches)
    assert seen.keys() == {0, 1}
    check(tmp_path, undisturbed, 0, 1)


def test_what_a_process_was_making_when_it_died_another_batch_takes_over(tmp_path, undisturbed):
    ready = fork.SimpleQueue()
    other = fork.Process(target=hold, args=(place(tmp_path), ready))
    other.start()
    assert ready.get()
    batch = start(tmp_path, "--seeds", "0")
    lines = iter(batch.stdout.readline, "")
    assert any("another batch is making 1 of them: waiting" in line for line in lines)
    assert not in_training(tmp_path)
    other.kill()
    other.join()
    finish(batch)
    check(tmp_path, undisturbed, 0)


@contextlib.contextmanager
def cluster(folder, count):
    """A Dask scheduler, its address, and workers of one thread each."""
    address = folder / "scheduler.json"
    module = [sys.executable, "-m", "distributed.cli.dask_"]
    common = ["--no-dashboard", "--scheduler-file", str(address)]
    quiet = {"cwd": folder, "stderr": subprocess.DEVNULL}

    def launch(name, *words):
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        command = [*module[:-1], module[-1] + name, *common, *words]
        started.append(subprocess.Popen(command, env=environment, **quiet))
        return started[-1]

    started = []
    try:
        scheduler = launch("scheduler", "--port", "0", "--host", "127.0.0.1")
        tcp = wait_for(lambda: read_address(address))
        yield (
            scheduler,
            tcp,
            [launch("worker", "--no-nanny", "--nthreads", "1") for _ in range(count)],
        )
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_a_cluster_that_loses_a_worker_finishes_all_runs_once(tmp_path):
    results = tmp_path / "results"
    with cluster(tmp_path, 2) as (_, tcp, workers):
        batch = start(results, "--seeds", "0-1", "--scheduler", tcp)
        wait_for(lambda: any(in_training(results, seed) for seed in (0, 1)))
        lost = next(w for w in workers if psutil.Process(w.pid).children(recursive=True))
        kernels = psutil.Process(lost.pid).children(recursive=True)
        lost.kill()
        _, alive = psutil.wait_procs(kernels, timeout=60)
        assert not alive
        out, _ = finish(batch)
        assert "all 2 runs are there" in out
    # One thread a run, as those workers have.
    finish(start(tmp_path / "undisturbed", "--seeds", "0-1", "--jobs", str(CPU_COUNT)))
    undisturbed = [record.run["files"] for record in read_records(tmp_path / "undisturbed")]
    check(results, undisturbed, 0, 1)


def test_a_scheduler_that_is_lost_ends_the_batch_in_a_line(tmp_path, monkeypatch):
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "3s")  # how long to try again
    with cluster(tmp_path, 1) as (scheduler, tcp, _):
        batch = start(tmp_path / "results", "--seeds", "0", "--scheduler", tcp)
        wait_for(lambda: in_training(tmp_path / "results"))
        scheduler.kill()
        _, err = finish(batch, 1)
    assert "the connection to the scheduler is lost; the same command goes on" in err
    assert "Traceback" not in err


def test_ctrl_c_tells_that_workers_elsewhere_finish_what_they_have_begun(tmp_path):
    with cluster(tmp_path, 1) as (_, tcp, _):
        batch = start(tmp_path / "results", "--seeds", "0", "--scheduler", tcp)
        wait_for(lambda: in_training(tmp_path / "results"))
        batch.send_signal(signal.SIGINT)
        _, err = finish(batch, 130)
        told = "0 of 1 runs are done; the scheduler's workers finish what they have begun"
        assert err.splitlines()[-2:-1] == [told]
        wait_for(lambda: place(tmp_path / "results").exists())


def read_address(path):
    try:
        return json.loads(path.read_text())["address"]
    except (OSError, ValueError):  # not there, or still being written
        return None


def test_no_decision_hangs_on_the_clock():
    """A clock that is set back moves what a record and a page tell as their date, and no more."""
    reads = re.compile(r"time\.time\(|\.now\(|\.today\(|st_[mca]time|getmtime")
    found = {
        f"{path.relative_to(ROOT / 'src/helpers')}: {line.strip()}"
        for path in (ROOT / "src").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if reads.search(line)
    }
    assert {place.partition(":")[0] for place in found} == {
        "runs/run.py",  # when the run started
        "report/facts.py",  # when the book was built
        "experiment/pets.py",  # whether an image is still the one that was read: equal or not
    }
    assert len(found) == 3
