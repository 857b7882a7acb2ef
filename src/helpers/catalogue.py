"""Registry of the corruptions, data sets and published weights that parameters refer to by name.

One entry adds one. Functions are named as ``module:function``, so that reading names imports no
torch.
"""

from typing import NamedTuple


class Corruption(NamedTuple):
    """A corruption of test images."""

    function: str  # takes images uint8 (N, 3, H, W) and a strength, and returns such images
    title: str = ""  # label of an axis, with the unit of the strength
    symbol: str = ""  # abbreviation of the strength in the heads of tables
    neutral: float = 0.0  # strength that changes nothing; plots show the clean test set there


CORRUPTIONS = {
    "brightness": Corruption(
        "helpers.experiment.corruptions:brightness", "brightness factor", "f", neutral=1.0
    ),
    "blur": Corruption("helpers.experiment.corruptions:blur", "blur σ (pixels)", "σ"),
}


class Dataset(NamedTuple):
    """A data set.

    Its loader takes a ``data_dir`` and an ``image_size`` in pixels; it returns, for "train",
    "validation" and "test", images uint8 (N, 3, H, W) and labels int64 (N,), then the names of the
    classes, and whether these are the published images.
    """

    loader: str | None  # None: drawn only
    stand_in: str | None = None  # drawn set that ``data_source = "synthetic"`` takes instead
    title: str = ""  # name in prose and in headings of pages


DATASETS = {
    "pathmnist": Dataset("helpers.experiment.published_data:load_pathmnist", "tissue", "PathMNIST"),
    "pets": Dataset("helpers.experiment.published_data:load_pets", "creatures", "Oxford-IIIT Pets"),
    "source": Dataset(None, "source", "drawn images for pretraining"),
}


def find_dataset(experiment: str) -> str | None:
    """Return the longest name of a data set that an experiment's name begins with; None if none."""
    named = [name for name in DATASETS if experiment.startswith(f"{name}_")]
    return max(named, key=len, default=None)


class Published(NamedTuple):
    """Published weights: their address, and the first digits of their SHA-256."""

    url: str
    sha256_prefix: str


#: Published weights by initialisation and network. For ImageNet torchvision's IMAGENET1K_V1, the
#: meaning of `pretrained=True` when the study was made; its file name holds the checksum.
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
