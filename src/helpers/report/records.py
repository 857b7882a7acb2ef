"""Choice of the records that the report shows: the best profile of each data set, by arm."""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import NamedTuple

from helpers import ROOT
from helpers.catalogue import DATASETS, find_dataset
from helpers.runs import config
from helpers.runs.record import read_records

from .escape import escape_markdown, redact_paths

#: Arms of the paper, in the order of its tables: data set to label to experiment.
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

#: Data set to what its runs need with the published data.
NEEDS = {
    "pathmnist": "PathMNIST (206 MB), for MixUp + Aug + PT ResNet-18's ImageNet weights (47 MB),"
    " and, for each arm and seed, two to five hours on a CPU core (profile short: up to one)",
    "pets": "Oxford-IIIT Pets (800 MB), ResNet-50's ImageNet and Barlow Twins weights (200 MB) and,"
    " for the three arms, half an hour per seed on a GPU that sustains 10 TFLOP/s (an estimate), or"
    " days on a CPU",
}

#: Profiles by the strength of their evidence, best first.
BEST_FIRST = ("paper", "short", "smoke")

#: Fewest seeds whose spread shows how much other seeds may differ.
ENOUGH_SEEDS = 3

#: Parameters that affect no number, or that the checksum of the initial weights covers.
IGNORED = {"seed", "results", "data_dir", "variant", "stand_in_weights"}


class Settings(NamedTuple):
    """REPORT_PROFILE, REPORT_RESULTS and REPORT_SEEDS, "" where unset."""

    profile: str
    results: str
    seeds: str

    @classmethod
    def read(cls) -> "Settings":
        """Return the values from the environment."""
        return cls(*(os.environ.get(f"REPORT_{name.upper()}", "") for name in cls._fields))

    def folders(self) -> dict[str, list[Path]]:
        """Map profiles, best first, to the folders with their records."""
        if self.results:
            return {self.profile or Path(self.results).name: [ROOT / self.results]}
        profiles = [self.profile] if self.profile else BEST_FIRST
        found = {name: [ROOT / "results" / name, ROOT / "records" / name] for name in profiles}
        known = config.list_profiles()
        if self.profile not in ("", *known) and not any(map(Path.is_dir, found[self.profile])):
            raise config.unknown("REPORT_PROFILE", self.profile, known)
        return found


@cache
def _read(settings: Settings) -> tuple[dict[str, list], list]:
    """Map profiles to records, each run from its first folder; also return the corrupt ones."""
    records, corrupt = {}, []
    wanted = config.parse_seeds(settings.seeds) if settings.seeds else None
    for profile, folders in settings.folders().items():
        found = {}
        for record in (r for folder in folders for r in read_records(folder, "*", corrupt)):
            measured = record.has("predictions.npz") or find_dataset(record.experiment)
            if measured and (wanted is None or record.seed in wanted):
                found.setdefault((record.experiment, record.variant, record.seed), record)
        records[profile] = [found[key] for key in sorted(found)]
    return records, corrupt


class Evidence(NamedTuple):
    """Records of one data set and one profile ("" if there are none), all on the same data.

    Each label (an arm with or without records) has an experiment. The records of an arm, or of a
    variant (by label and name), share one configuration. Each record left out has a warning.
    """

    dataset: str
    profile: str
    labels: dict[str, str]
    arms: dict[str, list]
    variants: dict[tuple[str, str], list]
    warnings: list[str]

    def has_enough(self, label: str) -> bool:
        """Return whether an arm has enough seeds to know their spread."""
        return len(self.arms.get(label, [])) >= ENOUGH_SEEDS


#: Evidence that `show_each` is showing.
_SHOWN: ContextVar[Evidence | None] = ContextVar("evidence", default=None)


