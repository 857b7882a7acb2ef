"""Tables 1-8: measured mean, spread and interval, and beside them the paper's value."""

from functools import cache

import numpy as np
import pandas as pd
from IPython.display import Markdown

from helpers import metrics

from .cells import FLOOR_SEEDS, RMS, estimate, find_floor, sample
from .foreign import quote
from .paper import DIGITS, read_reference
from .source import ARMS, DATASETS, describe_data, describe_spread, shown_records
from .verdicts import MEANINGS, SIGNS, judge, why_withheld

#: What each table holds, and which way is better, for its caption.
CAPTIONS = {
    1: "Accuracy (%, higher is better) of {network} on {data}: clean, and as the mean over the"
    " brightness factors and over the blur standard deviations",
    2: "RMS calibration error (lower is better) of {network} on {data}: clean, and as the mean over"
    " the brightness factors and over the blur standard deviations",
    3: "Accuracy (%, higher is better) of {network} on {data} at each brightness factor f",
    4: "Accuracy (%, higher is better) of {network} on {data} at each standard deviation σ of the"
    " Gaussian blur, in pixels",
}
CAPTIONS |= {number + 4: caption for number, caption in CAPTIONS.items()}

NETWORKS = {"resnet18": "ResNet-18", "resnet50": "ResNet-50"}


@cache
def summarise() -> pd.DataFrame:
    """Return the paper's cells with what the runs measured, in the paper's units.

    Returns
    -------
    DataFrame with the columns of `read_reference` and digits, mean, deviation (sample standard
    deviation over seeds), low and high (95 % interval over seeds and test images), floor (of a
    calibration error, else None), verdict, distance (to the paper's value), best and paper_best
    (whether the row is its column's best, as printed); NaN where not measured
    """
    cells = read_reference().copy()
    withheld = {dataset: why_withheld(dataset) for dataset in DATASETS}
    rows = []
    for cell in cells.itertuples():
        place = cell.dataset, cell.metric, cell.row, cell.column
        digits = DIGITS[cell.metric]
        row = {"digits": digits, "floor": None, "verdict": "withheld"}
        if found := estimate(*place):
            row |= {name: getattr(found, name) for name in ("mean", "deviation", "low", "high")}
            if cell.metric == "rms_calibration_error":
                row["floor"] = find_floor(cell.dataset, cell.row, cell.column, RMS)
        if not withheld[cell.dataset]:
            verdict = judge(sample(*place), cell.value, digits)
            row |= {"verdict": verdict.word, "distance": verdict.distance}
        rows.append(row)
    names = ["digits", "mean", "deviation", "low", "high", "floor", "verdict", "distance"]
    cells[names] = pd.DataFrame(rows, columns=names, index=cells.index)
    sign = cells.metric.map({"accuracy_percent": 1, "rms_calibration_error": -1})
    printed = cells.apply(lambda cell: round(cell["mean"], cell.digits), axis="columns")
    for name, values in {"best": printed, "paper_best": cells["value"]}.items():
        goodness = sign * values
        cells[name] = goodness == goodness.groupby([cells.table, cells.column]).transform("max")
    return cells


def write_table(number: int) -> str:
    """Return one of the paper's tables as a numbered MyST table with the label ``table-<n>``."""
    cells = summarise().query("table == @number")
    dataset, columns = cells.dataset.iloc[0], list(cells.column.unique())
    lines = [
        "| Model | " + " | ".join(map(print_head, columns)) + " |",
        "|:--|" + "--:|" * len(columns),
    ]
    for row, group in cells.groupby("row", sort=False):
        lines.append(f"| {row} | " + " | ".join(map(_cell, group.itertuples())) + " |")
    floor = ", noise floor" if cells.floor.notna().any() else ""
    caption = (
        f"{write_title(number)}. Each cell: {describe_spread(dataset)},"
        f" 95 % interval{floor}, paper."
    )
    table = "\n".join(lines)
    return f"```{{table}} {caption}\n:name: table-{number}\n:align: left\n\n{table}\n```"


def write_title(number: int) -> str:
    """Return what one of the paper's tables holds, of which network and data, as Markdown."""
    dataset = summarise().query("table == @number").dataset.iloc[0]
    return CAPTIONS[number].format(network=_network(dataset), data=describe_data(dataset))


