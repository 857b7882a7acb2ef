"""Which runs are asked for, what they start from, and which of them are there."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from helpers import ROOT, InputError

from .ablation import list_arms, list_variants
from .integrity import DamagedRecord
from .parameters import list_experiments, read_defaults, read_profile, resolve, unknown
from .recipe import MODELS, SHARED, AblationRecipe, ExperimentRecipe, Recipe
from .record import Record, read_record, read_whole, run_folder

#: Of a traceback's places, how many of the innermost are told: file, line and code.
LINES = 4


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
    def needs(self) -> list[Path]:
        """The folders of the runs that it takes something from."""
        if isinstance(self.recipe, AblationRecipe):
            arms = list_arms(self.experiment, self.recipe)
            return [run_folder(self.folder.parents[1], arm, self.recipe.seed) for arm in arms]
        start = Path(self.recipe.start)  # a name, or the path of a checkpoint
        return [(ROOT / start).parent] if start.parent.name else []

    def is_done(self) -> bool:
        """Return whether the record is there.

        Raises
        ------
        DamagedRecord : where it is there but damaged
        InputError : where it was made with another recipe, or from other runs than now lie where
            it looks for them; where it is not there, and another seed's was made with another
        """
        record = read_whole(self.folder)
        if record is None:
            self._refuse_neighbours()
            return False
        other = self._list_other(record)
        for needed in filter(None, map(_read_needed, self.needs)):
            if isinstance(self.recipe, AblationRecipe):
                if needed.origin != record.run["arms"].get(needed.experiment):
                    other.append(f"{needed.experiment} to compare with")
            elif needed.run["files"].get("weights.pt") != record.run["weights"]["sha256"]:
                other.append("weights to start from")
        if other:
            raise InputError(
                f"{self.folder} was made with another recipe (other {', '.join(other)});"
                " delete the folder to make it anew, or give another folder: -p results=FOLDER"
            )
        return True

    def _list_other(self, record: Record) -> list[str]:
        """Return the parameters that a record has otherwise."""
        ours, theirs = self.recipe.computed, record.run["parameters"]
        return [name for name in ours if ours[name] != theirs.get(name)]

    def _refuse_neighbours(self) -> None:
        """Raise InputError where another seed lies with which this run could share no table."""
        for folder in sorted(self.folder.parent.glob("seed-*/")):
            record = _read_needed(folder)
            if record and (other := self._list_other(record)):
                raise InputError(
                    f"{folder} was made with another recipe (other {', '.join(other)}), and the"
                    f" seeds of a folder share theirs; delete it, or give {self.name} another"
                    " folder: -p results=FOLDER"
                )
            if record:
                return

    def failure(self) -> list[str]:
        """Return with what error the run ended and where, a line each; empty if it did not."""
        try:
            cells = json.loads(self.notebook.read_bytes())["cells"]
            outputs = [output for cell in cells for output in cell.get("outputs", [])]
            error = next(output for output in outputs if output["output_type"] == "error")
            traceback = "\n".join(error["traceback"])
            what = " ".join(f"{error['ename']}: {error['evalue']}".split())
        except (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration):
            return []  # no notebook, a part of one, or one without an error
        lines = re.sub(r"\x1b\[[0-9;]*m", "", traceback).rstrip().splitlines()
        where = [line for line in lines if re.match(r"(Cell|File) |-+> ?\d", line.strip())]
        return [what, *where[-LINES:]]


def _read_needed(folder: Path) -> Record | None:
    try:
        return read_record(folder)
    except DamagedRecord:  # told of where that run is asked for
        return None


def plan(
    profile: str, seeds: Iterable[int], only: str = "*", overrides: Mapping | None = None
) -> list[Job]:
    """Return the runs that are asked for, each after the runs that it needs.

    Parameters
    ----------
    profile : name of a file in ``profiles``
    seeds : of each experiment
    only : pattern of experiment names; pretraining is made where a run starts from it, or where
        the pattern begins with ``pretrain``; an ablation for seed 0, or for all seeds where the
        pattern begins with ``ablation``
    overrides : parameters that replace the profile's

    Raises
    ------
    InputError : for a bad parameter of any run, or one that no run has
    """
    overrides = dict(overrides or {})
    names = [name for name in list_experiments() if fnmatch(name, only)]
    if not only.startswith("pretrain"):
        names = [name for name in names if not name.startswith("pretrain_")]
    if not names:
        raise unknown("experiment", only, list_experiments())
    jobs: dict[Path, Job] = {}
    for seed in seeds:
        for name in names:
            if seed == 0 or only.startswith("ablation") or not name.startswith("ablation_"):
                _add(jobs, name, profile, seed, overrides)
    known = {name for job in jobs.values() for name in type(job.recipe).model_fields}
    for name in overrides:
        if name not in known:
            raise unknown("parameter of these runs", name, sorted(known))
    return list(jobs.values())


def _add(jobs: dict[Path, Job], name: str, profile: str, seed: int, overrides: dict) -> None:
    recipe = resolve(name, profile, seed, overrides)
    changed = {"seed", *read_profile(profile), *overrides} & read_defaults(name).keys()
    job = Job(name, recipe, recipe.model_dump(include=changed))
    if isinstance(recipe, AblationRecipe):
        for arm in list_arms(name, recipe):
            _add(jobs, arm, profile, seed, overrides)
        # A switch that cannot be turned stops the batch here, before anything trains.
        list_variants(
            recipe, {jobs[folder].experiment: jobs[folder].recipe for folder in job.needs}
        )
    else:
        _add_start(jobs, job, profile, overrides)
    jobs[job.folder] = job


def _add_start(jobs: dict[Path, Job], job: Job, profile: str, overrides: dict) -> None:
    """Add the pretraining that a run starts from, if it belongs to the same results."""
    for start in job.needs:
        source, digits = start.parent.name, start.name.removeprefix("seed-")
        # Only pretraining leaves weights to start from.
        known = source.startswith("pretrain_") and source in list_experiments()
        if not known or source == job.experiment or not digits.isdigit():
            continue
        model = MODELS.get(source, ExperimentRecipe)
        passed = SHARED | model.model_fields.keys() - ExperimentRecipe.model_fields.keys()
        rest = {key: value for key, value in overrides.items() if key in passed}
        if start == run_folder(ROOT / job.recipe.results, source, int(digits)):
            _add(jobs, source, profile, int(digits), rest)
