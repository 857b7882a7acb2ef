"""Provenance: the runs behind the book, their data, weights, code and machines, and the banner."""

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import pandas as pd
from IPython.display import Markdown

from helpers import ROOT
from helpers.catalogue import DATASETS
from helpers.runs.record import Record, read_records, run_folder
from helpers.runs.shipping import compare_checksums, describe_processor

from .escape import escape_code, escape_markdown, redact_paths
from .records import (
    Settings,
    arms,
    dataset_title,
    datasets,
    describe_data,
    describe_seeds,
    find_corrupt_records,
    find_evidence,
    list_changes,
    missing_runs,
    shown_records,
)
from .table_export import render_table, write_markdown

#: Columns of the CSV file of runs: fields of run.json.
FACTS = [
    *("experiment", "variant", "config_hash", "seed", "profile", "best_epoch"),
    *("data_name", "data_sha256", "data_official", "weights_sha256", "weights_official"),
    *(f"environment_{name}" for name in ("git_commit", "git_dirty", "device", "threads", "torch")),
    *("peak_memory_bytes", "train_seconds", "evaluate_seconds"),
]

#: Name of a data set that is not the published one, to a phrase for it.
STAND_INS = {data.stand_in: "generated stand-in images" for data in DATASETS.values()}
PARTS = dict.fromkeys(DATASETS, "a part of the published images")


def results_folder() -> Path:
    """Return the folder that holds the results of all profiles, and the example images."""
    return (ROOT / (Settings.read().results or "results/any")).parent


def list_runs() -> list[Record]:
    """Return all runs that the book rests on.

    The shown runs of each data set, its variants, and the pretraining runs they started from.
    """
    evidence = [find_evidence(dataset) for dataset in datasets()]
    groups = [group for e in evidence for group in (*e.arms.values(), *e.variants.values())]
    shown = [record for group in groups for record in group]
    used = {record.weights["sha256"] for record in shown} - {None}
    folders = dict.fromkeys(record.folder.parents[1] for record in shown)
    first = [record for folder in folders for record in read_records(folder, "pretrain_*", [])]
    return shown + [record for record in first if record.run["files"].get("weights.pt") in used]


def _name(record: Record) -> str:
    """Return an experiment with its variant; an older record has a folder of another name."""
    return run_folder("", record.experiment, record.seed, record.variant).parent.name


def name_notebooks() -> dict[str, Record]:
    """Return the runs with an executed notebook by its name, without ending, in the book.

    The first one of an arm is the arm's page and has the experiment's name.
    """
    named = {}
    for record in list_runs():
        if record.notebook:
            arm = not record.variant and not record.experiment.startswith("pretrain_")
            is_page = arm and record.experiment not in named
            other = f"{_name(record)}-seed-{record.seed}"
            named[record.experiment if is_page else other] = record
    return named


def show_runs() -> Markdown:
    """Return a table of all runs, each linked to its executed notebook.

    Above it, a box names the corrupt records that the book leaves out.
    """
    parts, runs = [missing_runs(dataset) for dataset in datasets()], list_runs()
    omitted = [warning for dataset in datasets() for warning in find_evidence(dataset).warnings]
    omitted += [f"{e.folder.parent.name} {e.folder.name}: {e.why}" for e in find_corrupt_records()]
    if omitted:
        text = "No number in this book comes from these records; the build names the remedy."
        lines = [f"- {escape_markdown(line)}" for line in omitted]
        parts.append("\n".join(["```{warning}", text, "", *lines, "```"]))
    if runs:
        names = {record.folder: name for name, record in name_notebooks().items()}
        rows = [_describe_run(record, names.get(record.folder)) for record in runs]
        cells = [rows[0], [":--"] * 6 + ["--:"] * 3, *(row.values() for row in rows)]
        facts = pd.json_normalize([record.run for record in runs], sep="_", max_level=1)
        facts = facts.reindex(columns=FACTS).astype(object)
        facts = facts.map(lambda value: redact_paths(str(value)), na_action="ignore")
        caption = "All runs, with their inputs and costs"
        parts.append(render_table("runs", caption, cells, facts, "runs"))
    return Markdown("\n\n".join(filter(None, parts)))


def _describe_run(record: Record, notebook: str | None) -> dict[str, str]:
    """Return the cells of a run, the last three of them numbers, by the heads of their columns."""
    run, data, weights, seed = record.run, record.data, record.weights, str(record.seed)
    if notebook:  # a leading slash is the book's own folder
        page = f"{{doc}}`{seed} </runs/{notebook}>`"
        file = f"{{download}}`{seed} </runs/{notebook}.ipynb>`"
        seed = page if notebook == record.experiment else file
    origin = "stand-in" if data["name"] in STAND_INS else PARTS.get(data["name"], "own data")
    origin = "published" if data["official"] else origin
    start = f"{_cut(weights['sha256'])}, {'published' if weights['official'] else 'stand-in'}"
    start = start if weights["sha256"] else "random"
    made = run["files"].get("weights.pt")
    return {
        "Experiment": escape_markdown(_name(record)),
        "Seed": seed,
        "Configuration": escape_code(record.config_hash),
        "Data": f"{escape_markdown(data['name'])} {_cut(data['sha256'])}, {origin}",
        "Initial weights": start + (f"; made {_cut(made)}" if made else ""),
        "Commit": _describe_commit(record),
        "Training (s)": _format(run["train_seconds"], 1),
        "Peak memory (MB)": _format(run["peak_memory_bytes"], 0, 1e-6),
        "Epoch kept": escape_markdown(run["best_epoch"] or ""),
    }


