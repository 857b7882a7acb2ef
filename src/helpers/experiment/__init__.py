"""One run: data, network, training, corruption, predictions. Knows no notebooks and no results."""

from .augmentation import Augmentation
from .barlow_twins import fit_barlow_twins
from .data import load_data
from .evaluation import evaluate
from .models import load_network, make_model
from .training import fit

__all__ = [
    "Augmentation",
    "evaluate",
    "fit",
    "fit_barlow_twins",
    "load_data",
    "load_network",
    "make_model",
]
