"""What the runs measured besides the paper's cells: other experiments and other corruptions."""

from collections.abc import Iterator

import pandas as pd
from IPython.display import Markdown

from helpers.runs.record import Record

from .downloads import print_number, write_listing
from .paper import SHIFTS
from .source import Source, list_numbers, read_others, shown_records
from .tables import print_spread

COLUMNS = ["Experiment", "Corruption", "Strengths", "Seeds", "Accuracy (%)"]
COLUMNS += ["Calibration error (RMS)"]
ALIGNMENTS = [":--", ":--", ":--", "--:", "--:", "--:"]


def show_beyond() -> Markdown:
    """Return a table of what the paper has no cell for, a row an experiment and a corruption."""
    others = read_others(Source.from_environment())
    rows = [row for name, records in others.items() for row in _summarise(name, records, ())]
    for name, records in shown_records().items():
        rows += _summarise(name, records, SHIFTS.values())
    if not rows:
        return Markdown("The runs of this book measured nothing besides the paper's cells.")
    cells, facts = zip(*rows, strict=True)
    caption = (
        "What the runs measured besides the paper's cells: mean over the strengths ± standard"
        " deviation over the seeds"
    )
    return Markdown(write_listing("beyond", caption, [COLUMNS, ALIGNMENTS, *cells], facts))


def _summarise(name: str, records: list[Record], left_out) -> Iterator[tuple[list[str], dict]]:
    """Yield the rows of an experiment, as a page shows them and as CSV has them: mean over the
    strengths, ± over the seeds.
    """
    seeds = list_numbers([record.seed for record in records])
    tables = {record.seed: record.metrics for record in records}
    measured = pd.concat(tables, names=["seed"]).reset_index("seed")
    for corruption, part in measured.groupby("corruption", sort=False):
        if corruption in left_out:
            continue
        strengths = ", ".join(f"{strength:g}" for strength in part.strength.dropna().unique())
        scores = part.groupby("seed")[["accuracy", "rms_calibration_error"]].mean()
        accuracy, error = zip(scores.mean(), scores.std(), strict=True)
        accuracy = [100 * value for value in accuracy]
        cells = [print_spread(*accuracy, 1), print_spread(*error, 3)]
        link = name if name in shown_records() else f"{{doc}}`{name} </runs/{name}>`"
        known = {"experiment": name, "corruption": corruption, "strengths": strengths}
        facts = known | {
            "seeds": seeds,
            "accuracy_percent": print_number(accuracy[0], 1),
            "accuracy_deviation": print_number(accuracy[1], 1),
            "rms_calibration_error": print_number(error[0], 3),
            "rms_deviation": print_number(error[1], 3),
        }
        yield [link, corruption, strengths, seeds, *cells], facts
