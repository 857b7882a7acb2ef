"""What the runs measured besides the paper's cells: other experiments and other corruptions."""

from collections.abc import Iterator

import pandas as pd
from IPython.display import Markdown

from helpers.runs.record import Record

from .paper import SHIFTS
from .source import Source, list_numbers, read_others, shown_records
from .tables import print_spread

COLUMNS = ["Experiment", "Corruption", "Strengths", "Seeds", "Accuracy (%)"]
COLUMNS += ["Calibration error (RMS)"]


def show_beyond() -> Markdown:
    """Return a table of what the paper has no cell for, a row an experiment and a corruption."""
    others = read_others(Source.from_environment())
    rows = [row for name, records in others.items() for row in _summarise(name, records, ())]
    for name, records in shown_records().items():
        rows += _summarise(name, records, SHIFTS.values())
    if not rows:
        return Markdown("The runs of this book measured nothing besides the paper's cells.")
    lines = [COLUMNS, [":--", ":--", ":--", "--:", "--:", "--:"], *rows]
    return Markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


def _summarise(name: str, records: list[Record], left_out) -> Iterator[list[str]]:
    """Yield the rows of an experiment: mean over the strengths, ± over the seeds."""
    seeds = list_numbers([record.seed for record in records])
    tables = {record.seed: record.metrics for record in records}
    measured = pd.concat(tables, names=["seed"]).reset_index("seed")
    for corruption, part in measured.groupby("corruption", sort=False):
        if corruption in left_out:
            continue
        strengths = [f"{strength:g}" for strength in part.strength.dropna().unique()]
        scores = part.groupby("seed")[["accuracy", "rms_calibration_error"]].mean()
        accuracy, error = zip(scores.mean(), scores.std(), strict=True)
        cells = [print_spread(*(100 * value for value in accuracy), 1), print_spread(*error, 3)]
        link = name if name in shown_records() else f"{{doc}}`{name} </runs/{name}>`"
        yield [link, corruption, ", ".join(strengths), seeds, *cells]