def print_head(column: str) -> str:
    """Return a column of the reference as a table's head writes it."""
    return column.replace("sigma", "σ").replace("=", " = ")


def _cell(cell) -> str:
    text = print_spread(cell.mean, cell.deviation, cell.digits)
    parts = [f"**{text}**" if cell.best else text]
    if not np.isnan(cell.mean):
        interval = f"{cell.low:.{cell.digits}f} to {cell.high:.{cell.digits}f}"
        parts.append(f"[{interval}]{{.interval}}")
    if cell.floor is not None:
        parts.append(print_floor(cell.mean, cell.floor, cell.digits))
    paper = f"{cell.value:.{cell.digits}f}"
    parts.append(f"[{f'**{paper}**' if cell.bold else paper}]{{.paper}}")
    if cell.verdict != "withheld":
        parts.append(f"[{_print_verdict(cell)}]{{.verdict}}")
    return " ".join(parts)


def print_spread(mean: float, deviation: float, digits: int, sign: str = "") -> str:
    """Return mean ± standard deviation; the latter is NaN for one seed, both if not measured."""
    if np.isnan(mean):
        return "not measured"
    spread = "" if np.isnan(deviation) else f" ± {deviation:.{digits}f}"
    return f"{mean:{sign}z.{digits}f}".replace("-", "−") + spread


def print_floor(score: float, floor: metrics.Floor, digits: int) -> str:
    """Return the noise floor of a calibration error, with a mark below if the error lies within."""
    mark = " [◦ as calibrated]{.floor}" if floor.covers(score) else ""
    return f"[floor {floor.mean:.{digits}f} (to {floor.high:.{digits}f})]{{.floor}}{mark}"


def _print_verdict(cell) -> str:
    distance = "" if np.isnan(cell.distance) else f" ({cell.distance:+z.{cell.digits}f})"
    return f"{SIGNS[cell.verdict]} {cell.verdict}{distance}".replace("-", "−")


def show_reading(dataset: str) -> Markdown:
    """Return how to read the cells of a data set's tables, and why verdicts are withheld if so."""
    counts = {len(shown_records()[name]) for name in ARMS[dataset]}
    value = "The value of the seed" if counts == {1} else "Mean ± standard deviation over the seeds"
    seeds = "" if counts == {1} else "other seeds *and* "
    lines = [
        f"**How to read a cell.** {value}. Below it, the 95 % interval of the expected score, for"
        f" {seeds}other test images. Of a calibration error, the noise floor: what a calibrated"
        " network would show by chance: its mean, and in brackets its 95 % quantile"
        " ({doc}`/method`); “◦ as calibrated” stands where the error is not distinguishable from"
        " that. Last, the paper's value."
    ]
    if dataset == "pathmnist":
        lines.append(
            "Test images count as independent. Those of PathMNIST were cut from the slides of few"
            " patients, whom the file does not identify ({doc}`/data`): for them the part of the"
            " interval that test images give is a lower bound."
        )
    if 1 in counts:
        lines.append(
            "With one seed the interval knows the chance in the choice of test images only, not"
            " how far other seeds would lie."
        )
    lines += explain_floors(dataset)
    if reasons := why_withheld(dataset):
        lines.append(
            f"**The verdict on the paper's values is withheld**, since {'; '.join(reasons)}."
        )
    else:
        signs = "; ".join(f"{SIGNS[word]} *{word}*: {text}" for word, text in MEANINGS.items())
        lines.append(f"**Reproduced?** {signs}. In brackets: measured minus paper.")
    return Markdown("\n\n".join(lines))


def explain_floors(dataset: str) -> list[str]:
    """Return the sentence that tells if the floors are not those of all seeds, or nothing."""
    if max(len(shown_records()[name]) for name in ARMS[dataset]) <= FLOOR_SEEDS:
        return []
    return [f"The noise floors are simulated for the first {FLOOR_SEEDS} seeds of each arm."]


def _network(dataset: str) -> str:
    """Return the networks of a data set's runs: one where all arms share it, as they should."""
    runs = [record.run for name in ARMS[dataset] for record in shown_records()[name]]
    names = dict.fromkeys(run["parameters"].get("network", "the network") for run in runs)
    return " and ".join(NETWORKS.get(name) or quote(name) for name in names)
