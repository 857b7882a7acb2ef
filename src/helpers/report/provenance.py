"""Provenance: the runs behind the book and their inputs, and the banner that names the data."""

from functools import partial
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
    describe_evidence,
    find_corrupt_records,
    list_changes,
    list_evidence,
    missing_runs,
    show_each,
    shown_records,
)
from .table_export import render_table

#: Name of a data set other than the published one, to a phrase for it.
STAND_INS = {data.stand_in: "generated stand-in images" for data in DATASETS.values()}
PHRASES = STAND_INS | dict.fromkeys(DATASETS, "a part of the published images")


def results_folder() -> Path:
    """Return the folder that holds the results of all profiles, and the example images."""
    return (ROOT / (Settings.read().results or "results/any")).parent


def list_runs() -> list[Record]:
    """Return all runs behind the book: arms, then variants."""
    evidence = [found for dataset in datasets() for found in list_evidence(dataset)]
    groups = [group for e in evidence for group in (*e.arms.values(), *e.variants.values())]
    return [record for group in groups for record in group]


def _name(record: Record) -> str:
    """Return an experiment with its variant; the folder of an older record has another name."""
    return run_folder("", record.experiment, record.seed, record.variant).parent.name


def name_notebooks() -> dict[str, Record]:
    """Map names in the book, without ending, to runs with an executed notebook.

    The first run of an arm is the arm's page and has the experiment's name.
    """
    named = {}
    for record in filter(lambda record: record.notebook, list_runs()):
        name = f"{record.folder.parents[1].name}-{_name(record)}-seed-{record.seed}"
        arm = not record.variant and record.experiment not in named
        named[record.experiment if arm else name] = record
    return named


def show_made_from() -> Markdown:
    """Return a line with the profiles, data, seeds, commits, software and dates of the runs."""
    shown = []
    for dataset in datasets():
        profiles = show_each(dataset, partial(describe_evidence, dataset))
        shown.append(f"{describe_data(dataset)}, {' and '.join(profiles)}")
    text = f"**This build:** {'; '.join(shown)}."
    if runs := list_runs():
        days = sorted(str(record.run["started"])[:10] for record in runs)
        dates = " to ".join(dict.fromkeys(map(escape_markdown, (days[0], days[-1]))))
        text += f" Runs of commit {', '.join(sorted(set(map(_describe_code, runs))))}, {dates}."
    return Markdown(text)


def _describe_code(record: Record) -> str:
    versions = [f"torch {record.environment['torch']}", record.environment["device"]]
    return f"{_describe_commit(record)} with {' on '.join(map(escape_markdown, versions))}"


def show_runs() -> Markdown:
    """Return a table of all runs, linked to their notebooks, below a box with corrupt records."""
    parts, runs = [missing_runs(dataset) for dataset in datasets()], list_runs()
    evidence = [found for dataset in datasets() for found in list_evidence(dataset)]
    omitted = [warning for found in evidence for warning in found.warnings]
    omitted += [f"{e.folder.parent.name} {e.folder.name}: {e.why}" for e in find_corrupt_records()]
    if omitted:
        text = "No number in this book comes from these records; the build names the remedy."
        lines = [f"- {escape_markdown(line)}" for line in omitted]
        parts.append("\n".join(["```{warning}", text, "", *lines, "```"]))
    if runs:
        names = {record.folder: name for name, record in name_notebooks().items()}
        rows = [_describe_run(record, names.get(record.folder)) for record in runs]
        cells = [list(rows[0]), *(list(row.values()) for row in rows)]
        facts = pd.json_normalize([record.run for record in runs], sep="_", max_level=1)
        facts = facts.map(lambda value: redact_paths(str(value)), na_action="ignore")
        caption = "All runs, with their inputs and costs"
        parts.append(render_table("runs", caption, cells, facts, "runs", left=7))
    return Markdown("\n\n".join(filter(None, parts)))


def _describe_run(record: Record, notebook: str | None) -> dict[str, str]:
    """Return the cells of a run by column title; the last one is a number."""
    data, weights, seed = record.data, record.weights, str(record.seed)
    if notebook:  # a leading slash stands for the book's folder
        page = f"{{doc}}`{seed} </runs/{notebook}>`"
        file = f"{{download}}`{seed} </runs/{notebook}.ipynb>`"
        seed = page if notebook == record.experiment else file
    origin = "published" if data["official"] else PHRASES.get(data["name"], "own data")
    start = f"{_cut(weights['sha256'])}, {'published' if weights['official'] else 'stand-in'}"
    start = start if weights["sha256"] else "random"
    profile, seconds = record.folder.parents[1].name, record.run["train_seconds"]
    changes = [f"{name} = {value}" for name, value in list_changes(record).items()]
    return {
        "Experiment": escape_markdown(_name(record)),
        "Seed": seed,
        "Profile": escape_code(profile),
        "Data": f"{escape_markdown(data['name'])} {_cut(data['sha256'])}, {origin}",
        "Initial weights": start,
        "Commit": _describe_commit(record),
        "Changed parameters": ", ".join(map(escape_code, changes)) or "none",
        "Training (s)": "—" if seconds is None else f"{seconds:,.0f}",
    }


def _cut(checksum: str | None) -> str:
    return escape_code(checksum[:12]) if checksum else "unknown"


def _describe_commit(record: Record) -> str:
    commit = (record.environment["git_commit"] or "unknown")[:10]
    return escape_code(commit) + " with changes" * bool(record.environment["git_dirty"])


def show_quick_check() -> Markdown:
    """Return the runs and duration of the quick check, and how many checksums match."""
    records = read_records(ROOT / "results" / "smoke", corrupt=[])
    if not records:
        return Markdown("Not run here yet: `python -m helpers run` takes a few minutes.")
    times = [r.run[f"{part}_seconds"] or 0 for r in records for part in ("train", "evaluate")]
    equal, compared, shipped_by = compare_checksums(records)
    here, there = map(escape_markdown, (describe_processor(records), shipped_by))
    text = (
        f"It made {len(records)} runs, with {sum(times):,.0f} s of training and evaluation in all."
        f" **{equal} of {compared}** checksums equal the shipped ones. Computed here on {here}; the"
        f" shipped ones on {there}."
    )
    if equal < compared:
        text += (
            " Another processor or another version of torch rounds differently, and training"
            " amplifies that; with the same ones, code or parameters have changed."
        )
    return Markdown(text)


def write_banner(page: str = "") -> str:
    """Return HTML that names the data behind the numbers of a page, or of the whole book.

    It is empty if all runs used the published images and weights and the paper's profile.
    """
    name = page.partition("/")[2]
    own = [d for d in datasets() if name == d or name in arms(d).values()] or datasets()
    lines = {dataset_title(dataset): _warn(dataset) for dataset in own}
    return "<br>".join(f"<b>{title}</b>: {text}" for title, text in lines.items() if text)


def _warn(dataset: str) -> str:
    records = [record for group in shown_records(dataset).values() for record in group]
    used = {record.data["name"] for record in records if not record.data["official"]}
    if used:
        sources = [f"{PHRASES.get(n, 'own data')} ({escape(n)})" for n in sorted(used)]
        text = f"{', '.join(sources)} instead of the published data."
        return f"{text} These numbers say nothing about the paper."
    profiles = [evidence.profile for evidence in list_evidence(dataset)]
    if records and profiles != ["paper"]:
        named = f"profile{'s' * (len(profiles) > 1)} {escape(' and '.join(profiles))}"
        return f"published images, {named}, not the full study."
    if not all(record.weights["official"] for record in records):
        return "some runs started from other weights than the paper's."
    return ""
