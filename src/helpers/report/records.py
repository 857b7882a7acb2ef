"""Records that the report shows: for each data set the best evidence, arm by arm."""

import json
import os
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from helpers import ROOT, InputError
from helpers.catalogue import DATASETS, find_dataset
from helpers.runs.parameters import NOTEBOOKS, PROFILES, parse_seeds, read_defaults
from helpers.runs.record import read_records

from .escape import escape_markdown

#: Arms of the paper in the order of its tables: data set to label to experiment.
PAPER_ARMS = {
    "pathmnist": {
        "Basic": "pathmnist_basic",
        "MixUp + Aug": "pathmnist_mixup",
        "MixUp + Aug + PT": "pathmnist_pretrained",
    },
    "pets": {
        "No Pretraining": "pets_scratch",
        "Supervised": "pets_supervised",
        "Self-Supervised": "pets_barlow_twins",
    },
}

#: Profiles by the strength of their evidence, best first.
BEST_FIRST = ("paper", "short", "smoke")


class Settings(NamedTuple):
    """Environment variables that choose the records, "" where unset."""

    profile: str
    results: str
    seeds: str

    @classmethod
    def read(cls) -> "Settings":
        """Return REPORT_PROFILE, REPORT_RESULTS and REPORT_SEEDS."""
        names = ("REPORT_PROFILE", "REPORT_RESULTS", "REPORT_SEEDS")
        return cls(*(os.environ.get(name, "") for name in names))

    def sources(self) -> dict[str, list[Path]]:
        """Return profile to the folders with its records, the best profile first.

        Raises
        ------
        InputError : for a profile that has neither a file nor records
        """
        if self.results:
            return {self.profile or Path(self.results).name: [ROOT / self.results]}
        folders = {
            name: [ROOT / "results" / name, ROOT / "records" / name]
            for name in ([self.profile] if self.profile else BEST_FIRST)
        }
        known = {path.stem for path in PROFILES.glob("*.yaml")}
        if self.profile not in known | {""} and not any(p.is_dir() for p in folders[self.profile]):
            names = ", ".join(sorted(known))
            raise InputError(f"REPORT_PROFILE={self.profile}: unknown profile; choose from {names}")
        return folders


@dataclass
class Evidence:
    """Records of one data set, all of one profile and on the same data.

    Attributes
    ----------
    profile : "" without records
    arms : label to records by seed, of one configuration and the same first weights
    variants : the same by label and variant
    warnings : a line for each group of records that is left out
    """

    profile: str = ""
    arms: dict = field(default_factory=dict)
    variants: dict = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def datasets() -> list[str]:
    """Return the data sets of the report: the paper's, then others with records."""
    settings = Settings.read()
    found = {
        dataset_of(record.experiment)
        for folders in settings.sources().values()
        for record in _read(tuple(folders), settings.seeds)[0]
    }
    return [*PAPER_ARMS, *sorted(found - PAPER_ARMS.keys())]


def dataset_of(experiment: str) -> str:
    """Return the data set in the name of an experiment; an unknown one is its first word."""
    return find_dataset(experiment) or experiment.split("_")[0]


def dataset_title(dataset: str) -> str:
    """Return the name of a data set for prose."""
    return getattr(DATASETS.get(dataset), "title", "") or _OLD_TITLES.get(dataset, dataset)


#: Until the second house is done: the catalogue gives the titles.
_OLD_TITLES = {"pathmnist": "PathMNIST", "pets": "Oxford-IIIT Pets"}


def arms(dataset: str) -> dict[str, str]:
    """Return label to experiment: the paper's rows, then other notebooks with records."""
    known = dict(PAPER_ARMS.get(dataset, {}))
    for record in _records(dataset)[1]:
        if record.experiment not in known.values():
            label = _read_label(record.experiment)
            known[f"{label} ({record.experiment})" if label in known else label] = record.experiment
    return known


def shown_records(dataset: str) -> dict[str, list]:
    """Return label to records by seed, for the arms of a data set that have any."""
    return _gather(Settings.read(), dataset).arms


def variant_records(dataset: str) -> dict[tuple[str, str], list]:
    """Return (label of the arm, variant) to records by seed."""
    return _gather(Settings.read(), dataset).variants


def shown_profile(dataset: str) -> str:
    """Return the profile of the records shown for a data set, "" without records."""
    return _gather(Settings.read(), dataset).profile


def list_warnings(dataset: str) -> list[str]:
    """Return a line for each group of records that is left out of the report."""
    return _gather(Settings.read(), dataset).warnings


