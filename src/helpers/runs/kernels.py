"""Kernels that have imported already: forked, one a notebook, from a process that did it once.

The server is a process of its own, without threads, since only such a process can be forked
safely. Nothing outlives anybody: the server ends when the socket to the process that started it
closes, however that process ended, and the system kills the kernels of a server that is gone.
Where a fork is not safe (macOS, Windows) or not asked for, kernels are started as ever.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from importlib.metadata import EntryPoint
from pathlib import Path

from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

#: ``prctl(PR_SET_PDEATHSIG, ...)`` of Linux: the signal for the death of the parent.
PARENT_DEATH_SIGNAL = 1


class Server:
    """The process that forks, and the way to ask it."""

    def __init__(self, modules: tuple[str, ...]):
        self.made_for = modules, dict(os.environ)
        self.link, theirs = socket.socketpair()
        self.replies = self.link.makefile()
        self.lock = threading.Lock()
        command = [sys.executable, "-P", "-m", __name__, str(theirs.fileno()), *modules]
        with theirs:
            # A session of its own: Ctrl-C is for the process that started the server.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def ask(self, **request) -> int | None:
        """Return the answer to a request; OSError where the server is gone."""
        with self.lock:
            self.link.sendall(json.dumps(request).encode() + b"\n")
            if not (reply := self.replies.readline()):
                raise BrokenPipeError("the server of kernels is gone")
        return json.loads(reply)

    def close(self) -> None:
        """End the server and its kernels."""
        self.replies.close()
        self.link.close()
        self.process.wait()


_server: Server | None = None


def preload(*modules: str) -> None:
    """Let the kernels that this process starts from now on have imported these modules.

    They are imported at once, in the background, with the environment as it is now. What cannot
    be imported is left to the notebook, which shows the error.
    """
    global _server
    if sys.platform != "linux":
        return
    factory = KernelProvisionerFactory.instance()
    place = f"{ForkingProvisioner.__module__}:{ForkingProvisioner.__name__}"
    factory.provisioners["forking"] = EntryPoint("forking", place, factory.GROUP_NAME)
    factory.default_provisioner_name = "forking"
    if _server and (_server.made_for != (modules, os.environ) or _server.process.poll() is not None):
        _server.close()
        _server = None
    _server = _server or Server(modules)


class Kernel:
    """A forked kernel, by the part of `subprocess.Popen` that provisioners use."""

    stdin = stdout = stderr = None

    def __init__(self, server: Server, pid: int):
        self.server, self.pid = server, pid
        self.returncode = None

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        if self.returncode is None:
            try:
                self.returncode = self.server.ask(poll=self.pid)
            except OSError:  # with its server it is gone itself
                self.returncode = -signal.SIGKILL
        return self.returncode

    wait = poll  # provisioners wait only for what has ended

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel alone."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


class ForkingProvisioner(LocalProvisioner):
    """Starts the IPython kernels of this environment by a fork, all others as ever."""

    async def launch_kernel(self, cmd: list[str], **kwargs) -> dict:
        """Launch a kernel with a command."""
        launcher = ["-m", "ipykernel_launcher"]
        ours = Path(cmd[0]).parent == Path(sys.executable).parent and cmd[1:3] == launcher
        if not ours or self._scrub_kwargs(kwargs).keys() - {"cwd", "env"}:
            return await super().launch_kernel(cmd, **kwargs)
        cwd, env = str(kwargs.get("cwd") or Path.cwd()), kwargs.get("env") or dict(os.environ)
        try:
            pid = _server.ask(arguments=cmd[3:], cwd=cwd, env=env)
        except OSError:
            return await super().launch_kernel(cmd, **kwargs)
        self.process, self.pid, self.pgid, self.cwd = Kernel(_server, pid), pid, pid, cwd
        return self.connection_info


def serve(link: socket.socket) -> dict | None:
    """Answer until nobody is there to ask: None; or, in each kernel, the request for it."""
    ended: dict[int, int] = {}
    requests = link.makefile()
    for line in requests:
        request = json.loads(line)
        if (pid := request.get("poll")) is None:
            answer = os.fork()
            if not answer:
                requests.close()
                link.close()
                return request
        else:
            if pid not in ended and (status := os.waitpid(pid, os.WNOHANG))[0]:
                ended[pid] = os.waitstatus_to_exitcode(status[1])
            answer = ended.get(pid)
        link.sendall(json.dumps(answer).encode() + b"\n")
    return None


def become_kernel(arguments: list[str], cwd: str, env: dict[str, str], parent: int) -> None:
    """Run the kernel in this process, as ``ipykernel_launcher`` does in a new one."""
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()
    ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it could be watched
        return
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env | {"JPY_PARENT_PID": str(parent)})
    IPKernelApp.launch_instance([*arguments, f"--IPKernelApp.parent_handle={parent}"])


def main(descriptor: str, *modules: str) -> None:
    """Import the modules, then serve on the socket of this number."""
    for module in ["ipykernel.kernelapp", *modules]:
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    gc.collect()
    gc.freeze()  # no collection in a kernel writes to, and so copies, what it shares
    parent = os.getpid()
    request = serve(socket.socket(fileno=int(descriptor)))
    if request is not None:
        become_kernel(**request, parent=parent)


if __name__ == "__main__":
    main(*sys.argv[1:])
