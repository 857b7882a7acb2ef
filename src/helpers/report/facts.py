"""What the book was made from: profile, data, weights, seeds, commit, machine, dates."""

import html
import json
from datetime import UTC, datetime
from pathlib import Path

from IPython.display import Markdown

from helpers.runs.parameters import read_defaults
from helpers.runs.recipe import LOCATIONS
from helpers.runs.record import Record

from .damage import list_damaged
from .downloads import write_listing
from .foreign import quote, quote_code
from .source import ARMS, DATASETS, Source, describe_data, describe_seeds, shown_records


def show_build() -> Markdown:
    """Return a table of what this build of the book was made from."""
    runs = [record.run for records in shown_records().values() for record in records]
    environments = [run["environment"] for run in runs]
    started = sorted(run["started"][:10] for run in runs)
    seconds = sum(run["train_seconds"] + run["evaluate_seconds"] for run in runs)
    days = " to ".join(map(quote, dict.fromkeys([started[0], started[-1]])))
    facts = {
        "Profile": quote_code(Source.from_environment().profile),
        "Data": "; ".join(map(describe_data, DATASETS)),
        "Weights": _describe_weights(),
        "Other than in the study": _describe_changes(),
        "Seeds": "; ".join(f"{DATASETS[name]}: {describe_seeds(name)}" for name in DATASETS),
        "Runs": f"{len(runs)} of the six experiments, made {days} in {_describe_duration(seconds)}"
        " of training and evaluation",
        **_describe_damage(),
        "Commit of the runs": describe_commits(runs),
        "Device": _join(quote(run["device"]) for run in environments),
        "Software": _join(
            "Python {}, torch {}, torchvision {}, numpy {}".format(
                *(quote(run[name]) for name in ("python", "torch", "torchvision", "numpy"))
            )
            for run in environments
        ),
        "Book built": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }
    lines = [
        "| | This build |",
        "|:--|:--|",
        *(f"| {name} | {fact} |" for name, fact in facts.items()),
    ]
    return Markdown("\n".join(lines))


def show_data() -> Markdown:
    """Return a table of the data that the runs used."""
    rows = [
        ["Experiments", "Data", "Classes", "Training", "Validation", "Test", "Side (pixels)"],
        [":--", ":--", *["--:"] * 5],
    ]
    facts = []
    for dataset, title in DATASETS.items():
        record = shown_records()[next(iter(ARMS[dataset]))][0]
        data, side = record.run["data"], record.examples["images"].shape[-1]
        name = title if data["official"] else describe_data(dataset)
        numbers = {"classes": len(data["classes"])}
        numbers |= {split: data[split] for split in ("train", "validation", "test")}
        numbers["side_pixels"] = side
        rows.append([title, name, *(f"{number:,}" for number in numbers.values())])
        facts.append({"experiments": title, "data": html.unescape(name)} | numbers)
    caption = "The data that the runs used: classes, images and the side of an image"
    return Markdown(write_listing("data", caption, rows, facts))


def _describe_weights() -> str:
    facts = []
    for arms in ARMS.values():
        for name, row in arms.items():
            run = shown_records()[name][0].run
            start = quote(run["parameters"]["initialisation"].replace("_", " "))
            weights = run["weights"]
            if not weights["official"]:
                start += f" (stand-in: {quote_code(Path(weights['initialisation']).parent)})"
            facts.append(f"{row}: {start}")
    return "; ".join(facts)


def list_changes(records: list[Record]) -> dict[str, list[str]]:
    """Return the parameters of runs that are not as in their notebooks: name to values as JSON."""
    changes = {}
    for record in records:
        defaults, parameters = read_defaults(record.experiment), record.run["parameters"]
        for name in dict.fromkeys([*parameters, *defaults]):
            value = parameters.get(name, "absent")
            if name not in LOCATIONS and value != defaults.get(name):
                changes.setdefault(name, {})[json.dumps(value)] = None
    changes.pop("stand_in_weights", None)  # told with the weights
    return {name: list(values) for name, values in changes.items()}


def _describe_changes() -> str:
    changes = list_changes([records[0] for records in shown_records().values()])
    listed = [quote_code(f"{name} = {' or '.join(values)}") for name, values in changes.items()]
    return ", ".join(listed) or "nothing"


def _describe_damage() -> dict[str, str]:
    damaged = [error.folder for error in list_damaged(Source.from_environment())]
    names = ", ".join(f"`{folder.parent.name}/{folder.name}`" for folder in damaged)
    return {"**Left out: damaged records**": names} if damaged else {}


def _describe_duration(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"


def describe_commits(runs: list[dict]) -> str:
    """Return the commits of the code that made the runs, with a word on uncommitted changes."""
    found = []
    for environment in (run["environment"] for run in runs):
        commit = (environment.get("git_commit") or "unknown")[:10]
        dirty = " with uncommitted changes" if environment.get("git_dirty") else ""
        found.append(f"{quote_code(commit)}{dirty}")
    return _join(found)


def _join(values) -> str:
    return "; ".join(dict.fromkeys(values))
