"""Which runs the book shows: the environment names them, the records are read once a process."""

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from helpers import ROOT, InputError
from helpers.catalogue import DATASETS as CATALOGUE
from helpers.runs.checks import unknown
from helpers.runs.parameters import PROFILES
from helpers.runs.recipe import LOCATIONS, MODELS, ExperimentRecipe
from helpers.runs.record import Record, read_records

from .foreign import quote

#: The arms of each data set, in the order of the paper's rows: experiment to row.
ARMS = {
    "pathmnist": {
        "pathmnist_basic": "Basic",
        "pathmnist_mixup": "MixUp + Aug",
        "pathmnist_pretrained": "MixUp + Aug + PT",
    },
    "pets": {
        "pets_scratch": "No Pretraining",
        "pets_supervised": "Supervised",
        "pets_barlow_twins": "Self-Supervised",
    },
}

EXPERIMENTS = [experiment for arms in ARMS.values() for experiment in arms]

#: How prose writes the data sets.
DATASETS = {"pathmnist": "PathMNIST", "pets": "Oxford-IIIT Pets"}

#: Names of the embedded sets that are drawn.
STAND_INS = {dataset.stand_in for dataset in CATALOGUE.values()}


@dataclass(frozen=True)
class Source:
    """What the environment asks for.

    Attributes
    ----------
    profile : REPORT_PROFILE, default smoke
    results : folder of the records: REPORT_RESULTS, default results/<profile>
    seeds : REPORT_SEEDS, default 0-2: the runs that a build with profile smoke makes by itself
    """

    profile: str
    results: Path
    seeds: str

    @classmethod
    def from_environment(cls) -> "Source":
        """Return what REPORT_PROFILE, REPORT_RESULTS and REPORT_SEEDS say."""
        profile = os.environ.get("REPORT_PROFILE") or "smoke"
        results = os.environ.get("REPORT_RESULTS") or Path("results") / profile
        return cls(profile, ROOT / results, os.environ.get("REPORT_SEEDS") or "0-2")


def read_shown(source: Source) -> dict[str, list[Record]]:
    """Return the checked records of the six experiments, each by seed, without the damaged ones.

    Raises
    ------
    InputError : naming the experiments without a record, or an experiment whose seeds or a data
        set whose arms cannot stand in one table
    """
    shown = {name: read_records(source.results, name, []) for name in EXPERIMENTS}
    if missing := [name for name, records in shown.items() if not records]:
        profiles = {path.stem for path in PROFILES.glob("*.yaml")}
        if not source.results.exists() and source.profile not in profiles:
            folders = {path.name for path in (ROOT / "results").glob("*/")}
            raise unknown("profile or folder of runs", source.profile, sorted(profiles | folders))
        command = f"python -m helpers run {name_profile(source)}"
        raise InputError(
            f"no runs of {', '.join(missing)} in {source.results}; make them with: {command}, and"
            " the parameters and seeds that the runs there have"
        )
    for name, records in shown.items():
        _refuse_mixture(source.results / name, records)
        _refuse_outdated(name, records[0])
    for dataset, arms in ARMS.items():
        data = {name: shown[name][0].run["data"]["sha256"] for name in arms}
        if len(set(data.values())) > 1:
            listed = ", ".join(f"{name} on {checksum[:12]}" for name, checksum in data.items())
            raise InputError(
                f"the arms of {DATASETS[dataset]} in {source.results} were run on different data"
                f" ({listed}); delete the runs that do not belong"
            )
    return shown


def read_others(source: Source) -> dict[str, list[Record]]:
    """Return the checked records of the experiments besides the six, each by seed.

    Raises
    ------
    InputError : as of `read_shown`
    """
    names = {folder.parent.name for folder in source.results.glob("*/seed-*/")}
    others = {}
    for name in sorted(names - MODELS.keys() - set(EXPERIMENTS)):
        if records := read_records(source.results, name, []):
            _refuse_mixture(source.results / name, records)
            _refuse_outdated(name, records[0])
            others[name] = records
    return others


