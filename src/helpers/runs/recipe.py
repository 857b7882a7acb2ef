"""The recipe of a run: the parameters that its notebook shows, checked by one model."""

import ast
import difflib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from helpers import InputError
from helpers.catalogue import CORRUPTIONS, DATASETS, PUBLISHED

#: Where a run's files are; not what it computes, so no part of the recipe's hash.
LOCATIONS = {"seed", "results", "data_dir"}

#: Sides of PathMNIST's published images in pixels; the package medmnist is asked in a test.
PATHMNIST_SIZES = (28, 64, 128, 224)

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
#: parameters that pretraining alone has.
SHARED = {"results", "data_dir", "data_source", "image_size", "network"}

MODELS = {
    "pretrain_supervised": SupervisedPretrainingRecipe,
    "pretrain_barlow_twins": BarlowTwinsRecipe,
    "ablation_pathmnist": AblationRecipe,
    "ablation_pets": AblationRecipe,
}


def make_recipe(experiment: str, values: Mapping) -> Recipe:
    """Return the checked recipe of an experiment.

    Values that are no parameter are left aside, as a notebook's ``globals()`` hold many; but a
    name that papermill injected must be one.

    Raises
    ------
    InputError : naming the parameter, its value, and what it must be
    """
    check_names(_list_injected(values))
    model = MODELS.get(experiment, ExperimentRecipe)
    try:
        recipe = model(**{name: values[name] for name in model.model_fields if name in values})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        what = first["msg"].removeprefix("Value error, ").lower()
        given = "" if first["type"] == "missing" else f", not {first['input']!r}"
        raise InputError(f"{experiment}: {name}: {what}{given}") from None
    if isinstance(recipe, TrainingRecipe):
        _check_together(experiment, recipe)
    return recipe


def _check_together(experiment: str, recipe: TrainingRecipe) -> None:
    """Raise InputError for values that are good one by one and not together."""
    start = Path(recipe.start)
    if str(start) not in STARTS and not (start.parent.name or start.suffix):
        raise unknown("initialisation", recipe.start, STARTS)
    if recipe.start in STARTS[1:] and (recipe.start, recipe.network) not in PUBLISHED:
        raise InputError(
            f"{experiment}: initialisation: there are no published {recipe.start} weights of a"
            f" {recipe.network}; take another network, or the path of a checkpoint"
        )
    dataset = getattr(recipe, "dataset", experiment.partition("_")[0])
    known = dataset != "pathmnist" or recipe.image_size in PATHMNIST_SIZES
    if recipe.data_source == "official" and not known:
        sizes = ", ".join(map(str, PATHMNIST_SIZES))
        raise InputError(
            f"{experiment}: image_size: PathMNIST has {sizes} pixels, not {recipe.image_size}"
        )


def _list_injected(values: Mapping) -> Iterator[str]:
    """Yield the names that papermill injected into a notebook, but for the seed.

    papermill only warns of a name that the notebook does not have. IPython keeps the source of
    each cell in ``In``, and papermill begins its own with this comment.
    """
    for source in values.get("In", ()):
        if source.startswith("# Parameters\n"):
            assigned = (node for node in ast.parse(source).body if isinstance(node, ast.Assign))
            yield from {node.targets[0].id for node in assigned} - {"seed"}


def check_names(names: Iterable[str]) -> None:
    """Raise InputError for a name that is no notebook's parameter, with the nearest that is."""
    known = {name for model in (ExperimentRecipe, *MODELS.values()) for name in model.model_fields}
    for name in names:
        if name not in known:
            raise unknown("parameter", str(name), sorted(known))
        if name == "seed":
            raise InputError("seed: give seeds as --seeds 0-2, not as a parameter")


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for a name that does not exist, with the nearest ones that do."""
    near = difflib.get_close_matches(name, known, n=1)
    mend = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return InputError(f"there is no {kind} {name!r}; {mend}")