def _cut(checksum: str | None) -> str:
    return escape_code(checksum[:12]) if checksum else "unknown"


def _describe_commit(record: Record) -> str:
    commit = (record.environment["git_commit"] or "unknown")[:10]
    return escape_code(commit) + " with changes" * bool(record.environment["git_dirty"])


def _format(value: float | None, digits: int, scale: float = 1) -> str:
    return "—" if value is None else f"{value * scale:,.{digits}f}"


def show_build() -> Markdown:
    """Return a table of what the book was made from, one column per data set."""
    shown = [dataset for dataset in datasets() if shown_records(dataset)]
    table = pd.DataFrame({dataset_title(dataset): _describe_build(dataset) for dataset in shown})
    heads = ["", *table]
    rows = [heads, [":--"] * len(heads), *table.reset_index().to_numpy().tolist()]
    made = f"Book built {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
    return Markdown(f"{write_markdown(rows)}\n\n{made}" if shown else made)


def _describe_build(dataset: str) -> dict[str, str]:
    groups = shown_records(dataset)
    records = [record for group in groups.values() for record in group]
    first, data = records[0], records[0].data
    days = sorted((record.run["started"] or "unknown")[:10] for record in records)
    seconds = sum(r.run[f"{part}_seconds"] or 0 for r in records for part in ("train", "evaluate"))
    took = f"{seconds / 60:.1f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
    starts = [
        f"{label}: {escape_markdown(group[0].parameters.get('initialisation'))}"
        + " (stand-in)" * (not group[0].weights["official"])
        for label, group in groups.items()
    ]
    changes = []
    for name, values in list_changes([group[0] for group in groups.values()]).items():
        for value, experiments in values.items():
            whose = f" ({', '.join(experiments)})" * (len(experiments) < len(groups))
            changes.append(escape_code(f"{name} = {value}") + whose)
    versions = [
        ", ".join(f"{k} {escape_markdown(r.environment[k])}" for k in ("python", "torch", "numpy"))
        for r in records
    ]
    return {
        "Profile": escape_code(find_evidence(dataset).profile),
        "Data": describe_data(dataset),
        "Images": ", ".join(f"{_format(data[k], 0)} {k}" for k in ("train", "validation", "test")),
        "Classes": f"{len(data['classes'])}",
        "Side": f"{first.parameters.get('image_size', '—')} pixels",
        "Seeds": describe_seeds(dataset),
        "Initial weights": "; ".join(starts),
        "Other than in the notebooks": ", ".join(changes) or "nothing",
        "Runs": f"{len(records)}; training and evaluation took {took}",
        "Made": escape_markdown(_join([days[0], days[-1]])),
        "Commit": _join(map(_describe_commit, records)),
        "Device": _join(escape_markdown(record.environment["device"]) for record in records),
        "Software": _join(versions),
    }


def show_quick_check() -> Markdown:
    """Return what the quick check made, how long it took, and how many checksums are as shipped."""
    records = read_records(ROOT / "results" / "smoke", corrupt=[])
    if not records:
        return Markdown("It has not run here: `python -m helpers run` makes its runs in minutes.")
    runs = [record.run for record in records]
    seconds = sum((run["train_seconds"] or 0) + (run["evaluate_seconds"] or 0) for run in runs)
    began = escape_markdown(min(run["started"] or "unknown" for run in runs))
    equal, compared, shipped_by = compare_checksums(records)
    here, there = map(escape_markdown, (describe_processor(records), shipped_by))
    text = (
        f"It made {len(runs)} runs, the first of which began at {began}. Training and evaluation"
        f" took {seconds:,.0f} s, summed over the runs. **{equal} of {compared}** checksums equal"
        f" the shipped ones. Made on: {here}. Shipped ones made on: {there}."
    )
    if equal < compared:
        text += (
            " Another processor or another version of torch rounds differently, and training am"
            "plifies that; on the same ones, changed code or parameters are the cause."
        )
    return Markdown(text)


def _join(values: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(values))


def write_banner(page: str = "") -> str:
    """Return HTML that says which data made the numbers of a page, or of the whole book.

    Empty if all runs used the published images and weights and the paper's profile.
    """
    name = page.partition("/")[2]
    own = [d for d in datasets() if name == d or name in arms(d).values()]
    lines = {dataset: _warn(dataset) for dataset in own or datasets()}
    return "<br>".join(f"<b>{dataset_title(d)}</b>: {text}" for d, text in lines.items() if text)


def _warn(dataset: str) -> str:
    records = [record for group in shown_records(dataset).values() for record in group]
    used = {record.data["name"] for record in records if not record.data["official"]}
    if used:
        phrases = STAND_INS | PARTS
        sources = [f"{phrases.get(n, 'own data')} ({escape(n)})" for n in sorted(used)]
        about = "test the software and say nothing about the paper"
        meaning = about if used & phrases.keys() else "say nothing about the paper's data"
        return f"{', '.join(sources)} instead of the published data. These numbers {meaning}."
    profile = find_evidence(dataset).profile
    if records and profile != "paper":
        return f"published images, profile {escape(profile)}, not the full study."
    if not all(record.weights["official"] for record in records):
        return "some runs started from other weights than the paper's."
    return ""