@cache
def _gather(settings: Settings, dataset: str) -> Evidence:
    profile, records = _records(dataset)
    evidence = Evidence(profile)
    if not records:
        return evidence
    # Numbers on different data are never compared, so the most frequent data set stays.
    counts: dict = {}
    for record in records:
        counts.setdefault(record.data["sha256"], []).append(record)
    same = max(counts.values(), key=len)
    for group in counts.values():
        if group is not same:
            evidence.warnings.append(f"{_list_runs(group)}: left out, made on other data")
    groups: dict = {}
    for record in same:
        groups.setdefault((record.experiment, record.variant), []).append(record)
    labels = {experiment: label for label, experiment in arms(dataset).items()}
    order = list(labels)
    for experiment, variant in sorted(groups, key=lambda key: (order.index(key[0]), key[1])):
        by_config: dict = {}
        for record in groups[experiment, variant]:
            by_config.setdefault(_config_key(record), []).append(record)
        chosen = max(by_config.values(), key=len)
        for group in by_config.values():
            if group is not chosen:
                text = f"{_list_runs(group)}: left out, other parameters or weights than "
                evidence.warnings.append(text + _list_runs(chosen))
        if variant:
            evidence.variants[labels[experiment], variant] = chosen
        else:
            evidence.arms[labels[experiment]] = chosen
    return evidence


def _records(dataset: str) -> tuple[str, list]:
    """Return the best profile with records of a data set, and its records."""
    settings = Settings.read()
    for profile, folders in settings.sources().items():
        found = _read(tuple(folders), settings.seeds)[0]
        if own := [record for record in found if dataset_of(record.experiment) == dataset]:
            return profile, own
    return "", []


@cache
def _read(folders: tuple[Path, ...], seeds: str) -> tuple[list, list]:
    """Return the records of experiments (not of pretraining) in some folders, and the corrupt ones.

    Of two records of the same run the one in the earlier folder counts.
    """
    found, corrupt = {}, []
    wanted = set(parse_seeds(seeds)) if seeds else None
    for folder in folders:
        for record in map(_adapt, read_records(folder, "*", corrupt)):
            measured = "predictions.npz" in record.run["files"] or find_dataset(record.experiment)
            measured = measured and "changes" not in record.run  # until the second house is done
            if measured and (wanted is None or record.seed in wanted):
                found.setdefault((record.experiment, record.variant, record.seed), record)
    return [found[key] for key in sorted(found)], corrupt


def _adapt(record):  # until the second house is done
    if hasattr(record, "variant"):
        return record
    values = {n: record.run.get(n, {}) for n in ("parameters", "data", "weights", "environment")}
    old = type(record)(record.folder, record.run)
    old.__dict__.update(values, variant="", checksum=record.run["checksum"])
    return old


def _read_label(experiment: str) -> str:
    if (NOTEBOOKS / f"{experiment}.py").exists():
        try:  # until the second house is done
            from helpers.runs.config import read_title
        except ImportError:
            return experiment
        return read_title(experiment)[1]
    return experiment.removeprefix(f"{dataset_of(experiment)}_").replace("_", " ")


def _config_key(record) -> str:
    """Return what the seeds of one arm share; a missing parameter counts as the default."""
    return json.dumps([_parameters(record), record.weights["sha256"]], sort_keys=True)


def _parameters(record) -> dict:
    """Return the parameters of a run that its numbers depend on, with defaults for missing ones."""
    values = {name: value for name, value in record.parameters.items() if value is not None}
    if (NOTEBOOKS / f"{record.experiment}.py").exists():
        values = read_defaults(record.experiment) | values
    ignored = {"seed", "results", "data_dir", "variant", "stand_in_weights"}
    return {name: value for name, value in values.items() if name not in ignored}


def list_changes(records: list) -> dict[str, dict[str, list[str]]]:
    """Return the parameters that differ from the study: name to value as JSON to experiments."""
    changes: dict[str, dict[str, list[str]]] = {}
    for record in records:
        if not (NOTEBOOKS / f"{record.experiment}.py").exists():
            continue
        defaults = read_defaults(record.experiment)
        for name, value in _parameters(record).items():
            if value != defaults.get(name):
                experiments = changes.setdefault(name, {}).setdefault(json.dumps(value), [])
                experiments += [record.experiment] * (record.experiment not in experiments)
    return changes


