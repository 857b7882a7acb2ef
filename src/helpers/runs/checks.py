"""Parameters from anywhere, checked by the one model: names, values, and what goes together."""

import ast
import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import ValidationError

from helpers import InputError
from helpers.catalogue import DATASETS, PUBLISHED, find_dataset

from .recipe import MODELS, STARTS, ExperimentRecipe, Recipe, TrainingRecipe

#: Sides of PathMNIST's published images in pixels; the package medmnist is asked in a test.
PATHMNIST_SIZES = (28, 64, 128, 224)


def make_recipe(experiment: str, values: Mapping) -> Recipe:
    """Return the checked recipe of an experiment.

    Values that are no parameter are left aside, as a notebook's ``globals()`` hold many; but a
    name in a cell of parameters must be one.

    Raises
    ------
    InputError : naming the parameter, its value, and what it must be
    """
    check_names(_list_given(values))
    model = MODELS.get(experiment, ExperimentRecipe)
    try:
        recipe = model(**{name: values[name] for name in model.model_fields if name in values})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"] if part != "[key]")
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
    dataset = getattr(recipe, "dataset", None) or find_dataset(experiment)
    if dataset is None:
        raise InputError(
            f"{experiment}: the name of a notebook begins with that of its data set; there are"
            f" {', '.join(DATASETS)}"
        )
    known = dataset != "pathmnist" or recipe.image_size in PATHMNIST_SIZES
    if recipe.data_source == "official" and not known:
        sizes = ", ".join(map(str, PATHMNIST_SIZES))
        raise InputError(
            f"{experiment}: image_size: PathMNIST has {sizes} pixels, not {recipe.image_size}"
        )


def _list_given(values: Mapping) -> Iterator[str]:
    """Yield the names that a notebook's cells of parameters hold, but for the seed.

    papermill only warns of a name that the notebook does not have, and nobody of one that was
    mistyped in the notebook itself. IPython keeps the source of each cell in ``In``; papermill
    begins its own with this comment, and the notebook's own holds the seed.
    """
    for source in values.get("In", ()):
        if source.startswith(("# Parameters\n", "seed = ")):
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
