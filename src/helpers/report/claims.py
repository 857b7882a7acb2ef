"""The paper's statements, judged by its own numbers and by the runs.

A statement is a set of comparisons (of two arms, or of an arm and a number, per column), all of
which must come out as stated. The statements are data, in ``reference/claims.yaml``; the rules are
on page "The paper's claims" of the book.
"""

import math
import re
from collections import Counter
from functools import cache
from itertools import product
from typing import Literal, NamedTuple

import pandas as pd
from IPython.display import Markdown
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from helpers import InputError, metrics
from helpers.runs.config import read_defaults, read_yaml

from .paper import REFERENCE, name_column, parse_column
from .records import (
    PAPER_ARMS,
    dataset_title,
    describe_data,
    describe_evidence,
    find_evidence,
    list_parameters,
    shown_records,
)
from .table_export import render_table
from .tidy import MEASURES, find_difference, find_estimate, subtract_independent
from .verdicts import LEVEL, SIGNS, print_p_value

#: Data set of each of the paper's rows.
ROWS = {label: dataset for dataset, arms in PAPER_ARMS.items() for label in arms}

#: Source of the numbers to a phrase for absent ones.
SOURCES = {"paper": "not given as numbers", "runs": "not measured"}

#: Initial weights to their name in prose.
WEIGHTS = {"imagenet": "ImageNet weights", "barlow_twins": "Barlow Twins weights"}


class Claim(BaseModel):
    """A statement of the paper; ``claims.yaml`` explains the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    section: str
    statement: str
    reading: str = ""
    metric: Literal[("", *MEASURES)] = ""
    compare: list[str] = []
    columns: list[str] = []
    figure: float | None = Field(default=None, gt=0)
    fewer_epochs: bool = False
    needs: str = ""

    def comparisons(self) -> list[tuple]:
        """Return (left, sign, right, (shift, strength)): 1 for larger, -1 for smaller."""
        columns = [parse_column(column) for column in self.columns] or [("training", None)]
        rows = [parse_comparison(text) for text in self.compare]
        return [(*row, column) for row, column in product(rows, columns)]

    def rows(self) -> dict[str, str]:
        """Map the rows of the paper's tables that the claim compares to their data sets."""
        sides = [side for left, _, right, _ in self.comparisons() for side in (left, right)]
        return {side: ROWS[side] for side in sides if side in ROWS}

    @model_validator(mode="after")
    def _check(self) -> "Claim":
        if bool(self.needs) == bool(self.metric) or bool(self.metric) != bool(self.comparisons()):
            raise ValueError("give either metric and compare, or needs")
        return self


def parse_comparison(text: str) -> tuple[str, int, str | float]:
    """Split ``Supervised > No Pretraining`` or ``Basic > 10`` into left, sign and right."""
    match = re.fullmatch(r"(.+) ([<>]) (.+)", text)
    left, sign, right = match.groups() if match else ("", "", "")
    right = float(right) if re.fullmatch(r"\d+(\.\d+)?", right) else right
    if left not in ROWS or not (isinstance(right, float) or right in ROWS):
        raise ValueError(f"{text!r}: write ROW > ROW or ROW > 10, with rows {', '.join(ROWS)}")
    return left, 1 if sign == ">" else -1, right


def parse_claims(entries: dict) -> dict[str, Claim]:
    """Return the claims of a YAML file by name; InputError names the first that is invalid."""
    try:
        return TypeAdapter(dict[str, Claim]).validate_python(entries)
    except ValidationError as error:
        first = error.errors()[0]
        where = ": ".join(map(str, first["loc"]))
        raise InputError(f"claims.yaml: {where}: {first['msg']}") from None


@cache
def read_claims() -> dict[str, Claim]:
    """Return the paper's claims by name, in its order."""
    return parse_claims(read_yaml(REFERENCE / "claims.yaml"))


def compare(claim: Claim, source: str) -> pd.DataFrame:
    """Return one row per comparison of a claim by the numbers of the "paper" or the "runs".

    mean, low, high and n_seeds are as in `differences`, with mean NaN if unknown; p is adjusted
    over the rows (NaN for one seed); gain is the mean in the stated direction, clarity the gain in
    half-widths of the interval; outcome is 1 as stated, -1 the other way, 0 neither.
    """
    table = pd.DataFrame(
        {"left": left, "sign": sign, "right": right, "column": column}
        | _subtract(source, claim.metric, left, right, column)
        for left, sign, right, column in claim.comparisons()
    )
    known = table["p"].notna()
    table.loc[known, "p"] = metrics.holm(table.loc[known, "p"])
    table["gain"] = table["sign"] * table["mean"]
    half = (table["high"] - table["low"]) / 2
    table["clarity"] = table["gain"] / half.where(half > 0, 1)
    ends = table[["low", "high"]].mul(table["sign"], axis=0)
    stated, against = known & (ends > 0).all(axis=1), (table["gain"] < 0) & (table["p"] < LEVEL)
    return table.assign(outcome=stated.astype(int) - against.astype(int))


