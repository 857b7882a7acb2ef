"""Kernels that have imported already: forked, one a notebook, from a process that did it once.

The server (`kernel_server`) is a process of its own, without threads, since only such a process
can be forked safely. Nothing outlives anybody: the server ends when the socket to the process that
started it closes, however that process ended, and the system kills the kernels of a server that is
gone. Where a fork is not safe (macOS, Windows) or not asked for, kernels are started as ever.
"""

import atexit
import contextlib
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner


class Server:
    """The process that forks, and the way to ask it."""

    def __init__(self):
        self.environment, self.loaded = dict(os.environ), set()
        self.link, theirs = socket.socketpair()
        self.replies = self.link.makefile()
        # Whoever forks from this process may ask as well.
        self.lock = multiprocessing.get_context("fork").Lock()
        command = [sys.executable, "-m", f"{__package__}.kernel_server", str(theirs.fileno())]
        with theirs:
            # A session of its own: Ctrl-C is for the process that started the server.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def load(self, name: str) -> None:
        """Let it load what it has not yet; does not wait."""
        with self.lock, contextlib.suppress(OSError):
            if name not in self.loaded:
                self._send({"load": name})
                self.loaded.add(name)

    def _send(self, request: dict) -> None:
        self.link.sendall(json.dumps(request).encode() + b"\n")

    def ask(self, **request) -> int | None:
        """Return the answer to a request; OSError where the server is gone."""
        with self.lock:
            self._send(request)
            if not (reply := self.replies.readline()):
                raise BrokenPipeError("the server of kernels is gone")
        return json.loads(reply)

    def close(self) -> None:
        """End the server and its kernels."""
        self.process.kill()
        self.process.wait()
        self.replies.close()
        self.link.close()


_server: Server | None = None


def preload(*names: str) -> None:
    """Let the kernels that this process starts from now on have loaded these names.

    They are loaded at once, in the background, with the environment as it is now. What cannot be
    loaded is left to the notebook, which shows the error.

    Parameters
    ----------
    names : modules to import, or ``module:function`` to call
    """
    global _server
    if sys.platform != "linux":
        return
    factory = KernelProvisionerFactory.instance()
    place = f"{ForkingProvisioner.__module__}:{ForkingProvisioner.__name__}"
    factory.provisioners["forking"] = EntryPoint("forking", place, factory.GROUP_NAME)
    factory.default_provisioner_name = "forking"
    if _server and (_server.environment != os.environ or _server.process.poll() is not None):
        atexit.unregister(_server.close)
        _server.close()
        _server = None
    if _server is None:
        _server = Server()
        atexit.register(_server.close)
    for name in names:
        _server.load(name)


def wait_until_loaded() -> None:
    """Return when all is loaded; here Ctrl-C counts, and not while a notebook's kernel starts."""
    if _server:
        with contextlib.suppress(OSError):
            _server.ask(poll=None)


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

    async def pre_launch(self, **kwargs) -> dict:
        """Let manager and kernel meet under a name, not at ports, as many kernels start at once.

        A port that was free when the manager looked may be another's when the kernel comes.
        """
        # The "@" makes it a name that Linux keeps without a file.
        self.parent.transport, self.parent.ip = "ipc", f"@kernel-{self.kernel_id}"
        return await super().pre_launch(**kwargs)

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