def name_profile(source: Source) -> str:
    """Return how a command line names the profile and the folder of a source."""
    known = (PROFILES / f"{source.profile}.yaml").exists()
    elsewhere = source.results != ROOT / "results" / source.profile
    words = [f"--profile {source.profile}"] * known
    words += [f"-p results={source.results}"] * (elsewhere or not known)
    return " ".join(words)


def _refuse_mixture(folder: Path, records: list[Record]) -> None:
    """Raise InputError unless the seeds of a cell share recipe, data and first weights."""
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record.origin), []).append(record)
    if len(groups) == 1:
        return
    ours, theirs, *others = groups.values()
    named = [
        f"recipe {group[0].run['recipe_hash']} has {_cut(_count_seeds([r.seed for r in group]))}"
        for group in (ours, theirs)
    ]
    named += [f"{len(others)} more"] * bool(others)
    differences = _list_differences(ours[0].run, theirs[0].run)
    raise InputError(
        f"{folder} mixes runs of different recipes, data or weights: {', '.join(named)};"
        f" {differences or 'no parameter differs'}; delete the seeds that do not belong, or give"
        " each recipe a results folder of its own"
    )


def _refuse_outdated(experiment: str, record: Record) -> None:
    """Raise InputError for a record of an earlier version, which did other things than it says."""
    fields = MODELS.get(experiment, ExperimentRecipe).model_fields
    if absent := sorted(fields.keys() - record.run["parameters"].keys()):
        raise InputError(
            f"{record.folder} was made by an earlier version of this project, without the"
            f" parameters {', '.join(absent)}; delete {record.folder.parent} and make its runs"
            " again"
        )


def _list_differences(ours: dict, theirs: dict) -> str:
    """Return the first three parameters, or data or weights, that differ, with both values."""
    first, second = (
        {name: json.dumps(value) for name, value in run["parameters"].items()}
        | {f"{what} sha256": str(run[what]["sha256"])[:12] for what in ("data", "weights")}
        for run in (ours, theirs)
    )
    different = [
        f"{name} {_cut(first.get(name, 'absent'))} against {_cut(second.get(name, 'absent'))}"
        for name in first | second
        if name not in LOCATIONS and first.get(name) != second.get(name)
    ]
    more = [f"{len(different) - 3} more"] if len(different) > 3 else []
    return ", ".join(different[:3] + more)


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"


@cache
def shown_records() -> dict[str, list[Record]]:
    """Return the records that the environment names, read once a process."""
    return read_shown(Source.from_environment())


def list_numbers(numbers: list[int]) -> str:
    """Return sorted numbers as text: ``0–2`` for an unbroken run of more than two, else each."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}–{numbers[-1]}"
    return ", ".join(map(str, numbers))


def describe_seeds(dataset: str) -> str:
    """Return how many seeds the arms of a data set have, and which: ``3 seeds (0–2)``."""
    records = shown_records()
    seeds = {row: [record.seed for record in records[name]] for name, row in ARMS[dataset].items()}
    if len(set(map(tuple, seeds.values()))) == 1:
        return _count_seeds(next(iter(seeds.values())))
    return ", ".join(f"{_count_seeds(numbers)} for {row}" for row, numbers in seeds.items())


def describe_spread(dataset: str) -> str:
    """Return what a cell holds: ``mean ± standard deviation over 3 seeds (0–2)``, or the seed."""
    several = any(len(shown_records()[name]) > 1 for name in ARMS[dataset])
    return "mean ± standard deviation over " * several + describe_seeds(dataset)


def _count_seeds(numbers: list[int]) -> str:
    return f"{len(numbers)} seed{'s' * (len(numbers) > 1)} ({list_numbers(numbers)})"


def describe_data(dataset: str) -> str:
    """Return the data set by name, and what stands in for it where the runs did not use it."""
    names = {
        record.run["data"]["name"]
        for experiment in ARMS[dataset]
        for record in shown_records()[experiment]
        if not record.run["data"]["official"]
    }
    title = DATASETS[dataset]
    if names == {dataset}:
        return f"a part of {title}"
    drawn = ", ".join(map(quote, sorted(names)))
    return f"{drawn} (in place of {title})" if names else title
