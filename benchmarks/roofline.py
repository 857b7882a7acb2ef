"""What a training step computes and moves, counted on paper, and the bounds of a GPU from that.

ResNet-18, 28 px, a batch of 256, without second forward. Nothing here runs on a GPU.
"""

import time

import torch
from timing import THREADS, describe_machine
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet18

from helpers.experiment.small_maps import multiply, use_small_maps

BATCH, SIDE, TRAIN_IMAGES = 256, 28, 89_996
#: NVIDIA's data sheet, H100 SXM5 80 GB: dense bfloat16 FLOP/s, bytes/s of HBM3.
FLOPS_H100, BYTES_H100 = 989e12, 3.35e12
#: Assumed, not measured: seconds between the starts of two short kernels, eager and in a graph.
LAUNCH_EAGER, LAUNCH_GRAPH = 5e-6, 1.5e-6


class OperationCount(TorchDispatchMode):
    """Counts operations that read or write data; each is at least one kernel."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = "empty" in str(function) or "detach" in str(function)
        self.count += not (function.is_view or made)
        return function(*args, **(kwargs or {}))


def count_step(small_maps: bool) -> tuple[float, int]:
    """Return FLOPs (a multiplication and an addition are two) and operations of a step."""
    with torch.device("meta"):
        network = resnet18(num_classes=9)
        images = torch.empty(BATCH, 3, SIDE, SIDE)
        labels = torch.zeros(BATCH, dtype=torch.int64)
    if small_maps:
        use_small_maps(network)
    with OperationCount() as operations, FlopCounterMode(display=False) as flops:
        functional.cross_entropy(network(images), labels).backward()
    return flops.get_total_flops(), operations.count


def count_bytes(size: int) -> tuple[float, int]:
    """Return the bytes of a step with activations of this size, and the number of weights.

    Forward, each layer reads its input and writes its output once, batch norm reads its input
    once more for the statistics; backward moves twice that. Of each weight, AdamW in float32
    reads weight, gradient and two moments and writes three of them (28 bytes), and the step reads
    it twice and writes its gradient once.
    """
    network = resnet18(num_classes=9).to("meta")
    moved = []

    def add(layer, inputs, output):
        reads = 2 if isinstance(layer, torch.nn.BatchNorm2d) else 1
        moved.append(reads * inputs[0].numel() + output.numel())

    for layer in network.modules():
        if not list(layer.children()):
            layer.register_forward_hook(add)
    network(torch.empty(BATCH, 3, SIDE, SIDE, device="meta"))
    weights = sum(parameter.numel() for parameter in network.parameters())
    return 3 * sum(moved) * size + weights * (28 + 3 * size), weights


def measure_gemm(side: int = 2048, repeats: int = 7) -> dict[str, float]:
    """Return the FLOP/s of the best float32 product of two square matrices, by library."""
    torch.set_num_threads(THREADS)
    left, right = torch.rand(2, side, side)
    best = {}
    for name, product in {"MKL": functional.linear, "oneDNN": multiply}.items():
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            product(left, right)
            seconds.append(time.perf_counter() - started)
        best[name] = 2 * side**3 / min(seconds)
    return best


def print_roofline() -> None:
    """Print what was counted, the one measured ceiling, and the bounds that follow."""
    dense, operations = count_step(small_maps=False)
    needed, _ = count_step(small_maps=True)
    moved, weights = count_bytes(size=2)
    steps = -(-TRAIN_IMAGES // BATCH)
    gemm = measure_gemm()
    bounds = {
        "arithmetic": dense / FLOPS_H100,
        "memory": moved / BYTES_H100,
        "launches, eager": operations * LAUNCH_EAGER,
        "launches, CUDA graph": operations * LAUNCH_GRAPH,
    }
    print(f"counted: {dense / 1e9:.0f} GFLOP a step, of which {needed / 1e9:.0f} meet data")
    print(f"counted: {moved / 1e9:.2f} GB a step in bfloat16, {weights / 1e6:.1f} M weights")
    print(
        f"counted: {dense / moved:.0f} FLOP a byte; the H100 turns at {FLOPS_H100 / BYTES_H100:.0f}"
    )
    print(f"counted: {operations} operations a step without the optimizer; {steps} steps an epoch")
    for name, flops in gemm.items():
        print(f"measured: GEMM of {name} {flops / 1e9:.0f} GFLOP/s on {describe_machine()}")
    print(f"computed: on this CPU at most {BATCH * max(gemm.values()) / needed:.0f} images/s")
    for name, seconds in bounds.items():
        step, epoch = f"{1e3 * seconds:.2f} ms a step", f"{steps * seconds:.2f} s an epoch"
        print(f"computed: H100, {name}: {step}, {epoch}")


if __name__ == "__main__":
    print_roofline()
