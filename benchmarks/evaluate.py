"""Images a second in evaluation: clean test images and eight shifts, ResNet-18, 28 px."""

import authors
import torch
from timing import THREADS, Row, format_table, interleave
from torch.fx.experimental.optimization import fuse
from torchvision.models import resnet18
from train import make_data

from helpers import experiment as ex
from helpers.experiment.folding import fold

IMAGES, REPEATS = 1024, 3
CORRUPTIONS = {"brightness": [0.8, 0.9, 1.1, 1.2], "blur": [0.3, 0.5, 0.7, 0.9]}
CONDITIONS = 9


def make_passes(network: torch.nn.Module, images: torch.Tensor):
    """Return the bare passes of all conditions: float batches that are ready, channels-last."""
    network.to(memory_format=torch.channels_last)
    ready = images.div(255).contiguous(memory_format=torch.channels_last).split(256)

    @torch.inference_mode()
    def predict() -> None:
        for batch in ready * CONDITIONS:
            network(batch)

    return predict


def measure() -> list[Row]:
    """Return two rows: against torchvision's network, folded by torch.fx, and against our own."""
    data = make_data(256, 2, IMAGES)
    model = ex.make_model("resnet18", "random", data, "data", "train", 0)
    torch.set_num_threads(THREADS)
    network = resnet18(num_classes=9).eval()
    images = data.test.images.permute(0, 2, 3, 1).contiguous().numpy()
    labels = data.test.labels.numpy()
    ways = {
        "ours": lambda: ex.evaluate(model, data, CORRUPTIONS),
        "authors": lambda: authors.predict(network, images, labels, CORRUPTIONS),
        "stock": make_passes(fuse(network), data.test.images),
        "own": make_passes(fold(model).network, data.test.images),
    }
    ways["ours"]()  # the first passes choose and compile kernels
    rate = {name: IMAGES * CONDITIONS / s for name, s in interleave(ways, REPEATS).items()}
    return [
        Row("evaluation; bound: stock network alone, folded", "images/s", rate["ours"],
            rate["authors"], rate["stock"], "≥ 3.2 × baseline, ≥ 0.95 × bound"),
        Row("evaluation; bound: our network alone, folded, small maps", "images/s", rate["ours"],
            None, rate["own"], "≥ 0.95 × bound"),
    ]  # fmt: skip


if __name__ == "__main__":
    print(format_table(measure()))
