"""One run: data, network, training, corruption, predictions. Independent of notebooks."""

from .augmentation import Augmentation as Augmentation
from .data import load_data as load_data
from .evaluation import evaluate as evaluate
from .models import load_network as load_network, make_model as make_model
from .training import fit as fit
