"""The paper's statements, judged by its own numbers and by the runs.

A statement is a set of comparisons (a pair of arms, or an arm and a number, per column), all of
which must come out as stated. The statements are data, in ``reference/claims.yaml``; page "The
paper's claims" of the book gives the rules.
"""

import math
import re
from collections import Counter
from functools import cache
from itertools import product
from typing import NamedTuple

import pandas as pd
import yaml
from IPython.display import Markdown
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from scipy.special import stdtr

from helpers import InputError, metrics

from .paper import REFERENCE, TRAINING, name_column, parse_column, read_value
from .records import PAPER_ARMS, dataset_title, describe_data, find_evidence, shown_records
from .table_export import render_table
from .tidy import MEASURES, RMS, find_difference, find_estimate
from .verdicts import LEVEL, SIGNS, print_p_value, print_verdict

#: Data set of each of the paper's rows.
ROWS = {label: dataset for dataset, arms in PAPER_ARMS.items() for label in arms}

#: Source of the numbers to what its absent ones are.
SOURCES = {"paper": "not given as numbers", "runs": "not measured"}


class Claim(BaseModel):
    """A statement of the paper; ``claims.yaml`` explains the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str
    section: str
    statement: str
    reading: str = ""
    measure: str = ""
    compare: list[str] = []
    columns: list[str] = []
    figure: float | None = Field(default=None, gt=0)
    fewer_epochs: bool = False
    denies: str = ""
    untested: str = ""

    @property
    def metric(self) -> str:
        """Name of the measure in the tidy tables."""
        return {"calibration_error": RMS}.get(self.measure, self.measure)

    def comparisons(self) -> list[tuple]:
        """Return (left, sign, right, (shift, strength)): 1 for larger, -1 for smaller."""
        columns = [parse_column(column) for column in self.columns] or [("training", None)]
        rows = [parse_comparison(text) for text in self.compare]
        return [(*row, column) for row, column in product(rows, columns)]

    def rows(self) -> list[str]:
        """Return the rows of the paper's tables that the claim compares."""
        sides = [side for left, _, right, _ in self.comparisons() for side in (left, right)]
        return [side for side in dict.fromkeys(sides) if side in ROWS]

    @model_validator(mode="after")
    def _check(self) -> "Claim":
        if sum(map(bool, (self.measure, self.denies, self.untested))) != 1:
            raise ValueError("give one of measure, denies, untested")
        if self.measure and self.metric not in MEASURES:
            raise ValueError(f"unknown measure {self.measure!r}")
        if self.measure and (not self.compare or (self.metric in TRAINING) == bool(self.columns)):
            raise ValueError("a measure needs compare, and columns unless it is of the training")
        for row, (*_, column) in product(self.rows(), self.comparisons()):
            if self.columns and math.isnan(_read_paper(self.metric, row, column)):
                raise ValueError(f"the paper's tables have no {name_column(*column)} of {row}")
        return self


def parse_comparison(text: str) -> tuple[str, int, str | float]:
    """Return left, sign and right of ``Supervised > No Pretraining`` or ``Basic > 10``."""
    match = re.fullmatch(r"(.+) ([<>]) (.+)", text)
    left, sign, right = match.groups() if match else ("", "", "")
    if re.fullmatch(r"\d+(\.\d+)?", right):
        right = float(right)
    if left not in ROWS or not (isinstance(right, float) or right in ROWS):
        raise ValueError(f"{text!r}: write ROW > ROW or ROW > 10, with rows {', '.join(ROWS)}")
    return left, 1 if sign == ">" else -1, right


def parse_claims(text: str) -> list[Claim]:
    """Return the claims of a YAML text; an InputError names the first that is not understood."""
    try:
        entries = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"claims.yaml is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError("claims.yaml must be a list of claims with 'name: value' lines")
    claims: dict[str, Claim] = {}
    for entry in entries:
        try:
            claim = Claim.model_validate(entry)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "entry"
            raise InputError(f"claims.yaml, {entry.get('id')}: {where}: {first['msg']}") from None
        if claim.id in claims:
            raise InputError(f"claims.yaml, {claim.id}: the id exists already; choose another")
        deniable = [name for name, other in claims.items() if other.measure and not other.figure]
        if claim.denies and claim.denies not in deniable:
            raise InputError(f"claims.yaml, {claim.id}: denies: name a claim above without figure")
        claims[claim.id] = claim
    return list(claims.values())


@cache
def read_claims() -> list[Claim]:
    """Return the paper's claims, in its order."""
    return parse_claims((REFERENCE / "claims.yaml").read_text(encoding="utf-8"))


def _read_paper(metric: str, row: str | float, column: tuple) -> float:
    """Return the paper's value of a row as a fraction, or a number in a claim as one."""
    if isinstance(row, float):
        return row / (100 if MEASURES[metric].percent else 1)
    return read_value(ROWS[row], row, metric, *column)


