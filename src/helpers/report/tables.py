"""Tables 1-8: measured mean and standard deviation, and the paper's value beside it."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown

from .source import ARMS, describe_data, describe_seeds, shown_records

REFERENCE = Path(__file__).parent / "reference"

#: What each table holds, for its caption.
CAPTIONS = {
    1: "Accuracy (%) of {network} on {data}: clean, and as the mean over the brightness factors"
    " and over the blur standard deviations",
    2: "RMS calibration error of {network} on {data}: clean, and as the mean over the brightness"
    " factors and over the blur standard deviations",
    3: "Accuracy (%) of {network} on {data} at each brightness factor f",
    4: "Accuracy (%) of {network} on {data} at each standard deviation σ of the Gaussian blur, in"
    " pixels",
}
CAPTIONS |= {number + 4: caption for number, caption in CAPTIONS.items()}

NETWORKS = {"resnet18": "ResNet-18", "resnet50": "ResNet-50"}


def read_reference() -> pd.DataFrame:
    """Return the paper's 84 cells: table, dataset, metric, row, column, value, bold."""
    return pd.read_csv(REFERENCE / "tables.csv", dtype={"bold": bool})


def measure(metrics: pd.DataFrame, column: str, columns: Iterable[str]) -> float:
    """Return the scores that a column of the paper stands for, averaged over its strengths.

    Parameters
    ----------
    metrics : one score of one run: corruption, strength, value
    column : ``Clean``, ``Brightness``, ``Gaussian Blur``, ``f=0.8`` or ``sigma=0.3`` and such
    columns : all columns of the data set, which tell the strengths that the paper averages over

    Returns
    -------
    float, NaN where the run did not measure all of it
    """
    if column == "Clean":
        return metrics.loc[metrics["corruption"] == "clean", "value"].mean()
    sign = {"Brightness": "f=", "Gaussian Blur": "sigma="}.get(column)
    parts = [name for name in columns if name.startswith(sign)] if sign else [column]
    return float(np.mean([_find(metrics, *part.split("=")) for part in parts]))


def _find(metrics: pd.DataFrame, sign: str, strength: str) -> float:
    corruption = {"f": "brightness", "sigma": "blur"}[sign]
    chosen = (metrics["corruption"] == corruption) & np.isclose(
        metrics["strength"], float(strength)
    )
    return metrics.loc[chosen, "value"].mean()


@cache
def summarise() -> pd.DataFrame:
    """Return the paper's cells with what the runs measured, in the paper's units.

    Returns
    -------
    DataFrame with the columns of `read_reference` and mean, deviation (sample standard deviation
    over seeds, NaN for one seed), text (as a table prints them), best and paper_best (whether
    the row is its column's best, as printed)
    """
    cells = read_reference()
    experiments = {
        (dataset, row): name for dataset, arms in ARMS.items() for name, row in arms.items()
    }
    measured = []
    for cell in cells.itertuples():
        columns = cells.loc[cells.dataset == cell.dataset, "column"].unique()
        percent = cell.metric == "accuracy_percent"
        score, scale = ("accuracy", 100) if percent else (cell.metric, 1)
        values = pd.Series(
            scale * measure(record.metrics.rename(columns={score: "value"}), cell.column, columns)
            for record in shown_records()[experiments[cell.dataset, cell.row]]
        )
        measured.append((values.mean(), values.std(), 1 if percent else 3))
    cells[["mean", "deviation", "digits"]] = measured
    cells["digits"] = cells["digits"].astype(int)
    cells["text"] = [_print(*row) for row in measured]
    printed = pd.Series([round(mean, digits) for mean, _, digits in measured])
    for name, values in {"best": printed, "paper_best": cells["value"]}.items():
        sign = cells.metric.map({"accuracy_percent": 1, "rms_calibration_error": -1})
        goodness = sign * values
        cells[name] = goodness == goodness.groupby([cells.table, cells.column]).transform("max")
    return cells


def _print(mean: float, deviation: float, digits: int) -> str:
    if np.isnan(mean):
        return "not measured"
    return f"{mean:.{digits}f}" + ("" if np.isnan(deviation) else f" ± {deviation:.{digits}f}")


def show_table(number: int) -> Markdown:
    """Return one of the paper's tables as a numbered MyST table with the label ``table-<n>``."""
    cells = summarise().query("table == @number")
    dataset, columns = cells.dataset.iloc[0], list(cells.column.unique())
    lines = [
        "| Model | " + " | ".join(map(_head, columns)) + " |",
        "|:--|" + "--:|" * len(columns),
    ]
    for row, group in cells.groupby("row", sort=False):
        lines.append(f"| {row} | " + " | ".join(map(_cell, group.itertuples())) + " |")
    caption = CAPTIONS[number].format(network=_network(dataset), data=describe_data(dataset))
    caption += f". Mean ± standard deviation over {describe_seeds(dataset)}; small: the paper."
    table = "\n".join(lines)
    return Markdown(f"```{{table}} {caption}\n:name: table-{number}\n:align: left\n\n{table}\n```")


def _head(column: str) -> str:
    return column.replace("sigma", "σ").replace("=", " = ")


def _cell(cell) -> str:
    paper = f"{cell.value:.{cell.digits}f}"
    paper = f"**{paper}**" if cell.bold else paper
    return f"{f'**{cell.text}**' if cell.best else cell.text} [{paper}]{{.paper}}"


def _network(dataset: str) -> str:
    """Return the networks of a data set's runs: one where all arms share it, as they should."""
    runs = [record.run for name in ARMS[dataset] for record in shown_records()[name]]
    names = dict.fromkeys(run["parameters"].get("network", "the network") for run in runs)
    return " and ".join(NETWORKS.get(name, name) for name in names)
