"""Which runs are asked for, what they start from, and which of them are there."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from helpers import ROOT, InputError

from .parameters import list_experiments, read_defaults, read_profile, resolve, unknown
from .recipe import Recipe
from .record import read_record, run_folder


@dataclass(frozen=True)
class Job:
    """A run to be made: its notebook, its recipe, and the values to inject."""

    experiment: str
    recipe: Recipe
    injected: dict

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.experiment} seed {self.recipe.seed}"

    @property
    def folder(self) -> Path:
        """Where its record shall lie."""
        return run_folder(ROOT / self.recipe.results, self.experiment, self.recipe.seed)

    @property
    def notebook(self) -> Path:
        """Where its executed notebook shall lie: beside the record."""
        return self.folder.with_suffix(".ipynb")

    @property
    def start(self) -> Path:
        """The folder of the run that it starts from, if it starts from a checkpoint."""
        return (ROOT / self.recipe.start).parent

    def is_done(self) -> bool:
        """Return whether the record is there.

        Raises
        ------
        InputError : where it is there but damaged, or made with another recipe
        """
        record = read_record(self.folder)
        if record is None:
            return False
        record.check()
        if record.run["recipe_hash"] != self.recipe.identity:
            ours, theirs = self.recipe.computed, record.run["parameters"]
            differing = [name for name in ours if ours[name] != theirs.get(name)]
            raise InputError(
                f"{self.folder} was made with another recipe (other {', '.join(differing)});"
                " delete the folder to make it anew, or give another folder: -p results=FOLDER"
            )
        return True

    def failure(self) -> str:
        """Return in a line why the run has no record, as far as its notebook tells."""
        try:
            notebook = json.loads(self.notebook.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return ""
        except (OSError, ValueError):
            return "notebook cannot be read"
        for cell in notebook.get("cells", []):
            for output in cell.get("outputs", []):
                if output["output_type"] == "error":
                    return f"{output['ename']}: {output['evalue'].splitlines()[0]}"
        return "running, or interrupted"


def plan(
    profile: str, seeds: Iterable[int], only: str = "*", overrides: Mapping | None = None
) -> list[Job]:
    """Return the runs that are asked for, each after the run that it starts from.

    Parameters
    ----------
    profile : name of a file in ``profiles``
    seeds : of each experiment
    only : pattern of experiment names; pretraining is made where a run starts from it, or where
        the pattern begins with ``pretrain``
    overrides : parameters that replace the profile's

    Raises
    ------
    InputError : for a bad parameter of any run
    """
    names = [name for name in list_experiments() if fnmatch(name, only)]
    if not only.startswith("pretrain"):
        names = [name for name in names if not name.startswith("pretrain_")]
    if not names:
        raise unknown("experiment", only, list_experiments())
    jobs: dict[Path, Job] = {}
    for seed in seeds:
        for name in names:
            _add(jobs, name, profile, seed, dict(overrides or {}))
    return list(jobs.values())


def _add(jobs: dict[Path, Job], name: str, profile: str, seed: int, overrides: dict) -> None:
    recipe = resolve(name, profile, seed, overrides)
    changed = {"seed", *read_profile(profile), *overrides} & read_defaults(name).keys()
    job = Job(name, recipe, recipe.model_dump(include=changed))
    source, digits = job.start.parent.name, job.start.name.removeprefix("seed-")
    if source in list_experiments() and source != name and digits.isdigit():
        # What a run starts from has the profile's recipe, but not this run's initialisation.
        rest = {key: value for key, value in overrides.items() if key != "initialisation"}
        _add(jobs, source, profile, int(digits), rest)
    jobs[job.folder] = job