def _subtract_paper(metric: str, left: str, right: str | float, column: tuple) -> dict:
    """Return a difference of the paper's values as a row of `differences` without uncertainty."""
    mean = _read_paper(metric, left, column) - _read_paper(metric, right, column)
    mean = round(mean, 9)  # beyond is noise of the subtraction
    return {"mean": mean, "low": mean, "high": mean, "p": 0.0 * mean, "n_seeds": 0}


def _subtract_runs(metric: str, left: str, right: str | float, column: tuple) -> dict:
    """Return the row of differences for a comparison; against a number, of the estimate.

    The latter's p-value is Student's over the seeds, slightly larger than that of the interval.
    """
    arm = ROWS[left], left
    if not isinstance(right, float):
        return find_difference(arm, (ROWS[right], right), metric, *column)
    row, number = find_estimate(*arm, metric, *column), _read_paper(metric, right, column)
    moved = {name: row[name] - number for name in ("mean", "low", "high")} | {"p": math.nan}
    if row["n_seeds"] > 1:
        error = max(row["se"], 1e-12)
        moved["p"] = 2 * stdtr(row["n_seeds"] - 1, -abs(moved["mean"]) / error)
    return row | moved


def compare(claim: Claim, source: str, sign: int = 1) -> pd.DataFrame:
    """Return a row for each comparison of a claim (sign -1: of its opposite), by `source`.

    mean, low, high and n_seeds are as in `differences`, mean NaN where it is not known; p is
    adjusted over the rows (0 for the paper, NaN for one seed); gain is the mean in the stated
    direction, clarity that in half widths of the interval; outcome is 1 as stated, -1 the other
    way, 0 neither.
    """
    subtract = _subtract_paper if source == "paper" else _subtract_runs
    table = pd.DataFrame(claim.comparisons(), columns=["left", "sign", "right", "column"])
    places = table[["left", "right", "column"]].itertuples(index=False)
    found = [subtract(claim.metric, *place) for place in places]
    table = table.join(pd.DataFrame(found, columns=["mean", "low", "high", "p", "n_seeds"]))
    table["sign"] *= sign
    known = table["p"].notna()
    table.loc[known, "p"] = metrics.holm(table.loc[known, "p"])
    table["gain"] = table["sign"] * table["mean"]
    half = (table["high"] - table["low"]) / 2
    table["clarity"] = table["gain"] / half.where(half > 0, 1)
    ends = table[["low", "high"]].mul(table["sign"], axis=0)
    stated, against = known & (ends > 0).all(axis=1), (table["gain"] < 0) & (table["p"] < LEVEL)
    return table.assign(outcome=stated.astype(int) - against.astype(int))


class Finding(NamedTuple):
    """Verdict on a claim, other reasons, the comparison that decides, and its rank among all."""

    word: str
    why: str = ""
    shown: dict | None = None
    rank: str = ""


def judge(claim: Claim, source: str, sign: int = 1) -> Finding:
    """Return whether the "paper" or the "runs" bear a claim out, or with sign -1 its opposite."""
    table = compare(claim, source, sign)
    known = table[table["mean"].notna()]
    count, missing, whys = len(known), len(table) - len(known), []
    against, stated = ((known["outcome"] == outcome).sum() for outcome in (-1, 1))
    if missing:
        absent = [r for r in claim.rows() if r not in shown_records(ROWS[r]) and source == "runs"]
        whys = [f"{missing} of {len(table)} {SOURCES[source]}"]
        whys[0] += f": no runs of {', '.join(absent)}" * bool(absent)
    if against:
        word, order = "fails", known["gain"].where(known["outcome"] < 0)
        rank = f"{against} of {count} the other way"
    else:
        word = "holds" if stated == len(table) else "inconclusive"
        order = -known["gain"] if claim.figure else known["clarity"]
        rank = f"the weakest of {count}, {stated} as stated"
        rank = f"the largest of {count}" if claim.figure else rank
    if source == "runs":
        whys.append("only one seed in common" * (1 in set(known["n_seeds"])))
        whys.append("the direction is judged, not the figure" * bool(claim.figure))
        kinds = _list_kinds(claim)
        if len(set(kinds.values())) > 1:  # never a stand-in beside real images
            named = (f"{dataset_title(name)}: {profile}" for name, (profile, _) in kinds.items())
            return Finding("inconclusive", f"runs of different kinds ({', '.join(named)})")
        if claim.fewer_epochs and not _trained_shorter(claim):
            word, whys = "inconclusive", ["not trained for fewer epochs"]
    elif claim.figure:
        # Two values and the figure are rounded: three halves of the last digit, and of a float's.
        measure, largest = MEASURES[claim.metric], known["gain"].max()
        if not abs(measure.scale(largest) - claim.figure) <= 1.501 * 10.0**-measure.digits:
            word, whys = "fails", [f"the largest is not {claim.figure:.{measure.digits}f}"]
    shown = known.loc[order.idxmin()].to_dict() if count else None
    return Finding(word, "; ".join(filter(None, whys)), shown, rank * (count > 1))


