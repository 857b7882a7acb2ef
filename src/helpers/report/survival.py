"""How often the runs survived each fault, as the last harness run of each has noted it."""

import pandas as pd
from IPython.display import Markdown

from .downloads import write_listing
from .paper import REFERENCE


def read_survival() -> pd.DataFrame:
    """Return a row a fault: commit, date, fault, tried, survived."""
    return pd.read_csv(REFERENCE / "survival.csv", dtype={"commit": str})


def show_survival() -> Markdown:
    """Return a table of the faults, how often each was tried, and how often survived, under their
    sums; below it, when.
    """
    table = read_survival()
    rows = [["Fault", "Tried", "Survived"], [":--", "--:", "--:"]]
    for row in table.itertuples():
        survived = f"{row.survived}" if row.survived == row.tried else f"**{row.survived}**"
        rows.append([row.fault, f"{row.tried}", survived])
    caption = "Faults, how often each was tried, and how often the runs survived it"
    facts = table.to_dict("records")
    shown = write_listing("survival", caption, rows, facts)
    runs = table.groupby(["commit", "date"], sort=False).size().items()
    told = [f"{count} at commit `{commit}` on {date}" for (commit, date), count in runs]
    tried, survived = table["tried"].sum(), table["survived"].sum()
    counts = f"**Of {tried:,} faults the runs survived {survived:,}.**"
    when = f"Of these kinds of fault the harness last tried {'; '.join(told)}."
    return Markdown(f"{counts}\n\n{shown}\n\n{when}")
