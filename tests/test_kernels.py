"""Forked kernels: what they share, what they do not, and that none is left behind."""

import os
import signal
import socket
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
from jupyter_client.manager import start_new_kernel
from jupyter_client.provisioning import KernelProvisionerFactory
from nbclient import NotebookClient

from helpers.runs import kernels

forks = pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")


@pytest.fixture(autouse=True)
def plain_again():
    yield
    KernelProvisionerFactory.instance().default_provisioner_name = "local-provisioner"
    if kernels._server:
        kernels._server.close()
        kernels._server = None


def execute(*sources: str, **options) -> list[str]:
    """Return what the cells of a notebook print, executed as papermill and MyST-NB do."""
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, sources)))
    NotebookClient(notebook, kernel_name="python3", shutdown_kernel="immediate").execute(**options)
    return ["".join(part.text for part in cell.outputs) for cell in notebook.cells]


LOOK = """
import os, signal, subprocess, sys
print("wave" in sys.modules)
print(os.getcwd(), os.environ.get("A_WORD"), sys.path, __name__)
print(subprocess.run([sys.executable, "-c", "raise SystemExit(3)"]).returncode)
print(signal.getsignal(signal.SIGCHLD), os.getsid(0) == os.getpid(), sys.stdin.read(1) == "")
print(os.getppid())
"""


@forks
def test_a_forked_kernel_is_like_a_plain_one_that_has_imported(tmp_path, monkeypatch):
    monkeypatch.setenv("A_WORD", "said")
    plain = execute(LOOK, cwd=str(tmp_path))[0].splitlines()
    kernels.preload("wave")
    first, second = (execute(LOOK, cwd=str(tmp_path))[0].splitlines() for _ in range(2))
    assert (plain[0], first[0]) == ("False", "True")
    assert first[1:-1] == plain[1:-1]
    assert f"{tmp_path} said" in first[1]
    assert first == second  # one server for both
    assert int(first[-1]) == kernels._server.process.pid != os.getpid()


@forks
def test_another_environment_takes_another_server(monkeypatch):
    kernels.preload("wave")
    first = kernels._server.process
    kernels.preload("wave")
    assert kernels._server.process is first
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    kernels.preload()
    assert first.poll() is not None
    assert execute("import os; print(os.environ['OMP_NUM_THREADS'])") == ["7\n"]


@forks
def test_what_cannot_be_loaded_is_left_to_the_notebook():
    kernels.preload("no_such_module", "helpers.runs.kernel_server:no_such_function")
    assert execute("print(6 * 7)") == ["42\n"]


@forks
def test_a_server_that_is_gone_leaves_plain_kernels():
    kernels.preload()
    kernels._server.process.kill()
    assert execute("import os; print(os.getppid())") == [f"{os.getpid()}\n"]


@forks
def test_no_kernel_waits_at_a_port_that_another_process_could_take():
    kernels.preload()
    manager, client = start_new_kernel()
    try:
        sockets = psutil.Process(manager.provisioner.pid).net_connections("unix")
        names = {part.laddr for part in sockets}
        # shell, iopub, stdin, heartbeat, control
        assert {f"@kernel-{manager.kernel_id}-{number}" for number in range(1, 6)} <= names
        assert manager.get_connection_info()["transport"] == "ipc"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@forks
def test_interrupt_death_and_shutdown():
    kernels.preload()
    manager, client = start_new_kernel()
    pid = manager.provisioner.pid
    client.execute("import time; print('begun'); time.sleep(60)")
    while client.get_iopub_msg(timeout=20)["header"]["msg_type"] != "stream":
        pass
    manager.interrupt_kernel()
    assert client.get_shell_msg(timeout=20)["content"]["ename"] == "KeyboardInterrupt"
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while manager.is_alive():
        assert time.monotonic() < deadline
    assert manager.provisioner.process.poll() == -signal.SIGKILL
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager, client = start_new_kernel()
    pid = manager.provisioner.pid
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    assert not psutil.pid_exists(pid)


STARTER = """
import os, time
from jupyter_client.manager import start_new_kernel
from helpers.runs import kernels
kernels.preload()
manager, client = start_new_kernel()
client.execute("while True: pass")
print(kernels._server.process.pid, manager.provisioner.pid, flush=True)
time.sleep(600)
"""


@forks
@pytest.mark.parametrize("victim", ["starter", "server"])
def test_nothing_outlives_a_kill(victim):
    with subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE) as starter:
        server, kernel = (psutil.Process(int(word)) for word in starter.stdout.readline().split())
        assert kernel.ppid() == server.pid
        os.kill(starter.pid if victim == "starter" else server.pid, signal.SIGKILL)
        _, alive = psutil.wait_procs([kernel], timeout=20)
        starter.kill()
        assert not alive
        assert not psutil.wait_procs([server], timeout=20)[1]


@forks
def test_a_server_whose_asker_died_ends_in_silence():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-m", "helpers.runs.kernel_server", str(theirs.fileno())]
        server = subprocess.Popen(command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE)
        ours.sendall(b'{"poll": null}\n')
    assert server.communicate(timeout=60)[1] == b""
    assert server.returncode == 0


def test_elsewhere_kernels_are_plain(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    kernels.preload("wave")
    monkeypatch.undo()
    assert kernels._server is None
    printed = execute("import os, sys; print(os.getppid(), 'wave' in sys.modules)")
    assert printed == [f"{os.getpid()} False\n"]
