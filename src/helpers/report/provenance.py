"""Provenance: the runs behind the book, their data, weights, code and machines, and the banner."""

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape

from IPython.display import Markdown

from helpers.catalogue import DATASETS
from helpers.runs.record import Record, read_records, run_folder

from .escape import escape_code, escape_markdown, redact_paths
from .records import (
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
from .table_export import render_table

#: Columns of the table of runs and their alignments.
RUNS = {
    **dict.fromkeys(["Experiment", "Seed", "Configuration", "Data", "Initial weights"], ":--"),
    **{"Commit": ":--", "Training (s)": "--:", "Peak memory (MB)": "--:", "Epoch kept": "--:"},
}

#: Name of a data set that is not the published one, to a phrase for it.
STAND_INS = {data.stand_in: "generated stand-in images" for data in DATASETS.values()}
PARTS = dict.fromkeys(DATASETS, "a part of the published images")


def list_runs() -> dict[str, list[Record]]:
    """Return all runs that the book rests on, by the name of their folder.

    The shown runs of each data set, its variants, and the pretraining runs they started from.
    """
    runs: dict[str, list[Record]] = {}
    for dataset in datasets():
        for records in [
            *shown_records(dataset).values(),
            *find_evidence(dataset).variants.values(),
        ]:
            runs[name_run(records[0])] = records
    shown = [record for records in runs.values() for record in records]
    used = {record.weights["sha256"] for record in shown} - {None}
    for results in dict.fromkeys(record.folder.parents[1] for record in shown):
        for record in read_records(results, "pretrain_*", []):
            if record.run["files"].get("weights.pt") in used:
                runs.setdefault(record.experiment, []).append(record)
    return runs


def name_run(record: Record) -> str:
    """Return an experiment with its variant, as its folder is named."""
    return run_folder("", record.experiment, record.seed, record.variant).parent.name


def find_page(records: list[Record]) -> Record | None:
    """Return the run whose executed notebook is the page of its experiment: the first with one."""
    is_arm = not records[0].variant and not records[0].experiment.startswith("pretrain_")
    return next((record for record in records if is_arm and record.notebook), None)


def name_notebook(record: Record) -> str:
    """Return the file name under which the book offers an executed notebook for download."""
    return f"{name_run(record)}-seed-{record.seed}.ipynb"


def show_runs() -> Markdown:
    """Return a table of all runs, each linked to its executed notebook.

    Above it, a box names the corrupt records that the book leaves out.
    """
    rows, facts, parts = [], [], [missing_runs(dataset) for dataset in datasets()]
    for records in list_runs().values():
        page = find_page(records)
        facts += map(_list_facts, records)
        rows += [_describe_run(record, record is page) for record in records]
    omitted = [warning for dataset in datasets() for warning in find_evidence(dataset).warnings]
    omitted += [f"{e.folder.parent.name} {e.folder.name}: {e.why}" for e in find_corrupt_records()]
    if omitted:
        text = "No number of this book comes from these records; the build names the remedy."
        lines = [f"- {escape_markdown(line)}" for line in omitted]
        parts.append("\n".join(["```{warning}", text, "", *lines, "```"]))
    if rows:
        caption = "All runs: what each was made from, and what it took"
        parts.append(render_table("runs", caption, [RUNS, RUNS.values(), *rows], facts, "runs"))
    return Markdown("\n\n".join(filter(None, parts)))


def _describe_run(record: Record, is_page: bool) -> list[str]:
    run, data, weights, seed = record.run, record.data, record.weights, str(record.seed)
    if record.notebook:  # a leading slash is the book's own folder
        file = record.experiment if is_page else name_notebook(record)
        seed = f"{{{'doc' if is_page else 'download'}}}`{seed} </runs/{file}>`"
    published = f"{_cut(weights['sha256'])}, {'published' if weights['official'] else 'stand-in'}"
    start = published if weights["sha256"] else "random"
    made = run["files"].get("weights.pt")
    return [
        escape_markdown(name_run(record)),
        seed,
        escape_code(record.config_hash),
        f"{escape_markdown(data['name'])} {_cut(data['sha256'])}, {_describe_origin(data)}",
        start + (f"; made {_cut(made)}" if made else ""),
        _describe_commit(record),
        _format(run.get("train_seconds"), 1),
        _format(run.get("peak_memory_bytes"), 0, 1e-6),
        escape_markdown(run.get("best_epoch") or ""),
    ]


def _list_facts(record: Record) -> dict[str, str]:
    """Return a row of the CSV file: no markup, whole checksums, more columns."""
    run, environment = record.run, record.environment
    facts = {"experiment": name_run(record), "configuration": record.config_hash}
    facts |= {key: run.get(key) for key in ("seed", "profile", "best_epoch")}
    facts |= {f"data_{key}": record.data[key] for key in ("name", "sha256", "official")}
    facts |= {f"weights_{key}": record.weights[key] for key in ("sha256", "official")}
    facts |= {key: environment[key] for key in ("git_commit", "git_dirty", "device", "threads")}
    facts |= {"torch": environment["torch"], "peak_memory_bytes": run.get("peak_memory_bytes")}
    facts |= {key: run.get(key) for key in ("train_seconds", "evaluate_seconds")}
    return {k: redact_paths("" if v is None else str(v)) for k, v in facts.items()}


def _cut(checksum: str | None) -> str:
    return escape_code(checksum[:12]) if checksum else "unknown"


def _describe_origin(data: dict) -> str:
    if data["official"]:
        return "published"
    return "stand-in" if data["name"] in STAND_INS else PARTS.get(data["name"], "own data")


def _describe_commit(record: Record) -> str:
    commit = (record.environment["git_commit"] or "unknown")[:10]
    return escape_code(commit) + " with changes" * bool(record.environment["git_dirty"])


def _format(value: float | None, digits: int, scale: float = 1) -> str:
    return "—" if value is None else f"{value * scale:,.{digits}f}"


def show_build() -> Markdown:
    """Return a table of what the book was made from, one column per data set."""
    shown = [dataset for dataset in datasets() if shown_records(dataset)]
    columns = list(map(_describe_build, shown))
    heads = ["", *map(dataset_title, shown)]
    rows = [heads, [":--"] * len(heads)]
    rows += [[name, *(column[name] for column in columns)] for name in (columns or [{}])[0]]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows) if shown else ""
    return Markdown(f"{table}\n\nBook built {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.")


