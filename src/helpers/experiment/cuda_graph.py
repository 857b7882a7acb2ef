"""The network's part of a training step as a CUDA graph: one launch instead of hundreds."""

import warnings

import torch
from torch import Tensor, nn

from .device import autocast
from .models import Classifier


class GraphedForward:
    """A classifier's forward pass in training, on CUDA replayed from a graph, and so its backward.

    It computes what the classifier does, gradients and statistics of batch norm included; on a
    CPU, and for a batch of another size than the captured one, it is the classifier itself.
    Parameters and statistics must stay the tensors that they are. The activations of a pass are
    overwritten by the next one, so that each backward pass must come before that.

    Parameters
    ----------
    model : on its device
    shape : (N, 3, H, W) of the batches, float32 in [0, 1]
    precision : see `autocast`

    Source: ``torch.cuda.make_graphed_callables``, which takes care of capture and replay.
    """

    def __init__(self, model: Classifier, shape: tuple[int, ...], precision: str):
        self.model, self.shape, self.precision = model, torch.Size(shape), precision
        self.has_graphs = model.device.type == "cuda"
        self.replay, self.modes = None, None

    def prepare(self) -> None:
        """Capture anew if a layer's mode has changed; to be called before the batches of an epoch.

        Where the capture fails, a warning says so, and the passes are launched one by one.
        """
        modes = [module.training for module in self.model.modules()]
        if not self.has_graphs or modes == self.modes:
            return
        self.modes, self.replay = modes, None  # the old graph gives its memory back
        before = [buffer.clone() for buffer in self.model.buffers()]
        images = torch.zeros(self.shape, device=self.model.device)
        try:
            self.replay = torch.cuda.make_graphed_callables(
                _Pass(self.model, self.precision), (images,)
            )
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            warnings.warn(f"no CUDA graph, training is slower: {reason}", stacklevel=2)
        # The passes that warm up move the statistics of batch norm; the graph knows their address.
        for buffer, value in zip(self.model.buffers(), before, strict=True):
            buffer.copy_(value)

    def __call__(self, images: Tensor) -> Tensor:
        """Return logits (N, C) of images, float in [0, 1]."""
        forward = self.replay if self.replay and images.shape == self.shape else self.model
        return forward(images)


class _Pass(nn.Module):
    """A forward pass in its precision; a module of its own, since a capture replaces `forward`."""

    def __init__(self, model: Classifier, precision: str):
        super().__init__()
        self.model, self.precision = model, precision

    def forward(self, images: Tensor) -> Tensor:
        # Without cache: later passes must not use casts of weights that only the capture made.
        with autocast(self.model.device, self.precision, cache=False):
            return self.model(images)
