"""The line over all pages of a book that was not made from what the paper was made from."""

import html

from helpers.runs.record import Record

from .source import ARMS, DATASETS, STAND_INS

BANNER = "Made from {made_from}, not from {titles} as published: its numbers {meaning}."
SHOWS = "show that the software works and say nothing about the paper"
OWN = "are of these data and say nothing about the paper's"

OTHER_WEIGHTS = (
    "Some runs started from other weights than the paper's; the overview names them, and their"
    " numbers are not a repetition of the study."
)


def write_banner(shown: dict[str, list[Record]]) -> str:
    """Return the text over all pages: empty if every run was made from the real data."""
    used = {
        dataset: record.run["data"]["name"]
        for dataset, arms in ARMS.items()
        for name in arms
        for record in shown[name]
        if not record.run["data"]["official"]
    }
    if not used:
        starts = [record.run["weights"] for records in shown.values() for record in records]
        return "" if all(weights["official"] for weights in starts) else OTHER_WEIGHTS
    drawn = [name for name in used.values() if name in STAND_INS]
    sources = [f"generated stand-in images ({' and '.join(drawn)})"] if drawn else []
    sources += [f"a part of {DATASETS[name]}" for name in used.values() if name in DATASETS]
    own = dict.fromkeys(n for n in used.values() if n not in STAND_INS and n not in DATASETS)
    sources += [f"own data ({html.escape(name)})" for name in own]
    titles = " or ".join(DATASETS[dataset] for dataset in used)
    meaning = OWN if len(own) == len(sources) else SHOWS
    return BANNER.format(made_from=" and ".join(sources), titles=titles, meaning=meaning)
