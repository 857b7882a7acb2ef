"""What parameters can name: corruptions and data sets. One entry here is all that the rest needs.

An entry names its function as ``module:function``, so that what reads names imports no torch.
"""

from typing import NamedTuple

#: Corruption to its function of images uint8 (N, 3, H, W) and a strength, which returns the same.
CORRUPTIONS = {
    "brightness": "helpers.experiment.corruptions:brightness",
    "blur": "helpers.experiment.corruptions:blur",
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
    "pathmnist": Dataset("helpers.experiment.real_data:load_pathmnist", "tissue"),
    "pets": Dataset("helpers.experiment.real_data:load_pets", "creatures"),
    "source": Dataset(None, "source"),
}
