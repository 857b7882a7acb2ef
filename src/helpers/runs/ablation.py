"""An ablation: arms trained again with one choice switched, compared with their own records."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from helpers import ROOT, InputError

from .checkpoint import Checkpoint
from .checks import make_recipe
from .parameters import list_experiments, unknown
from .recipe import LOCATIONS, AblationRecipe, ExperimentRecipe
from .record import Record, read_record, run_folder
from .run import Run, pack_arrays, pack_table

#: What no switch may change: the images, by which a variant and its arm are compared, and the
#: network and its first weights, by which the arms differ.
FIXED = LOCATIONS | {
    *("data_source", "image_size", "corruptions"),
    *("network", "initialisation", "stand_in_weights"),
}


@dataclass(frozen=True)
class Variant:
    """An arm with one choice switched.

    Attributes
    ----------
    experiment : the arm
    changes : the parameters that differ from the arm's, and their other values
    recipe : the arm's recipe with these changes
    """

    experiment: str
    changes: dict
    recipe: ExperimentRecipe

    @property
    def name(self) -> str:
        """What tables of an ablation's record call it."""
        listed = ", ".join(f"{name}={value}" for name, value in self.changes.items())
        return f"{self.experiment} {listed}"


def list_arms(experiment: str, recipe: AblationRecipe) -> list[str]:
    """Return the experiments whose choices an ablation switches.

    Raises
    ------
    InputError : for a switch without an arm of the ablation's data set
    """
    dataset = experiment.removeprefix("ablation_")
    known = [name for name in list_experiments() if name.startswith(f"{dataset}_")]
    arms = [switch.get("experiment") for switch in recipe.switches]
    for arm in arms:
        if arm not in known:
            raise unknown(f"experiment of {experiment}'s switches", str(arm), known)
    return list(dict.fromkeys(arms))


def list_variants(recipe: AblationRecipe, bases: Mapping[str, ExperimentRecipe]) -> list[Variant]:
    """Return the variants of an ablation; a switch to what is there already is left out.

    Parameters
    ----------
    recipe : of the ablation
    bases : recipe of each of its arms

    Raises
    ------
    InputError : for a parameter that does not exist or may not be switched, for a bad value, or
        where nothing is left
    """
    variants = []
    for switch in recipe.switches:
        arm = switch["experiment"]
        base = bases[arm].model_dump()
        known = base.keys() - FIXED
        if wrong := sorted(switch.keys() - known - {"experiment"}):
            raise unknown("parameter to switch", wrong[0], sorted(known))
        changes = {name: value for name, value in switch.items() if base.get(name) != value}
        del changes["experiment"]
        variant = Variant(arm, changes, make_recipe(arm, base | changes))
        if changes and variant not in variants:
            variants.append(variant)
    if not variants:
        raise InputError("switches: the arms have all these values already; give others")
    return variants


class Ablation(Run):
    """One run of an ablation, from `begin_ablation` to `finish`."""

    def __init__(self, experiment: str, recipe: AblationRecipe):
        super().__init__(experiment, recipe)
        places = recipe.model_dump(include=LOCATIONS)
        self.arms = {name: self._read_arm(name) for name in list_arms(experiment, recipe)}
        self.bases = {
            name: make_recipe(name, record.run["parameters"] | places)
            for name, record in self.arms.items()
        }
        self.variants = list_variants(recipe, self.bases)
        self.made = []

    @property
    def data_parameters(self) -> dict:
        """The data set's parameters, which the arms share."""
        names = {"data_source", "data_dir", "image_size"}
        return next(iter(self.bases.values())).model_dump(include=names)

    def vary(self, data) -> Iterator[Variant]:
        """Yield the variants to be made.

        Raises
        ------
        InputError : where the data are not those that an arm was trained on
        """
        for name, record in self.arms.items():
            if record.run["data"]["sha256"] != data.summary["sha256"]:
                raise InputError(
                    f"{record.folder} was made from other data than {self.experiment} would be;"
                    f" delete the folder to make {name} anew"
                )
        for number, variant in enumerate(self.variants):
            self.checkpoint = Checkpoint(self.folder, number)
            yield variant

    def add(self, variant: Variant, model, training, evaluation) -> None:
        """Keep what the functions of ``helpers.experiment`` returned for a variant."""
        self.model = model
        self.made.append((variant, training, evaluation))

    def finish(self, data) -> Record:
        """Write the record: as of a run, with a column or an axis for the variants.

        Raises
        ------
        InputError : where the results cannot be written
        """
        variants, trainings, evaluations = zip(*self.made, strict=True)
        names = [variant.name for variant in variants]
        arrays = evaluations[0].arrays()
        predictions = {name: arrays[name] for name in ("labels", "corruption", "strength")} | {
            "variants": np.array(names),
            "experiments": np.array([variant.experiment for variant in variants]),
            "logits": np.stack([evaluation.logits for evaluation in evaluations]),
        }
        contents = {
            "history.csv": _stack(names, [training.history for training in trainings]),
            "metrics.csv": _stack(names, [evaluation.scores() for evaluation in evaluations]),
            "predictions.npz": pack_arrays(predictions),
        }
        about = {
            "data": data.summary,
            "arms": {name: record.origin for name, record in self.arms.items()},
            "changes": {variant.name: variant.changes for variant in variants},
            "train_seconds": round(sum(training.seconds for training in trainings), 3),
            "evaluate_seconds": round(sum(part.seconds for part in evaluations), 3),
            "best_epoch": {
                name: part.best_epoch for name, part in zip(names, trainings, strict=True)
            },
        }
        return self._write(self.model, about, contents)

    def _read_arm(self, name: str) -> Record:
        folder = run_folder(ROOT / self.recipe.results, name, self.recipe.seed)
        if (record := read_record(folder)) is None:
            raise InputError(f"{self.experiment} needs the record {folder}; make that run first")
        return record.check()


def begin_ablation(experiment: str, values: Mapping) -> Ablation:
    """Begin an ablation with the parameters that its notebook holds.

    Parameters
    ----------
    experiment, values : as of `begin`

    Raises
    ------
    InputError : naming the parameter that is wrong, or the arm whose record is not there
    """
    return Ablation(experiment, make_recipe(experiment, values))


def _stack(names: list[str], tables: list[pd.DataFrame]) -> bytes:
    stacked = pd.concat(tables, keys=names, names=["variant"])
    return pack_table(stacked.reset_index("variant"))
