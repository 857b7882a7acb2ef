"""Provenance: the runs behind the book, their data, weights, code and machines, and the banner."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape, unescape

import pandas as pd
from IPython.display import Markdown

from helpers.catalogue import DATASETS
from helpers.runs.config import LOCATIONS, read_defaults
from helpers.runs.record import Record, read_records

from .escape import escape_code, escape_markdown, redact_paths
from .paper import REFERENCE
from .records import (
    arms,
    dataset_title,
    datasets,
    describe_corrupt,
    describe_data,
    describe_seeds,
    missing_runs,
    shown_profile,
    shown_records,
    variant_records,
)
from .table_export import render_table

STAND_INS = {dataset.stand_in for dataset in DATASETS.values()}

RUNS = {
    "Experiment": ":--",
    "Seed": "--:",
    "Configuration": ":--",
    "Data": ":--",
    "Initial weights": ":--",
    "Commit": ":--",
    "Training (s)": "--:",
    "Peak memory (MB)": "--:",
    "Epoch kept": "--:",
}


def list_runs() -> dict[str, list[Record]]:
    """Return all runs that the book rests on, by experiment.

    The shown runs of each data set, its variants, and the pretraining runs they started from.
    """
    runs: dict[str, list[Record]] = {}
    for dataset in datasets():
        for records in [*shown_records(dataset).values(), *variant_records(dataset).values()]:
            runs.setdefault(name_experiment(records[0]), []).extend(records)
    shown = [record for records in runs.values() for record in records]
    used = {record.weights["sha256"] for record in shown} - {None}
    for results in dict.fromkeys(record.folder.parents[1] for record in shown):
        for record in read_records(results, "pretrain_*", []):
            if record.run["files"].get("weights.pt") in used:
                runs.setdefault(record.experiment, []).append(record)
    return runs


def name_experiment(record: Record) -> str:
    """Return an experiment with its variant, as in the name of its folder."""
    return f"{record.experiment}@{record.variant}" if record.variant else record.experiment


def find_page(records: list[Record]) -> Record | None:
    """Return the run whose executed notebook is the page of its experiment: the first with one."""
    if records[0].variant or records[0].experiment.startswith("pretrain_"):
        return None
    return next((record for record in records if record.notebook), None)


def name_notebook(record: Record) -> str:
    """Return the file name under which the book offers an executed notebook for download."""
    return f"{name_experiment(record)}-seed-{record.seed}.ipynb"


def show_runs() -> Markdown:
    """Return a table of all runs, each linked to its executed notebook.

    Above it, a box names the corrupt records that the book leaves out.
    """
    rows, facts, lines = [], [], [f"- {line}" for line in describe_corrupt()]
    for name, records in list_runs().items():
        page = find_page(records)
        rows += [_describe_run(name, record, record is page) for record in records]
        facts += [_list_facts(name, record) for record in records]
    parts = [missing_runs(dataset) for dataset in datasets()]
    if lines:
        text = "These corrupt records are left out; the log of the build says how to replace them."
        parts.append("\n".join(["```{warning}", text, "", *lines, "```"]))
    if rows:
        caption = "All runs: what each was made from, and what it took"
        parts.append(render_table("runs", caption, [RUNS, RUNS.values(), *rows], facts, "runs"))
    return Markdown("\n\n".join(filter(None, parts)))


def _describe_run(name: str, record: Record, is_page: bool) -> list[str]:
    run = record.run
    seed = str(record.seed)
    if is_page:  # a leading slash is the book's own folder
        seed = f"{{doc}}`{record.seed} </runs/{record.experiment}>`"
    elif record.notebook:
        seed = f"{{download}}`{record.seed} </runs/{name_notebook(record)}>`"
    return [
        escape_markdown(name),
        seed,
        escape_code(record.config_hash),
        f"{escape_markdown(record.data['name'])} {_cut(record.data['sha256'])}, "
        + _describe_origin(record.data),
        _describe_weights(record),
        describe_commit(record),
        _format(run.get("train_seconds"), 1),
        _format(run.get("peak_memory_bytes"), 0, 1e-6),
        escape_markdown(run.get("best_epoch") or ""),
    ]


def _list_facts(name: str, record: Record) -> dict[str, str]:
    """Return the same for the CSV, without markup and with whole checksums."""
    run, data, weights, environment = record.run, record.data, record.weights, record.environment
    facts = {
        "experiment": name,
        "seed": record.seed,
        "profile": run.get("profile"),
        "configuration": record.config_hash,
        "data": data["name"],
        "data_sha256": data["sha256"],
        "data_official": data["official"],
        "weights_sha256": weights["sha256"],
        "weights_official": weights["official"],
        "commit": environment["git_commit"],
        "uncommitted_changes": environment["git_dirty"],
        **{key: environment[key] for key in ("device", "threads", "torch")},
        "train_seconds": _format(run.get("train_seconds"), 1),
        "evaluate_seconds": _format(run.get("evaluate_seconds"), 1),
        "peak_memory_mb": _format(run.get("peak_memory_bytes"), 0, 1e-6),
        "best_epoch": run.get("best_epoch"),
    }
    return {k: redact_paths("" if v is None else str(v)) for k, v in facts.items()}


def _cut(checksum: str | None) -> str:
    return escape_code(checksum[:12]) if checksum else "unknown"


def _describe_origin(data: dict) -> str:
    if data["official"]:
        return "published"
    kinds = {"a part": DATASETS, "stand-in": STAND_INS}
    return next((kind for kind, names in kinds.items() if data["name"] in names), "own data")


def _describe_weights(record: Record) -> str:
    weights, made = record.weights, record.run["files"].get("weights.pt")
    origin = "published" if weights["official"] else "stand-in"
    start = f"{_cut(weights['sha256'])}, {origin}" if weights["sha256"] else "random"
    return start + (f"; made {_cut(made)}" if made else "")


def describe_commit(record: Record) -> str:
    """Return the commit of the code that made a run, and whether files differed from it."""
    commit = (record.environment["git_commit"] or "unknown")[:10]
    return escape_code(commit) + " with changes" * bool(record.environment["git_dirty"])


def _format(value: float | None, digits: int, scale: float = 1) -> str:
    return "" if value is None else f"{value * scale:,.{digits}f}"


def show_build() -> Markdown:
    """Return a table of what the book was made from, one column per data set."""
    rows: dict[str, list[str]] = {}
    shown = [dataset for dataset in datasets() if shown_records(dataset)]
    for dataset in shown:
        for name, fact in _describe_build(dataset).items():
            rows.setdefault(name, []).append(fact)
    lines = [f"Book built {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."]
    if rows:
        heads = ["", *map(dataset_title, shown)]
        table = [heads, [":--"] * len(heads), *([name, *facts] for name, facts in rows.items())]
        lines[:0] = ["\n".join(f"| {' | '.join(row)} |" for row in table)]
    return Markdown("\n\n".join(lines))


def _describe_build(dataset: str) -> dict[str, str]:
    groups = shown_records(dataset)
    records = [record for group in groups.values() for record in group]
    days = sorted((record.run.get("started") or "")[:10] for record in records)
    seconds = sum((r.run.get(f"{k}_seconds") or 0) for r in records for k in ("train", "evaluate"))
    took = f"{seconds / 60:.1f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
    versions = ("python", "torch", "torchvision", "numpy")
    return {
        "Profile": escape_code(shown_profile(dataset)),
        "Data": describe_data(dataset),
        "Seeds": describe_seeds(dataset),
        "Initial weights": _join(
            f"{label}: {escape_markdown(str(group[0].parameters.get('initialisation')))}"
            + " (stand-in)" * (not group[0].weights["official"])
            for label, group in groups.items()
        ),
        "Parameters that differ from the notebooks": "; ".join(
            f"{label}: {', '.join(map(escape_code, changes))}"
            for label, changes in list_changes(dataset).items()
        )
        or "none",
        "Runs": f"{len(records)}, made {_join(map(escape_markdown, dict.fromkeys(days[:: len(days) - 1 or 1])), ' to ')}"
        f" in {took} of training and evaluation",
        "Commit": _join(map(describe_commit, records)),
        "Device": _join(escape_markdown(record.environment["device"]) for record in records),
        "Software": _join(
            ", ".join(f"{k} {escape_markdown(r.environment[k])}" for k in versions) for r in records
        ),
    }


def _join(values: Iterable[str], sign: str = "; ") -> str:
    return sign.join(dict.fromkeys(values))


def list_changes(dataset: str) -> dict[str, list[str]]:
    """Return the parameters with other values than the arm's notebook has, by label of the arm.

    Changes that all arms share are listed under "all arms".
    """
    changes = {}
    for label, (record, *_) in shown_records(dataset).items():
        defaults = read_defaults(record.experiment)
        changes[label] = [
            f"{name} = {json.dumps(value)}"
            for name, value in record.parameters.items()
            if name not in LOCATIONS | {"stand_in_weights"} and value != defaults.get(name)
        ]
    shared = [c for c in next(iter(changes.values()), []) if all(c in v for v in changes.values())]
    own = {label: [c for c in listed if c not in shared] for label, listed in changes.items()}
    listed = {"all arms": shared} | own if len(changes) > 1 else changes
    return {label: values for label, values in listed.items() if values}


def show_data() -> Markdown:
    """Return a table of the data that the runs used."""
    heads = ["Data set", "Used", "Classes", "Training", "Validation", "Test", "Side (pixels)"]
    rows, facts = [heads, [":--", ":--", *["--:"] * 5]], []
    for dataset in datasets():
        for record in [group[0] for group in shown_records(dataset).values()][:1]:
            numbers = {"classes": len(record.data["classes"])}
            numbers |= {split: record.data[split] for split in ("train", "validation", "test")}
            numbers["side_pixels"] = record.parameters.get("image_size")
            used, title = describe_data(dataset), dataset_title(dataset)
            rows.append([title, used, *(_format(number, 0) or "—" for number in numbers.values())])
            facts.append({"dataset": title, "data": unescape(used)} | numbers)
    if not facts:
        return Markdown("No runs yet; the page {doc}`runs` names the command.")
    caption = "The data that the runs used: classes, images, and the side of an image"
    return Markdown(render_table("data", caption, rows, facts))


def show_survival() -> Markdown:
    """Return a table of injected faults: how often each was tried, and survived."""
    table = pd.read_csv(REFERENCE / "survival.csv", dtype={"commit": str})
    rows = [["Fault", "Tried", "Survived"], [":--", "--:", "--:"]]
    for row in table.itertuples():
        survived = f"{row.survived}" if row.survived == row.tried else f"**{row.survived}**"
        rows.append([row.fault, f"{row.tried}", survived])
    caption = "Injected faults, how often each was tried, and how often the runs survived it"
    shown = render_table("survival", caption, rows, table.to_dict("records"))
    total = table[["tried", "survived"]].sum()
    made = sorted(set(zip(table["date"], table["commit"], strict=True)))
    when = ", ".join(f"{date} (commit `{commit}`)" for date, commit in made)
    text = f"**The runs survived {total.survived:,} of {total.tried:,} faults.** Tested on {when}."
    return Markdown(f"{text}\n\n{shown}")


def write_banner(shown: Iterable[str]) -> str:
    """Return HTML that says which data made the numbers of some data sets.

    Empty if all runs used the published images and weights and the paper's profile.
    """
    lines = []
    for dataset in shown:
        records = [record for group in shown_records(dataset).values() for record in group]
        title, used = dataset_title(dataset), {}
        for record in records:
            if not record.data["official"]:
                used.setdefault(record.data["name"], _describe_origin(record.data))
        if used:
            names = ", ".join(f"{kind} ({escape(name)})" for name, kind in used.items())
            meaning = "These numbers show that the software works, not what the paper measured."
            if set(used.values()) == {"own data"}:
                meaning = "These numbers say nothing about the paper's data."
            kinds = {"stand-in": "generated stand-in images", "a part": "a part of the images"}
            for word, text in kinds.items():
                names = names.replace(f"{word} (", f"{text} (")
            lines.append(f"<b>{title}</b>: {names} instead of the published data. {meaning}")
        elif records and shown_profile(dataset) != "paper":
            profile = escape(shown_profile(dataset))
            lines.append(
                f"<b>{title}</b>: published images, profile {profile}, not the full study."
            )
        elif not all(record.weights["official"] for record in records):
            lines.append(f"<b>{title}</b>: some runs started from other weights than the paper's.")
    return "<br>".join(lines)


def banner_of(page: str) -> str:
    """Return the banner of a page: of the data set that it belongs to, else of all."""
    belonging = [
        d
        for d in datasets()
        if page in (f"results/{d}", f"further/{d}")
        or page.removeprefix("runs/") in arms(d).values()
    ]
    return write_banner(belonging or datasets())
