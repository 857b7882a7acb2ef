"""Fast 3x3 convolutions on maps of 1x1 and 2x2 pixels, as matrix products, on a CPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional

#: oneDNN's inner product with a bias, which has no public name, or None. PyTorch uses MKL, at four
#: fifths of its speed with AVX2 and, on an AMD CPU, half of it with AVX-512.
ONEDNN = torch.ops.mkldnn if torch.backends.mkldnn.is_available() else None
ONEDNN_LINEAR = getattr(ONEDNN, "_linear_pointwise", None)


class SmallMapConv2d(nn.Conv2d):
    """A padded 3x3 convolution, computed as a matrix product if its input is 1x1 or 2x2 pixels.

    At 28 px the last stages of a ResNet have such maps, and oneDNN would spend most of a training
    step on taps that see only padding. For each output pixel, a window of taps as large as the map
    sees data; the stacked windows are the matrix. Values, gradients and state dict equal those of
    ``nn.Conv2d``, up to the order of summation. A bias, from a fused batch norm, is for inference
    only.
    """

    @classmethod
    def like(cls, conv: nn.Conv2d) -> "SmallMapConv2d":
        """Return a replacement for a convolution that shares its parameters."""
        new = cls(conv.in_channels, conv.out_channels, 3, conv.stride, 1, bias=False, device="meta")
        new.weight = conv.weight
        return new

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, I, H, W) to (N, O, H', W')."""
        size, width = images.shape[-2:]
        if size != width or size > 2:
            return super().forward(images)
        side = size if self.stride == (1, 1) else 1
        # Pixel-major rows, a view of a channels-last tensor.
        rows = images.permute(0, 2, 3, 1).flatten(1)
        if self.bias is None:
            pixels = _Product.apply(rows, self.weight, _windows(size, side))
        else:
            pixels = multiply(rows, self.matrix(size, side), self.bias.repeat(side**2))
        return pixels.unflatten(1, (side, side, -1)).permute(0, 3, 1, 2)

    def matrix(self, size: int, side: int) -> Tensor:
        """Return the stacked windows (side * side * O, size * size * I)."""
        return _stack(self.weight, _windows(size, side))


def _windows(size: int, side: int) -> list[tuple[slice, ...]]:
    """Return, for each output pixel, the taps that see a map of ``size`` by ``size`` pixels."""
    whole = slice(None)
    return [
        (whole, whole, slice(1 - row, 1 - row + size), slice(1 - column, 1 - column + size))
        for row in range(side)
        for column in range(side)
    ]


def _stack(weight: Tensor, windows: list) -> Tensor:
    return torch.cat([weight[window].permute(0, 2, 3, 1).flatten(1) for window in windows])


def multiply(rows: Tensor, matrix: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return rows (N, I) times the transpose of a matrix (O, I), plus a bias (O,)."""
    if ONEDNN_LINEAR and rows.dtype == torch.float32 and rows.device.type == "cpu":
        return ONEDNN_LINEAR(rows, matrix, bias, "none", [], "")
    return functional.linear(rows, matrix, bias)


class _Product(torch.autograd.Function):
    """Rows times the stacked windows of a weight.

    Autograd would sum padded copies into the weight's gradient, in another memory layout, which
    takes a fifth of the step. In mixed precision this stays in float32, as it takes little time.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(context, rows: Tensor, weight: Tensor, windows: list) -> Tensor:
        matrix = _stack(weight, windows)
        context.save_for_backward(rows, weight, matrix)
        context.windows = windows
        return multiply(rows, matrix)

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(context, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        rows, weight, matrix = context.saved_tensors
        weight_gradient = torch.zeros_like(weight)
        parts = multiply(gradient.T, rows.T).chunk(len(context.windows))
        for window, part in zip(context.windows, parts, strict=True):
            view = weight_gradient[window].permute(0, 2, 3, 1)
            view += part.view(view.shape)
        return multiply(gradient, matrix.T), weight_gradient, None


def use_small_maps(module: nn.Module) -> nn.Module:
    """Replace every padded 3x3 convolution of stride 1 or 2 without bias in a module."""
    for parent in list(module.modules()):
        for name, conv in parent.named_children():
            if isinstance(conv, nn.Conv2d) and conv.stride in {(1, 1), (2, 2)}:
                shape = conv.kernel_size, conv.padding, conv.dilation, conv.groups, conv.bias
                if shape == ((3, 3), (1, 1), (1, 1), 1, None):
                    setattr(parent, name, SmallMapConv2d.like(conv))
    return module
