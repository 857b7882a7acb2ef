"""The recipe of a run: the parameters that its notebook shows, checked by one model."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from helpers import InputError

#: Where a run's files are; not what it computes, so no part of the recipe's hash.
LOCATIONS = {"seed", "results", "data_dir"}

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def hash_parameters(parameters: Mapping) -> str:
    """Return twelve hexadecimal digits of the parameters that decide what is computed."""
    computed = {name: value for name, value in parameters.items() if name not in LOCATIONS}
    text = json.dumps(computed, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class Recipe(BaseModel):
    """Parameters that all notebooks have."""

    # Strict: a notebook uses the value as it stands, so "1e-3", a string in YAML, is refused.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    seed: int = Field(ge=0, lt=2**32)
    results: str = Field(min_length=1)
    data_dir: str = Field(min_length=1)

    @property
    def identity(self) -> str:
        """Twelve hexadecimal digits that runs share which differ in nothing but their seed."""
        return hash_parameters(self.model_dump(mode="json"))

    @property
    def computed(self) -> dict:
        """The parameters that decide what is computed, but for the seed."""
        return self.model_dump(mode="json", exclude=LOCATIONS)


class TrainingRecipe(Recipe):
    """Parameters of a notebook that trains one network."""

    data_source: Literal["official", "synthetic"]
    image_size: int = Field(ge=16, le=1024)
    network: Literal["resnet18", "resnet50"]
    initialisation: str = Field(min_length=1)
    stand_in_weights: dict[str, str]
    batch_norm: Literal["train", "frozen", "affine_frozen"]
    weight_decay: NotNegative
    precision: Literal["float32", "bfloat16"]

    @property
    def start(self) -> str:
        """What the network starts from: the initialisation, or the checkpoint in its place."""
        if self.initialisation in self.stand_in_weights:
            return f"{self.results}/{self.stand_in_weights[self.initialisation]}"
        return self.initialisation


class ExperimentRecipe(TrainingRecipe):
    """Parameters of the six experiments."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    backbone_lr: Positive
    head_lr: Positive
    mixup_alpha: NotNegative
    second_forward: bool
    augment_probability: Probability
    rotation_degrees: float = Field(ge=0, le=180)
    corruptions: dict[Literal["brightness", "blur"], Annotated[list[Positive], Field(min_length=1)]]

    @property
    def training(self) -> dict:
        """What ``helpers.experiment.fit`` takes besides network, data and augmentation."""
        names = {"epochs", "batch_size", "second_forward", "backbone_lr", "head_lr"}
        return self.model_dump(include=names | {"weight_decay", "precision", "seed"})


class PretrainingRecipe(TrainingRecipe):
    """Parameters that both pretraining notebooks have."""

    dataset: Literal["pathmnist", "pets"]
    pretraining_epochs: int = Field(ge=1)


class SupervisedPretrainingRecipe(PretrainingRecipe):
    """Parameters of supervised pretraining."""

    batch_size: int = Field(ge=2)
    backbone_lr: Positive
    head_lr: Positive
    mixup_alpha: NotNegative
    augment_probability: Probability
    rotation_degrees: float = Field(ge=0, le=180)

    @property
    def training(self) -> dict:
        """As of an experiment."""
        names = {"batch_size", "backbone_lr", "head_lr", "weight_decay", "precision", "seed"}
        steps = {"epochs": self.pretraining_epochs, "second_forward": False}
        return steps | self.model_dump(include=names)


class BarlowTwinsRecipe(PretrainingRecipe):
    """Parameters of Barlow Twins pretraining."""

    twins_batch_size: int = Field(ge=2)
    lr: Positive
    projector: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    off_diagonal_weight: Positive


class AblationRecipe(Recipe):
    """Parameters of an ablation: the name of an arm in each switch, and what it changes there."""

    switches: Annotated[list[dict[str, JsonValue]], Field(min_length=1)]


#: What a run that others start from takes over from a command line meant for them, besides the
#: parameters that pretraining alone has.
SHARED = {"results", "data_dir", "data_source", "image_size", "network"}

MODELS = {
    "pretrain_supervised": SupervisedPretrainingRecipe,
    "pretrain_barlow_twins": BarlowTwinsRecipe,
    "ablation_pathmnist": AblationRecipe,
    "ablation_pets": AblationRecipe,
}


def make_recipe(experiment: str, values: Mapping) -> Recipe:
    """Return the checked recipe of an experiment; values that are no parameter are left aside.

    Raises
    ------
    InputError : naming the parameter, its value, and what it must be
    """
    model = MODELS.get(experiment, ExperimentRecipe)
    try:
        return model(**{name: values[name] for name in model.model_fields if name in values})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        given = "" if first["type"] == "missing" else f", not {first['input']!r}"
        raise InputError(f"{experiment}: {name}: {first['msg'].lower()}{given}") from None
