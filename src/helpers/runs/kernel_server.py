"""The process that kernels are forked from; see `kernels`, which starts it and asks it."""

import contextlib
import ctypes
import gc
import json
import os
import pkgutil
import signal
import socket
import sys
from pathlib import Path

#: ``prctl(PR_SET_PDEATHSIG, ...)`` of Linux: the signal for the death of the parent.
PARENT_DEATH_SIGNAL = 1


def serve(link: socket.socket) -> dict | None:
    """Answer until nobody is there to ask: None; or, in each kernel, the request for it."""
    requests = link.makefile()
    for line in requests:
        request = json.loads(line)
        if name := request.get("load"):
            with contextlib.suppress(Exception):
                load(name)
            continue
        if "poll" in request:
            ended, status = os.waitpid(request["poll"], os.WNOHANG) if request["poll"] else (0, 0)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        else:
            answer = os.fork()
            if not answer:
                requests.close()
                link.close()
                return request
        link.sendall(json.dumps(answer).encode() + b"\n")
    return None


def load(name: str) -> None:
    """Import a module, or call a function that is named with its module."""
    found = pkgutil.resolve_name(name)
    if callable(found):
        found()
    gc.collect()
    gc.freeze()  # no collection in a kernel writes to, and so copies, what it shares


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


def main(descriptor: str) -> None:
    """Serve on the socket of this number."""
    if Path(sys.path[0]) == Path.cwd():  # as ipykernel_launcher does
        del sys.path[0]
    load("ipykernel.kernelapp")
    parent = os.getpid()
    request = None
    with contextlib.suppress(OSError):  # whoever asked died before the answer
        request = serve(socket.socket(fileno=int(descriptor)))
    if request is None:
        os._exit(0)  # at once: whoever asked may be waiting
    become_kernel(**request, parent=parent)


if __name__ == "__main__":
    main(sys.argv[1])