@cache
def _list_evidence(settings: Settings, dataset: str) -> list[Evidence]:
    found = {
        profile: [r for r in records if dataset_of(r.experiment) == dataset]
        for profile, records in _read(settings)[0].items()
    }
    gathered = [_gather(dataset, *item) for item in found.items() if item[1]]
    gathered.sort(key=lambda evidence: not evidence.arms)  # variants alone compare with no arm
    best, *others = gathered or [_gather(dataset, "", [])]
    hashes = [{r.data["sha256"] for group in e.arms.values() for r in group} for e in gathered]
    beneath = [
        other
        for other, data in zip(others, hashes[1:], strict=False)
        if data == hashes[0]
        and any(other.has_enough(label) and not best.has_enough(label) for label in other.arms)
    ]
    return [best, *beneath[:1]]


def _gather(dataset: str, profile: str, records: list) -> Evidence:
    evidence = Evidence(dataset, profile, dict(PAPER_ARMS.get(dataset, {})), {}, {}, [])
    for experiment in sorted({r.experiment for r in records} - {*evidence.labels.values()}):
        label = experiment.removeprefix(f"{dataset}_").replace("_", " ")
        if experiment in config.list_experiments():
            label = config.read_title(experiment)[1]
        label = f"{label} ({experiment})" if label in evidence.labels else label
        evidence.labels[label] = experiment
    # Numbers on different data are never compared: those with the most records stay.
    same = _keep_largest(records, lambda r: r.data["sha256"], "made on other data", evidence)
    why = "other parameters or initial weights than the seeds shown"
    for label, experiment in evidence.labels.items():
        own = [record for record in same if record.experiment == experiment]
        for variant in sorted({record.variant for record in own}):
            group = [record for record in own if record.variant == variant]
            kept = _keep_largest(group, _identify, why, evidence)
            if variant:
                evidence.variants[label, variant] = kept
            else:
                evidence.arms[label] = kept
    return evidence


def _keep_largest(records: list, key: Callable, why: str, evidence: Evidence) -> list:
    """Return the largest group of records with an equal key; warn about the others."""
    counts = Counter(map(key, records))
    chosen = max(counts, key=counts.get, default=None)
    for record in records:
        if key(record) != chosen:
            name = record.folder.parent.name
            evidence.warnings.append(f"{name} seed {record.seed} is left out: {why}")
    return [record for record in records if key(record) == chosen]


def _identify(record) -> str:
    return json.dumps([list_parameters(record), record.weights["sha256"]], sort_keys=True)


def datasets() -> list[str]:
    """Return the data sets of the report: the paper's, then others with records."""
    records = _read(Settings.read())[0].values()
    measured = {dataset_of(record.experiment) for group in records for record in group}
    return [*PAPER_ARMS, *sorted(measured - PAPER_ARMS.keys())]


def dataset_of(experiment: str) -> str:
    """Return the data set in the name of an experiment; if unknown, its first word."""
    return find_dataset(experiment) or experiment.split("_")[0]


def dataset_title(dataset: str) -> str:
    """Return the name of a data set for prose."""
    return DATASETS[dataset].title if dataset in DATASETS else dataset


def list_evidence(dataset: str) -> list[Evidence]:
    """Return the evidence shown: the best profile's and, while an arm of it lacks seeds, that of
    the next profile that has them, on the same data.
    """
    return _list_evidence(Settings.read(), dataset)


def find_evidence(dataset: str) -> Evidence:
    """Return the evidence on pages that show only one profile: the one with enough seeds."""
    shown = _SHOWN.get()
    return shown if shown and shown.dataset == dataset else list_evidence(dataset)[-1]


def show_each(dataset: str, show: Callable) -> list:
    """Return the result of a function for each evidence of a data set, best profile first."""
    found = []
    for evidence in list_evidence(dataset):
        token = _SHOWN.set(evidence)
        try:
            found.append(show())
        finally:
            _SHOWN.reset(token)
    return found


def arms(dataset: str) -> dict[str, str]:
    """Return label to experiment: the paper's rows, then other notebooks with records."""
    return find_evidence(dataset).labels


def shown_records(dataset: str) -> dict[str, list]:
    """Return label to records by seed, for the arms of a data set that have any."""
    return find_evidence(dataset).arms


def list_parameters(record) -> dict:
    """Return the parameters that a run's numbers depend on, with defaults for missing ones."""
    values = {name: value for name, value in record.parameters.items() if value is not None}
    values = _read_study(record.experiment) | values
    return {name: value for name, value in values.items() if name not in IGNORED}


