"""CPU or GPU: settings, mixed precision, uploads of batches and CUDA graphs."""

import os
import warnings
from collections.abc import Iterator

import torch
from torch import Tensor, nn


def pick_device() -> torch.device:
    """Return the first CUDA device, or the CPU if none is available.

    On a CPU a run uses one core unless OMP_NUM_THREADS is set, since sums depend on the number of
    threads. On CUDA this requests deterministic algorithms and full float32 precision.
    """
    if not torch.cuda.is_available():
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(1)
        return torch.device("cpu")
    # cuBLAS is deterministic only if its workspace is fixed before the first call.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.allow_tf32 = False  # a blur would sum with ten bits of mantissa
    return torch.device("cuda")


def autocast(device: torch.device, precision: str, cache: bool = True) -> torch.autocast:
    """Return the context of a forward pass; with ``cache``, each weight is cast only once."""
    mixed = precision == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=mixed, cache_enabled=cache)


def iter_batches(images: Tensor, order: Tensor, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield indices and images of each batch, on the device of ``order``, int64 (M,)."""
    resident = images.device == order.device
    rows = order if resident else order.cpu()
    for index, part in zip(order.split(batch_size), rows.split(batch_size), strict=True):
        yield index, images[part] if resident else upload(images, part, order.device)


def upload(images: Tensor, index: Tensor, device: torch.device) -> Tensor:
    """Return images on the device, copied asynchronously through page-locked memory."""
    shape, pinned = (len(index), *images.shape[1:]), torch.cuda.is_available()
    buffer = torch.empty(shape, dtype=images.dtype, pin_memory=pinned)
    torch.index_select(images, 0, index, out=buffer)
    return buffer.to(device, non_blocking=True)


class GraphedForward:
    """A network in training mode, whose forward and backward passes replay a graph on CUDA.

    Results equal those of the network itself, which handles batches of another size than ``shape``,
    (N, 3, H, W), and all batches on a CPU. Parameters and buffers must keep their memory, and each
    backward pass must precede the next forward pass, which overwrites the activations.
    """

    def __init__(self, model: nn.Module, shape: tuple[int, ...], precision: str):
        self.model, self.shape, self.precision = model, torch.Size(shape), precision
        self.enabled = model.device.type == "cuda"
        self.replay, self.modes = None, None

    def prepare(self) -> None:
        """Capture the graph if the mode of a layer has changed; call this before each epoch."""
        modes = [module.training for module in self.model.modules()]
        if not self.enabled or modes == self.modes:
            return
        self.modes, self.replay = modes, None  # frees the memory of the old graph
        before = [buffer.clone() for buffer in self.model.buffers()]
        images = torch.zeros(self.shape, device=self.model.device)
        try:
            passes = _Pass(self.model, self.precision)
            self.replay = torch.cuda.make_graphed_callables(passes, (images,))
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            warnings.warn(f"no CUDA graph, training is slower: {reason}", stacklevel=2)
        # Warming up changes the batch norm statistics; the graph holds their addresses.
        for buffer, value in zip(self.model.buffers(), before, strict=True):
            buffer.copy_(value)

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits (N, C) of images, float in [0, 1]."""
        forward = self.replay if self.replay and images.shape == self.shape else self.model
        return forward(images)


class _Pass(nn.Module):
    """A forward pass in its precision; a separate module, since a capture replaces `forward`."""

    def __init__(self, model: nn.Module, precision: str):
        super().__init__()
        self.model, self.precision = model, precision

    def forward(self, images: Tensor) -> Tensor:
        # Without cache: later passes must not use casts of weights made during the capture.
        with autocast(self.model.device, self.precision, cache=False):
            return self.model(images)
