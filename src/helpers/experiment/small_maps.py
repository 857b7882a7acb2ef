"""3x3 convolutions on maps of 1x1 and 2x2 pixels as the dense products that they are."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class SmallMapConv2d(nn.Conv2d):
    """A padded 3x3 convolution that is a matrix product where its input is 1x1 or 2x2 pixels.

    At 28 px the last stages of a ResNet see such maps, and there the padded convolution spends
    most of its time on taps that meet only padding. What meets data is

    - on a 1x1 map the centre tap: a product with ``weight[:, :, 1, 1]``;
    - on a 2x2 map with stride 2 the lower right 2x2 taps, one product with a (O, 4 I) matrix;
    - on a 2x2 map with stride 1 another 2x2 of the taps for each output pixel: one product with
      a (4 O, 4 I) matrix.

    Values and gradients are those of ``nn.Conv2d`` up to the order of summation, and so is the
    state dict. Every other map goes to ``nn.Conv2d``.
    """

    @classmethod
    def like(cls, conv: nn.Conv2d) -> "SmallMapConv2d":
        """Return the drop-in for a convolution; it shares the parameters."""
        new = cls(conv.in_channels, conv.out_channels, 3, conv.stride, 1, bias=False, device="meta")
        new.weight = conv.weight
        return new

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, I, H, W) to (N, O, H', W')."""
        height, width = images.shape[-2:]
        if height != width or height > 2:
            return super().forward(images)
        # Pixel-major rows: on a channels-last tensor this is a view.
        rows = images.permute(0, 2, 3, 1).flatten(1)
        if height == 1:
            return functional.linear(rows, self.weight[:, :, 1, 1])[:, :, None, None]
        outputs = [0, 1] if self.stride == (1, 1) else [0]
        matrix = torch.cat([self._taps(row, column) for row in outputs for column in outputs])
        pixels = functional.linear(rows, matrix).unflatten(1, (len(outputs), len(outputs), -1))
        return pixels.permute(0, 3, 1, 2)

    def _taps(self, row: int, column: int) -> Tensor:
        """Return the (O, 4 I) taps that lie on the 2x2 input for one output pixel."""
        taps = self.weight[:, :, 1 - row : 3 - row, 1 - column : 3 - column]
        return taps.permute(0, 2, 3, 1).flatten(1)


def use_small_maps(module: nn.Module) -> nn.Module:
    """Replace, in place, every bias-free padded 3x3 convolution of stride 1 or 2 by the drop-in."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and _fits(child):
            setattr(module, name, SmallMapConv2d.like(child))
        else:
            use_small_maps(child)
    return module


def _fits(conv: nn.Conv2d) -> bool:
    return (
        conv.kernel_size == (3, 3)
        and conv.padding == (1, 1)
        and conv.stride in {(1, 1), (2, 2)}
        and conv.dilation == (1, 1)
        and conv.groups == 1
        and conv.bias is None
    )
