"""Registry of the corruptions, data sets and published weights that parameters refer to by name.

An entry adds one. Functions are given as ``module:function``: reading names does not import torch.
"""

from typing import NamedTuple


class Corruption(NamedTuple):
    """A corruption of test images."""

    function: str  # images uint8 (N, 3, H, W) and strength -> images uint8 (N, 3, H, W)
    title: str = ""  # axis label, with the unit of the strength
    symbol: str = ""  # symbol of the strength in table headers
    neutral: float = 0.0  # strength that changes nothing, at which plots show the clean test set


CORRUPTIONS = {
    "brightness": Corruption(
        "helpers.experiment.corruptions:brightness", "brightness factor", "f", neutral=1.0
    ),
    "blur": Corruption("helpers.experiment.corruptions:blur", "blur σ (pixels)", "σ"),
}


class Dataset(NamedTuple):
    """A data set.

    The loader takes ``data_dir`` and ``image_size`` (in pixels). It returns the images, uint8
    (N, 3, H, W), and labels, int64 (N,), of "train", "validation" and "test"; and the class names.
    """

    loader: str
    stand_in: str | None = None  # generated set used for ``data_source = "synthetic"``
    title: str = ""  # name in prose and page headings


DATASETS = {
    "pathmnist": Dataset("helpers.experiment.published_data:load_pathmnist", "tissue", "PathMNIST"),
    "pets": Dataset("helpers.experiment.published_data:load_pets", "creatures", "Oxford-IIIT Pets"),
}


def find_dataset(experiment: str) -> str | None:
    """Return the longest name of a data set that an experiment's name begins with, or None."""
    named = [name for name in DATASETS if experiment.startswith(f"{name}_")]
    return max(named, key=len, default=None)


class Published(NamedTuple):
    """Published weights: their address, and the first digits of their SHA-256."""

    url: str
    sha256_prefix: str


#: Published weights by initialisation and network. For ImageNet, torchvision's IMAGENET1K_V1, which
#: `pretrained=True` meant at the time of the study; its file name contains the checksum.
PUBLISHED = {
    ("imagenet", "resnet18"): Published(
        "https://download.pytorch.org/models/resnet18-f37072fd.pth", "f37072fd"
    ),
    ("imagenet", "resnet50"): Published(
        "https://download.pytorch.org/models/resnet50-0676ba61.pth", "0676ba61"
    ),
    # Zbontar et al. publish no checksum; this one is recorded by the public repository
    # harvard-visionlab/barlowtwins (hubconf.py) for the same address.
    ("barlow_twins", "resnet50"): Published(
        "https://dl.fbaipublicfiles.com/barlowtwins/"
        "ep1000_bs2048_lrw0.2_lrb0.0048_lambd0.0051/resnet50.pth",
        "cf015f40cc",
    ),
}
