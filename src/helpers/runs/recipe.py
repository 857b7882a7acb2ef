"""The recipe of a run: the parameters that its notebook shows, checked by one model."""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from helpers.catalogue import CORRUPTIONS, DATASETS, PUBLISHED

#: Where a run's files are; not what it computes, so no part of the recipe's hash.
LOCATIONS = {"seed", "results", "data_dir"}

#: What an initialisation may be besides the path of a checkpoint.
STARTS = ("random", *dict.fromkeys(name for name, _ in PUBLISHED))


def _take_each_once(strengths: list[float]) -> list[float]:
    if len(set(strengths)) < len(strengths):
        raise ValueError("each strength must be given once")
    return strengths


Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
#: Beyond these bounds a brightness factor or a blur of 5x5 pixels changes nothing more.
Strength = Annotated[float, Field(ge=0.01, le=100)]
Strengths = Annotated[list[Strength], Field(min_length=1), AfterValidator(_take_each_once)]


def _check_source(source: str) -> str:
    if source not in ("official", "synthetic") and not set("./\\") & set(source):
        raise ValueError("take official, synthetic, or the path of own data, as data/mine.npz")
    return source


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
    results: Annotated[str, AfterValidator(os.path.expanduser)] = Field(min_length=1)
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

    data_source: Annotated[str, AfterValidator(_check_source)]
    image_size: int = Field(ge=16, le=1024)
    network: Literal["resnet18", "resnet50"]
    initialisation: str = Field(min_length=1)
    stand_in_weights: dict[Literal[*STARTS[1:]], str]
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
    """Parameters of an experiment."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    backbone_lr: Positive
    head_lr: Positive
    mixup_alpha: NotNegative
    second_forward: bool
    augment_probability: Probability
    rotation_degrees: float = Field(ge=0, le=180)
    corruptions: Annotated[dict[Literal[*CORRUPTIONS], Strengths], Field(min_length=1)]

    @property
    def training(self) -> dict:
        """What ``helpers.experiment.fit`` takes besides network, data and augmentation."""
        names = {"epochs", "batch_size", "second_forward", "backbone_lr", "head_lr"}
        return self.model_dump(include=names | {"weight_decay", "precision", "seed"})


class PretrainingRecipe(TrainingRecipe):
    """Parameters that both pretraining notebooks have."""

    dataset: Literal[*(name for name, dataset in DATASETS.items() if dataset.loader)]
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
#: parameters that pretraining alone has. Its data are not those of the runs that start from it.
SHARED = {"results", "data_dir", "image_size", "network"}

MODELS = {
    "pretrain_supervised": SupervisedPretrainingRecipe,
    "pretrain_barlow_twins": BarlowTwinsRecipe,
    "ablation_pathmnist": AblationRecipe,
    "ablation_pets": AblationRecipe,
}