def find_corrupt_records() -> list:
    """Return the corrupt records in the folders that the report reads, which it leaves out."""
    settings = Settings.read()
    sources = settings.sources().values()
    return [error for folders in sources for error in _read(tuple(folders), settings.seeds)[1]]


def warn_of_corrupt_records() -> list:
    """Return the corrupt records, each named on standard error with the command to rerun it."""
    corrupt = find_corrupt_records()
    for error in corrupt:
        experiment, seed = error.folder.parent.name, error.folder.name.removeprefix("seed-")
        command = _write_command(error.folder.parent.parent.name, experiment, seed)
        line = f"{experiment} seed {seed} is left out: {error.why}; to make it again: {command}"
        print(f"warning: {line}", file=sys.stderr)
    return corrupt


def missing_runs(dataset: str) -> str | None:
    """Return a line with the runs that are missing and the command for them, None if complete.

    Complete means: every arm has records with predictions, for the same seeds.
    """
    shown, labels = shown_records(dataset), arms(dataset)
    seeds = sorted({record.seed for records in shown.values() for record in records}) or [0, 1, 2]
    parts = []
    for label in labels:
        records = shown.get(label, [])
        whole = {record.seed for record in records if "predictions.npz" in record.run["files"]}
        if absent := [seed for seed in seeds if seed not in whole]:
            only = "" if len(absent) == len(seeds) else f" ({_count(absent)})"
            parts.append(f"{label}{only}")
    if not parts:
        return None
    profile = shown_profile(dataset) or Settings.read().profile or BEST_FIRST[0]
    command = _write_command(profile, f"'{dataset}_*'", _range(seeds))
    return f"Not measured: {', '.join(parts)}. Make these runs with `{command}`."


def _write_command(profile: str, only: str, seeds: str) -> str:
    results = Settings.read().results
    words = [f"--profile {profile}"] if (PROFILES / f"{profile}.yaml").exists() else []
    words += [f"-p results={results}"] * bool(results)
    return " ".join(["python -m helpers run", *words, f"--only {only} --seeds {seeds}"])


def describe_data(dataset: str) -> str:
    """Return the data set by name, and what stands in for it where the runs did not use it."""
    data = [record.data for records in shown_records(dataset).values() for record in records]
    names = {entry["name"] for entry in data if not entry["official"]}
    title = dataset_title(dataset)
    if names == {dataset}:
        return f"a part of {title}"
    drawn = ", ".join(map(escape_markdown, sorted(map(str, names))))
    return f"{drawn} (in place of {title})" if names else title


def describe_seeds(dataset: str) -> str:
    """Return the number of seeds of the arms and the seeds: ``3 seeds (0–2)``."""
    shown = shown_records(dataset)
    seeds = {label: [record.seed for record in records] for label, records in shown.items()}
    if len(set(map(tuple, seeds.values()))) == 1:
        return _count(next(iter(seeds.values())))
    parts = (f"{_count(numbers)} for {label}" for label, numbers in seeds.items())
    return ", ".join(parts) or "no runs"


def describe_spread(dataset: str) -> str:
    """Return the content of a cell: ``mean ± standard deviation over 3 seeds (0–2)``."""
    several = any(len(records) > 1 for records in shown_records(dataset).values())
    return "mean ± standard deviation over " * several + describe_seeds(dataset)


def describe_evidence(dataset: str) -> str:
    """Return profile, epochs and seeds: ``profile short (10 epochs), 3 seeds (0–2)``."""
    shown = shown_records(dataset)
    if not shown:
        return "no runs"
    epochs = sorted({str(records[0].parameters["epochs"]) for records in shown.values()}, key=len)
    profile = escape_markdown(shown_profile(dataset))
    return f"profile {profile} ({' or '.join(epochs)} epochs), {describe_seeds(dataset)}"


def _list_runs(records: list) -> str:
    by_name: dict[str, list[int]] = {}
    for record in records:
        name = f"{record.experiment}{'@' * bool(record.variant)}{record.variant}"
        by_name.setdefault(name, []).append(record.seed)
    return "; ".join(f"{name} {_count(seeds)}" for name, seeds in by_name.items())


def _count(seeds: list[int]) -> str:
    return f"{len(seeds)} seed{'s' * (len(seeds) > 1)} ({list_numbers(seeds)})"


def _range(seeds: list[int]) -> str:
    return list_numbers(seeds).replace("–", "-").replace(" ", "")


def list_numbers(numbers: list[int]) -> str:
    """Return sorted numbers as text: ``0–2`` for an unbroken run of three or more."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}–{numbers[-1]}"
    return ", ".join(map(str, numbers))
