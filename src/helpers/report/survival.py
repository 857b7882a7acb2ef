"""How often the runs survived each fault, as the last harness run of each has noted it."""

import pandas as pd
from IPython.display import Markdown

from .paper import REFERENCE


def read_survival() -> pd.DataFrame:
    """Return a row a fault: commit, date, fault, tried, survived."""
    return pd.read_csv(REFERENCE / "survival.csv", dtype={"commit": str})


def show_survival() -> Markdown:
    """Return a table of the faults, how often each was tried, and how often survived."""
    lines = ["| Fault | Tried | Survived | Commit | Date |", "|:--|--:|--:|:--|:--|"]
    for row in read_survival().itertuples():
        survived = row.survived if row.survived == row.tried else f"**{row.survived}**"
        lines.append(f"| {row.fault} | {row.tried} | {survived} | `{row.commit}` | {row.date} |")
    return Markdown("\n".join(lines))