def _subtract(source: str, metric: str, left: str, right: str | float, column: tuple) -> dict:
    """Return left minus right as a row of `differences`; arms of one data set are paired."""
    if source == "runs" and ROWS.get(right) == ROWS[left]:
        return find_difference(ROWS[left], left, right, metric, *column)
    sides = (_find_side(source, metric, side, column) for side in (left, right))
    return subtract_independent(*sides)


def _find_side(source: str, metric: str, side: str | float, column: tuple) -> dict:
    """Return one side of a comparison as a row of `estimates`; paper and numbers are exact."""
    if isinstance(side, float):
        value = side / MEASURES[metric].factor
    else:
        row = find_estimate(ROWS[side], side, metric, *column)
        if source == "runs":
            return row
        value = row["paper"]
    return {"mean": value, "low": value, "high": value, "se": 0.0, "n_seeds": math.inf}


class Finding(NamedTuple):
    """Verdict on a claim, and the comparison that decides it."""

    word: str
    notes: list[str]  # number of comparisons that decide, and further reasons
    shown: dict | None = None  # row of `compare`
    needs: str = ""  # runs that are needed to decide
    elsewhere: bool = False  # whether the runs used other images than the published ones


def judge(claim: Claim, source: str) -> Finding:
    """Return the verdict of the "paper" or the "runs" on a claim."""
    if claim.needs:
        notes = [SOURCES["paper"]] if source == "paper" else []
        return Finding("inconclusive", notes, needs=claim.needs * (source == "runs"))
    datasets = [name for name in dict.fromkeys(claim.rows().values()) if shown_records(name)]
    elsewhere = source == "runs" and not all(map(is_real, datasets))
    if source == "runs" and len({(find_evidence(d).profile, is_real(d)) for d in datasets}) > 1:
        notes = ["not compared: the runs mix profiles, or published and stand-in images"]
        needs = _list_needs(claim) or "runs of one profile"
        return Finding("inconclusive", notes, needs=needs, elsewhere=elsewhere)
    table = compare(claim, source)
    known, missing = table[table["mean"].notna()], int(table["mean"].isna().sum())
    stated, against = (known[known["outcome"] == outcome] for outcome in (1, -1))
    word, shown, notes = "inconclusive", None, []
    if len(against):
        word, shown = "fails", known.loc[against["gain"].idxmin()].to_dict()
        notes.append(f"{len(against)} of {len(known)} the other way")
    elif len(known):
        word = "holds" if len(stated) == len(table) else word
        decisive = known["gain"].idxmax() if claim.figure else known["clarity"].idxmin()
        shown = known.loc[decisive].to_dict()
        notes.append(f"{len(stated)} of {len(known)} as stated")
    if missing:
        notes.append(f"{missing} of {len(table)} {SOURCES[source]}")
    if source == "paper":
        measure = MEASURES[claim.metric]
        # Both values and the figure are rounded: three half digits, plus float error.
        tolerance = 1.501 * 10.0**-measure.digits
        if claim.figure and abs(measure.scale(known["gain"].max()) - claim.figure) > tolerance:
            word = "fails"
            notes.append(f"the largest is not {claim.figure}")
        return Finding(word, notes, shown)
    notes += _list_limits(claim, known)
    if missing and not len(against):
        needs = _list_needs(claim) or "values that these runs lack"
        return Finding(word, notes, shown, needs, elsewhere)
    if claim.fewer_epochs and not missing and not _trained_shorter(claim):
        word, notes = "inconclusive", [*notes, "not trained for fewer epochs"]
    return Finding(word, notes, shown, "", elsewhere)


def is_real(dataset: str) -> bool:
    """Return whether a data set has runs, all of them on its published images."""
    return bool(shown_records(dataset)) and describe_data(dataset) == dataset_title(dataset)


def _list_limits(claim: Claim, known: pd.DataFrame) -> list[str]:
    """Return what limits a verdict on the runs."""
    limits = ["only one seed in common"] * (1 in set(known["n_seeds"]))
    limits += ["the direction is judged, not the figure"] * bool(claim.figure and len(known))
    runs = [r for row, name in claim.rows().items() for r in shown_records(name).get(row, [])]
    official = all(record.weights["official"] for record in runs)
    return limits + ["some initial weights are stand-ins"] * (not official)


