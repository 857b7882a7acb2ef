"""Kernels that execute notebooks: this interpreter's own, in an environment that the batch makes.

Neither kernelspecs nor configuration files of the user decide what a kernel does. ipykernel ends a
kernel within seconds of the death of the process that started it.
"""

import importlib.util
import os
import sys
import uuid
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

#: Settings of glibc that keep freed memory for the next training step, a tenth of its time. Blocks
#: above the first size are mapped one by one; free memory above the second returns to the system.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),  # the most that glibc accepts
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
}

#: Beginnings of variables through which a user's settings would reach a kernel.
FOREIGN = ("IPYTHON", "JUPYTER", "MPLBACKEND", "PYTHONOPTIMIZE", "PYTHONSTARTUP", "PYTHONWARNINGS")


def make_environment(folder: Path, threads: int | None, gpu: str | None) -> dict[str, str]:
    """Return the environment variables of a kernel.

    Parameters
    ----------
    folder : empty folder, in place of the user's IPython and Jupyter folders
    threads : cores that the kernel may use; None keeps this process's setting
    gpu : value of CUDA_VISIBLE_DEVICES; None keeps this process's setting
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    # Not imported: a worker needs nothing else of matplotlib.
    matplotlib = Path(importlib.util.find_spec("matplotlib").origin).parent
    own = {
        "IPYTHONDIR": str(folder),
        "JUPYTER_CONFIG_DIR": str(folder),
        "JUPYTER_DATA_DIR": str(folder),
        "JUPYTER_RUNTIME_DIR": str(folder),
        "MATPLOTLIBRC": str(matplotlib / "mpl-data" / "matplotlibrc"),
        "PYTHONUTF8": "1",  # files are read alike under every locale
    }
    if threads is not None:
        own |= {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    if gpu is not None:
        own["CUDA_VISIBLE_DEVICES"] = gpu
    try:
        Path.home()
    except RuntimeError:  # a user without a name; some packages make a folder at home on import
        own["HOME"] = str(folder)
    return kept | ALLOCATOR | own


def make_manager(folder: Path, environment: dict[str, str]) -> type[AsyncKernelManager]:
    """Return a class of kernel managers whose kernels have this environment.

    Parameters
    ----------
    folder : takes the file that tells manager and kernel how to meet
    """
    # Named sockets on Linux: a free TCP port could be another kernel's a moment later.
    meeting = {"transport": "ipc", "ip": f"@{uuid.uuid4().hex}"} if sys.platform == "linux" else {}

    class Manager(AsyncKernelManager):
        def __init__(self, **options):
            super().__init__(
                # Without folders to search, only the kernelspec of this interpreter is left.
                kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
                connection_file=str(folder / "connection.json"),
                **meeting,
                **options,
            )

        async def start_kernel(self, **options) -> None:
            await super().start_kernel(env=environment, **options)

    return Manager