def list_changes(record) -> dict[str, str]:
    """Return the parameters of a run that differ from the study, with their values as JSON."""
    study = _read_study(record.experiment)
    own = list_parameters(record).items() if study else ()
    return {name: json.dumps(value) for name, value in own if value != study.get(name)}


def _read_study(experiment: str) -> dict:
    return config.read_defaults(experiment) if experiment in config.list_experiments() else {}


def find_corrupt_records() -> list:
    """Return the errors of the corrupt records, which the report omits."""
    return _read(Settings.read())[1]


def warn_of_corrupt_records() -> list:
    """Print each corrupt record with the command to rerun it to standard error; return all."""
    for error in find_corrupt_records():
        place, seed = error.folder.parent, error.folder.name.removeprefix("seed-")
        command = _write_command(place.parent.name, place.name, seed)
        text = f"{place.name} seed {seed} is left out: {error.why}; to repeat it: {command}"
        print(f"warning: {text}", file=sys.stderr)
    return find_corrupt_records()


def missing_runs(dataset: str) -> str | None:
    """Return a line with the missing runs and their command; None if all arms have all seeds."""
    shown, missing = shown_records(dataset), []
    seeds = sorted({r.seed for records in shown.values() for r in records}) or [0, 1, 2]
    for label in arms(dataset):
        whole = {r.seed for r in shown.get(label, []) if r.has("predictions.npz")}
        if absent := [seed for seed in seeds if seed not in whole]:
            missing.append(f"{label} (seed{'s' * (len(absent) > 1)} {list_numbers(absent)})")
    profile = find_evidence(dataset).profile or Settings.read().profile or BEST_FIRST[0]
    numbers = list_numbers(seeds).replace("–", "-").replace(" ", "")
    command = _write_command(profile, f"'{dataset}_*'", numbers)
    text = f"Not measured: {', '.join(missing)}. Make these runs with `{command}`."
    if dataset in NEEDS and profile in BEST_FIRST[:2]:
        text += f" They need {NEEDS[dataset]}."
    return text if missing else None


def _write_command(profile: str, only: str, seeds: str) -> str:
    results = Settings.read().results
    words = [f"--profile {profile}"] * (profile in config.list_profiles())
    words += [f"-p results={redact_paths(results)}"] * bool(results)
    return " ".join(["python -m helpers run", *words, f"--only {only} --seeds {seeds}"])


def describe_data(dataset: str) -> str:
    """Return the name of a data set, with its stand-in if the runs used one."""
    data = [record.data for records in shown_records(dataset).values() for record in records]
    names = {str(entry["name"]) for entry in data if not entry["official"]}
    if names == {dataset}:
        return f"a part of {dataset_title(dataset)}"
    drawn = ", ".join(map(escape_markdown, sorted(names)))
    return f"{drawn} (in place of {dataset_title(dataset)})" if names else dataset_title(dataset)


def describe_seeds(dataset: str) -> str:
    """Return the number of seeds of the arms, and the seeds: ``2 to 3 seeds (0–2)``."""
    groups = [[record.seed for record in group] for group in shown_records(dataset).values()]
    fewest, most = min(map(len, groups)), max(map(len, groups))
    count = f"{fewest} to {most}" if fewest < most else f"{most}"
    numbers = list_numbers(sorted({seed for group in groups for seed in group}))
    return f"{count} seed{'s' * (most > 1)} ({numbers})"


def describe_evidence(dataset: str) -> str:
    """Return profile, epochs and seeds: ``profile short (10 epochs), 3 seeds (0–2)``."""
    shown = shown_records(dataset).values()
    epochs = dict.fromkeys(str(records[0].parameters.get("epochs")) for records in shown)
    named = f"profile {find_evidence(dataset).profile} ({' or '.join(epochs)} epochs)"
    return f"{escape_markdown(named)}, {describe_seeds(dataset)}" if epochs else "no runs"


def list_numbers(numbers: list[int]) -> str:
    """Return sorted numbers as text: ``0–2`` for an unbroken run of three or more."""
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}–{numbers[-1]}"
    return ", ".join(map(str, numbers))
