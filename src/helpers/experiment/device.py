"""Where tensors live, and that the same seed gives the same bits there."""

import os

import torch


def pick_device() -> torch.device:
    """Return the first CUDA device if there is one, else the CPU.

    On CUDA it asks for deterministic algorithms, so that a run with the same seed on the same
    machine repeats bit by bit; an operation that has none is named in a warning.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    # cuBLAS needs its workspace fixed before the first call to be deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    return torch.device("cuda")


def autocast(device: torch.device) -> torch.autocast:
    """Return the context in which a forward pass runs: bfloat16 on CUDA, float32 on the CPU."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
