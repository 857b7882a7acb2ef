"""All runs behind the book: where each came from, with links to its executed notebook."""

from IPython.display import Markdown

from helpers.runs.notebooks import has_notebook
from helpers.runs.recipe import MODELS
from helpers.runs.record import Record, read_records

from .damage import describe_damage, list_damaged
from .downloads import write_listing
from .foreign import hide_places, quote, quote_code
from .source import DATASETS, STAND_INS, Source, read_others, shown_records

#: Column to its alignment.
COLUMNS = {
    "Experiment": ":--",
    "Seed": "--:",
    "Recipe": ":--",
    "Data": ":--",
    "First weights": ":--",
    "Commit": ":--",
    "Training (s)": "--:",
    "Peak memory (MB)": "--:",
    "Epoch kept": "--:",
}


def list_runs(source: Source, shown: dict[str, list[Record]]) -> dict[str, list[Record]]:
    """Return all runs that the book rests on, by experiment.

    Parameters
    ----------
    source : where they lie
    shown : the runs of the six experiments

    Returns
    -------
    The shown runs, those of other experiments beside them, the ablations, and the pretraining
    runs that they started from
    """
    runs = dict(shown) | read_others(source)
    used = {record.run["weights"]["sha256"] for records in runs.values() for record in records}
    for record in read_records(source.results, "ablation_*", []):
        runs.setdefault(record.experiment, []).append(record)
    for record in read_records(source.results, "pretrain_*", []):
        if record.run["files"]["weights.pt"] in used:
            runs.setdefault(record.experiment, []).append(record)
    return runs


def find_page(records: list[Record]) -> Record | None:
    """Return the run whose executed notebook is the page of its experiment: the first with one."""
    if records[0].experiment in MODELS:
        return None
    return next(filter(has_notebook, records), None)


def name_notebook(record: Record) -> str:
    """Return the name under which the book offers an executed notebook that is no page."""
    return f"{record.experiment}-seed-{record.seed}.ipynb"


def show_runs() -> Markdown:
    """Return a table of all runs, each linked to its executed notebook where there is one.

    Over it stands a box with the damaged records that this book leaves out, if there are any.
    """
    rows, facts = [], []
    for records in list_runs(Source.from_environment(), shown_records()).values():
        page = find_page(records)
        rows += [_describe(record, record is page) for record in records]
        facts += map(_list_facts, records)
    caption = "All runs: what each was made from, and what it took"
    table = [COLUMNS, COLUMNS.values(), *rows]
    shown = write_listing("runs", caption, table, facts, kind="runs")
    return Markdown("\n\n".join(filter(None, [warn_of_damage(), shown])))


def warn_of_damage() -> str:
    """Return a box that names the damaged records which the book leaves out; empty if none is."""
    lines = [f"- {describe_damage(error)}" for error in list_damaged(Source.from_environment())]
    if not lines:
        return ""
    told = "No number of this book comes from these damaged records; the log of the build says how"
    return "\n".join(["```{warning}", f"{told} they are made again.", "", *lines, "```"])


def _describe(record: Record, is_page: bool) -> list[str]:
    run = record.run
    return [
        quote(record.experiment),
        _link(record, is_page),
        quote_code(run["recipe_hash"]),
        _describe_data(run["data"]),
        _describe_weights(run),
        _describe_commit(run["environment"]),
        _print(run["train_seconds"], 1),
        _print(run["peak_memory_bytes"], 0, 1e-6),
        _list_epochs(run["best_epoch"]),
    ]


def _list_facts(record: Record) -> dict:
    """Return what a row of the table tells, without markup and with whole checksums."""
    run, data, environment = record.run, record.run["data"], record.run["environment"]
    weights = run.get("weights", {"sha256": None, "official": None})  # an ablation has its arms'
    facts = {
        "experiment": record.experiment,
        "seed": record.seed,
        "recipe": run["recipe_hash"],
        "data": data["name"],
        "data_sha256": data["sha256"],
        "data_official": data["official"],
        "weights_sha256": weights["sha256"],
        "weights_official": weights["official"],
        "commit": environment["git_commit"],
        "uncommitted_changes": environment["git_dirty"],
        **{name: environment[name] for name in ("device", "threads", "torch")},
        "train_seconds": _print(run["train_seconds"], 1),
        "evaluate_seconds": _print(run["evaluate_seconds"], 1),
        "peak_memory_mb": _print(run["peak_memory_bytes"], 0, 1e-6),
        "best_epoch": _list_epochs(run["best_epoch"]),
    }
    known = {name: "" if value is None else value for name, value in facts.items()}
    return {name: hide_places(str(value)) for name, value in known.items()}


def _list_epochs(best: int | dict[str, int]) -> str:
    """Return the epoch whose weights were kept; of an ablation that of each variant."""
    return ", ".join(map(str, best.values())) if isinstance(best, dict) else str(best)


def _link(record: Record, is_page: bool) -> str:
    # A leading slash is the book's own folder.
    if is_page:
        return f"{{doc}}`{record.seed} </runs/{record.experiment}>`"
    if has_notebook(record):
        return f"{{download}}`{record.seed} </runs/{name_notebook(record)}>`"
    return str(record.seed)


def _describe_data(data: dict) -> str:
    names = {"a part": DATASETS, "stand-in": STAND_INS}
    kind = next((kind for kind, known in names.items() if data["name"] in known), "own")
    origin = "official" if data["official"] else kind
    return f"{quote(data['name'])} {quote_code(data['sha256'][:12])}, {origin}"


def _describe_weights(run: dict) -> str:
    if "arms" in run:
        return f"those of {', '.join(map(quote, run['arms']))}"
    weights, made = run["weights"], run["files"].get("weights.pt")
    origin = "published" if weights["official"] else "stand-in"
    first = f"{quote_code(weights['sha256'][:12])}, {origin}" if weights["sha256"] else "random"
    return first + (f"; gave {quote_code(made[:12])}" if made else "")


def _describe_commit(environment: dict) -> str:
    commit = (environment["git_commit"] or "not known")[:10]
    return quote_code(commit) + (" with changes" if environment["git_dirty"] else "")


def _print(value: float | None, digits: int, scale: float = 1) -> str:
    return "" if value is None else f"{value * scale:,.{digits}f}"