def _describe_build(dataset: str) -> dict[str, str]:
    groups = shown_records(dataset)
    records = [record for group in groups.values() for record in group]
    data = records[0].data
    days = sorted((record.run.get("started") or "unknown")[:10] for record in records)
    seconds = sum((r.run.get(f"{k}_seconds") or 0) for r in records for k in ("train", "evaluate"))
    took = f"{seconds / 60:.1f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
    starts = {
        label: f"{escape_markdown(group[0].parameters.get('initialisation'))}"
        + " (stand-in)" * (not group[0].weights["official"])
        for label, group in groups.items()
    }
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
        "Side": f"{records[0].parameters.get('image_size', '—')} pixels",
        "Seeds": describe_seeds(dataset),
        "Initial weights": _join(f"{label}: {start}" for label, start in starts.items()),
        "Other than in the notebooks": ", ".join(changes) or "nothing",
        "Runs": f"{len(records)}; training and evaluation took {took}",
        "Made": escape_markdown(_join([days[0], days[-1]])),
        "Commit": _join(map(_describe_commit, records)),
        "Device": _join(escape_markdown(record.environment["device"]) for record in records),
        "Software": _join(versions),
    }


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
        meaning = "test the software and say nothing about the paper"
        if not used & phrases.keys():
            meaning = "say nothing about the paper's data"
        return f"{', '.join(sources)} instead of the published data. These numbers {meaning}."
    profile = find_evidence(dataset).profile
    if records and profile != "paper":
        return f"published images, profile {escape(profile)}, not the full study."
    if not all(record.weights["official"] for record in records):
        return "some runs started from other weights than the paper's."
    return ""