def _list_kinds(claim: Claim) -> dict[str, tuple[str, bool]]:
    """Return data set to profile and whether the images are the published ones, where measured."""
    names = sorted({ROWS[row] for row in claim.rows()})
    return {n: (find_evidence(n).profile, is_real(n)) for n in names if find_evidence(n).profile}


def is_real(dataset: str) -> bool:
    """Return whether the shown runs of a data set used its published images."""
    return describe_data(dataset) == dataset_title(dataset)


def _trained_shorter(claim: Claim) -> bool:
    """Return whether every run of the first row took fewer epochs than every run of the others."""
    epochs = {
        row: [record.parameters["epochs"] for record in shown_records(ROWS[row]).get(row, [])]
        for row in claim.rows()
    }
    pairs = [(epochs[left], epochs[right]) for left, _, right, _ in claim.comparisons()]
    return all(one and other and max(one) < min(other) for one, other in pairs)


def judge_claims() -> list[tuple[Claim, Finding, Finding]]:
    """Return each claim with the findings by the paper and by the runs."""
    claims = {claim.id: claim for claim in read_claims()}
    return [(c, *(_judge_any(c, source, claims) for source in SOURCES)) for c in claims.values()]


def _judge_any(claim: Claim, source: str, claims: dict[str, Claim]) -> Finding:
    """Return the finding on a claim, be it a measure, a denial or untested.

    A denial fails where the denied claim holds, and holds where every comparison of that one comes
    out the other way.
    """
    if claim.untested:
        return Finding("inconclusive", claim.untested if source == "runs" else SOURCES["paper"])
    if not claim.denies:
        return judge(claim, source)
    denied = claims[claim.denies]
    first, opposite = judge(denied, source), judge(denied, source, -1)
    if first.word == "holds":
        return first._replace(word="fails")
    return opposite._replace(word="holds" if opposite.word == "holds" else "inconclusive")


def count_verdicts() -> str:
    """Return how many readings hold, fail or are inconclusive, by the paper and by the runs."""
    texts = []
    for findings in list(zip(*judge_claims(), strict=True))[1:]:
        counts = Counter(finding.word for finding in findings)
        words = ("holds", "fails", "inconclusive")
        texts.append(", ".join(f"{SIGNS[word]} {word} {counts[word]}" for word in words))
    return f"By the paper's own numbers: {texts[0]}. By these runs: {texts[1]}."


def show_claims() -> Markdown:
    """Return all claims as a table under their counts."""
    judged = judge_claims()
    claims = {claim.id: claim for claim, *_ in judged}
    rows, data = [["The paper states", "Its own numbers", "These runs"], [":--"] * 3], []
    for claim, *findings in judged:
        note = f"{claim.section}. {claim.reading}".rstrip()
        rows.append([f"{claim.statement} [{note}]{{.reading}}"])
        data.append(claim.model_dump(include={"id", "section", "statement", "reading"}))
        for source, finding in zip(SOURCES, findings, strict=True):
            size, interval, case = _describe(finding, claims.get(claim.denies, claim).metric)
            parts = {"value": size, "interval": interval, "case": case, "why": finding.why}
            cells = [f"[{print_verdict(finding.word)}]{{.verdict}}", size]
            cells += [f"[{interval}]{{.interval}}"] * bool(interval)
            cells += [f"[{text}]{{.case}}" for text in (case, finding.why) if text]
            rows[-1].append(" ".join(filter(None, cells)))
            data[-1] |= {source: finding.word}
            data[-1] |= {f"{source}_{name}": text for name, text in parts.items()}
    statements = len({claim.statement for claim in claims.values()})
    counts = f"**{statements} statements, in {len(judged)} readings.** {count_verdicts()}"
    drawn = [dataset_title(d) for d in PAPER_ARMS if shown_records(d) and not is_real(d)]
    if drawn:
        counts += f"\n\n**The runs of {' and '.join(drawn)} used stand-in data"
        counts += "; their verdicts say nothing about the paper.**"
    caption = "The paper's statements, judged by its own numbers and by these runs"
    return Markdown(f"{counts}\n\n{render_table('claims', caption, rows, data, 'claims')}")


def _describe(finding: Finding, metric: str) -> tuple[str, str, str]:
    """Return size, interval and name of the comparison that decides."""
    if (row := finding.shown) is None:
        return "", "", ""
    measure, right, (shift, strength) = MEASURES[metric], row["right"], row["column"]
    name, sign, moved = f"{row['left']} against {right}", "+", 0.0
    if isinstance(right, float):  # the value itself rather than its distance from the number
        name, sign, moved = row["left"], "", _read_paper(metric, right, row["column"])
    size, *ends = (measure.print(row[end] + moved, sign) for end in ("mean", "low", "high"))
    interval = " to ".join(ends) * (row["low"] < row["high"])
    if interval and row["gain"] < 0 and not math.isnan(row["p"]):
        interval += f", {print_p_value(row['p'])}"
    name += f", {name_column(shift, strength).lower()}" * (shift != "training")
    name += f"; {finding.rank}" * bool(finding.rank)
    return size + " points" * measure.percent, interval, name
