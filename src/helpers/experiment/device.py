"""Where tensors live, and that the same seed gives the same bits there."""

import contextlib
import ctypes
import os
import sys

import torch

#: Of glibc's malloc.h: blocks above this size are mapped one by one (32 MiB is the most it takes),
#: and above this size what is free at the end of the heap goes back to the system.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1


def keep_freed_memory() -> None:
    """Let this process keep the memory that a training step frees, for the next step to take.

    Given back and taken again, each page is cleared by the system anew: a tenth of a step. The
    peak grows by about one percent. Where the C library is not glibc, nothing happens.
    """
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another C library
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(M_MMAP_THRESHOLD, 32 * 2**20)
            mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def pick_device() -> torch.device:
    """Return the first CUDA device if there is one, else the CPU.

    On the CPU a run takes one core, unless OMP_NUM_THREADS says otherwise: sums depend on how
    many share them, and a batch makes one run a core. On CUDA it asks for deterministic
    algorithms and for float32 that is float32; an operation that has no deterministic algorithm
    is named in a warning.
    """
    if not torch.cuda.is_available():
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(1)
        keep_freed_memory()
        return torch.device("cpu")
    # cuBLAS needs its workspace fixed before the first call to be deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.allow_tf32 = False  # else a blur sums with ten bits
    return torch.device("cuda")


def autocast(device: torch.device, precision: str, cache: bool = True) -> torch.autocast:
    """Return the context of a training's forward pass; "bfloat16" is mixed precision.

    With ``cache``, a weight that is used several times in it is cast once.
    """
    mixed = precision == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=mixed, cache_enabled=cache)