def _list_needs(claim: Claim) -> str:
    """Return the arms of a claim without runs on published images, "" if all have some."""
    needs: dict[str, list[str]] = {}
    for row, dataset in claim.rows().items():
        if not is_real(dataset) or row not in shown_records(dataset):
            start = read_defaults(PAPER_ARMS[dataset][row])["initialisation"]
            named = f"{row} from {WEIGHTS[start]}" if start in WEIGHTS else row
            needs.setdefault(dataset_title(dataset), []).append(named)
    named = [f"{title} ({', '.join(rows)})" for title, rows in needs.items()]
    return f"runs on {' and '.join(named)}" if named else ""


def _trained_shorter(claim: Claim) -> bool:
    rows = claim.rows().items()
    epochs = {row: list_parameters(shown_records(name)[row][0])["epochs"] for row, name in rows}
    return all(epochs[left] < epochs[right] for left, _, right, _ in claim.comparisons())


def judge_claims() -> dict[str, tuple[Claim, Finding, Finding]]:
    """Return each claim with its findings by the paper and by the runs, by name."""
    claims = read_claims().items()
    return {name: (claim, *(judge(claim, source) for source in SOURCES)) for name, claim in claims}


def count_verdicts() -> str:
    """Return how many readings hold, fail or are inconclusive, by the paper and by the runs."""
    texts = []
    for findings in list(zip(*judge_claims().values(), strict=True))[1:]:
        words = Counter("open" if f.needs or f.elsewhere else f.word for f in findings)
        judged = ("holds", "fails", "inconclusive")
        texts.append(", ".join(f"{SIGNS[word]} {word} {words[word]}" for word in judged))
    opened = f", {words['open']} need further runs" * bool(words["open"])
    return f"By the paper's own numbers: {texts[0]}. By these runs: {texts[1]}{opened}."


def show_claims() -> Markdown:
    """Return all claims as a table under their counts."""
    rows, data = [["The paper states", "Its own numbers", "These runs"]], []
    for name, (claim, *findings) in judge_claims().items():
        note = f"{claim.section}. {claim.reading}".rstrip()
        rows.append([f"{claim.statement} [{note}]{{.reading}}"])
        data.append({"id": name} | claim.model_dump(include={"section", "statement", "reading"}))
        for source, finding in zip(SOURCES, findings, strict=True):
            texts = _describe(claim, source, finding)
            data[-1] |= {f"{source}_{part}": text for part, text in texts.items()}
            cells = [f"[{text}]{{.{part}}}" for part, text in texts.items() if text]
            rows[-1].append(" ".join(cells))
    statements = len({claim.statement for claim in read_claims().values()})
    counts = f"**{statements} statements, in {len(data)} readings.** {count_verdicts()}"
    caption = "The paper's statements, judged by its own numbers and by these runs"
    return Markdown(f"{counts}\n\n{render_table('claims', caption, rows, data, 'claims', left=3)}")


def _describe(claim: Claim, source: str, finding: Finding) -> dict[str, str]:
    """Return the verdict, and the value, interval and context of the deciding comparison."""
    word = finding.word + " on other images" * finding.elsewhere
    word = f"needs {finding.needs}" if finding.needs else word
    texts, case = {"verdict": f"{SIGNS[finding.word]} {word}"}, finding.notes
    if row := finding.shown:
        measure, right, column = MEASURES[claim.metric], row["right"], row["column"]
        name, sign, moved = f"{row['left']} against {right}", "+", 0.0
        if isinstance(right, float):  # the value itself rather than its distance from the number
            moved = _find_side(source, claim.metric, right, column)["mean"]
            name, sign = row["left"], ""
        size, *ends = (measure.print(row[end] + moved, sign) for end in ("mean", "low", "high"))
        texts["line"] = size + " points" * measure.percent
        if row["low"] < row["high"]:
            p = f", {print_p_value(row['p'])}" * (row["gain"] < 0 and row["n_seeds"] > 1)
            texts["interval"] = " to ".join(ends) + p
        case = [name, name_column(*column).lower() * bool(claim.columns), *case]
        if source == "runs":
            measured = filter(shown_records, dict.fromkeys(claim.rows().values()))
            case += [f"{describe_data(name)}, {describe_evidence(name)}" for name in measured]
    return texts | {"case": "; ".join(filter(None, case))}
