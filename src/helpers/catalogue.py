"""What parameters can name: corruptions, data sets and published weights.

One entry here is all that the rest needs. Functions are named as ``module:function``, so that what
reads names imports no torch.
"""

from typing import NamedTuple


class Corruption(NamedTuple):
    """What is done to test images.

    Attributes
    ----------
    function : of images uint8 (N, 3, H, W) and a strength; returns the same
    neutral : strength at which it does nothing; plots show the clean images there
    """

    function: str
    neutral: float = 0.0


CORRUPTIONS = {
    "brightness": Corruption("helpers.experiment.corruptions:brightness", neutral=1.0),
    "blur": Corruption("helpers.experiment.corruptions:blur"),
}


class Dataset(NamedTuple):
    """Where a data set comes from.

    Attributes
    ----------
    loader : function of a ``data_dir`` and an ``image_size`` in pixels; returns, for "train",
        "validation" and "test", images uint8 (N, 3, H, W) and labels int64 (N,), then the names
        of the classes, and whether these are the published images. None: embedded only.
    stand_in : the embedded set that ``data_source = "synthetic"`` takes in its place, if any
    """

    loader: str | None
    stand_in: str | None = None


DATASETS = {
    "pathmnist": Dataset("helpers.experiment.pathmnist:load_pathmnist", "tissue"),
    "pets": Dataset("helpers.experiment.pets:load_pets", "creatures"),
    "source": Dataset(None, "source"),
}


def find_dataset(experiment: str) -> str | None:
    """Return the data set whose name an experiment's begins with, the longest; None if none."""
    named = [name for name in DATASETS if experiment.startswith(f"{name}_")]
    return max(named, key=len, default=None)


class Published(NamedTuple):
    """A published checkpoint: where it is, and the first digits of its SHA-256."""

    url: str
    sha256_prefix: str


#: Initialisation and network to the weights.
PUBLISHED = {
    # torchvision's IMAGENET1K_V1, what `pretrained=True` meant when the study was made; the first
    # digits of the checksum are in the file's name.
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
