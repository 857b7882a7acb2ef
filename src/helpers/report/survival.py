"""How often the runs survived each fault, as the last harness run of each has noted it."""

import pandas as pd
from IPython.display import Markdown

from .downloads import write_listing
from .paper import REFERENCE


def read_survival() -> pd.DataFrame:
    """Return a row a fault: commit, date, fault, tried, survived."""
    return pd.read_csv(REFERENCE / "survival.csv", dtype={"commit": str})


def show_survival() -> Markdown:
    """Return a table of the faults, how often each was tried, and how often survived."""
    table = read_survival()
    rows = [["Fault", "Tried", "Survived", "Commit", "Date"], [":--", "--:", "--:", ":--", ":--"]]
    for row in table.itertuples():
        survived = f"{row.survived}" if row.survived == row.tried else f"**{row.survived}**"
        rows.append([row.fault, f"{row.tried}", survived, f"`{row.commit}`", row.date])
    caption = "Faults, how often each was tried, and how often the runs survived it"
    facts = table.to_dict("records")
    return Markdown(write_listing("survival", caption, rows, facts, kind="survival"))
