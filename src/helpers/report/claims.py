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
import yaml
from IPython.display import Markdown
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from scipy.special import stdtr

from helpers import InputError, metrics
from helpers.runs.config import read_defaults

from .paper import REFERENCE, name_column, parse_column, read_value
from .records import (
    PAPER_ARMS,
    dataset_title,
    describe_data,
    describe_evidence,
    find_evidence,
    shown_records,
)
from .table_export import render_table
from .tidy import MEASURES, find_difference, find_estimate
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

    id: str
    section: str
    statement: str
    reading: str = ""
    metric: Literal[("", *MEASURES)] = ""
    compare: list[str] = []
    columns: list[str] = []
    figure: float | None = Field(default=None, gt=0)
    fewer_epochs: bool = False
    denies: str = ""
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
        given = sum(map(bool, (self.metric, self.denies, self.needs)))
        if given != 1 or bool(self.metric) != bool(self.comparisons()):
            raise ValueError("give one of metric with compare, denies, needs")
        return self


def parse_comparison(text: str) -> tuple[str, int, str | float]:
    """Split ``Supervised > No Pretraining`` or ``Basic > 10`` into left, sign and right."""
    match = re.fullmatch(r"(.+) ([<>]) (.+)", text)
    left, sign, right = match.groups() if match else ("", "", "")
    right = float(right) if re.fullmatch(r"\d+(\.\d+)?", right) else right
    if left not in ROWS or not (isinstance(right, float) or right in ROWS):
        raise ValueError(f"{text!r}: write ROW > ROW or ROW > 10, with rows {', '.join(ROWS)}")
    return left, 1 if sign == ">" else -1, right


def parse_claims(text: str) -> list[Claim]:
    """Return the claims of a YAML text; InputError names the first that is invalid."""
    try:
        claims = TypeAdapter(list[Claim]).validate_python(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise InputError(f"claims.yaml is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place, *field = first["loc"] or (-1,)
        where = ": ".join([f"claim {place + 1}", *map(str, field)])
        raise InputError(f"claims.yaml, {where}: {first['msg']}") from None
    ids = Counter(claim.id for claim in claims)
    for claim in claims:
        if ids[claim.id] > 1 or (claim.denies and not ids[claim.denies]):
            raise InputError(
                f"claims.yaml, {claim.id}: two have this id, or none the one it denies"
            )
    return claims


@cache
def read_claims() -> list[Claim]:
    """Return the paper's claims, in its order."""
    return parse_claims((REFERENCE / "claims.yaml").read_text(encoding="utf-8"))


def _read_paper(metric: str, row: str | float, column: tuple) -> float:
    """Return the paper's value of a row, or a number in a claim, as a fraction."""
    if isinstance(row, float):
        return row / (100 if MEASURES[metric].percent else 1)
    return read_value(ROWS[row], row, metric, *column)


def _subtract(source: str, metric: str, left: str, right: str | float, column: tuple) -> dict:
    """Return a comparison as a row of `differences`; the paper's has no uncertainty.

    The p-value of an arm against a number is Student's over the seeds.
    """
    arm, number = (ROWS[left], left), _read_paper(metric, right, column)
    if source == "paper":
        mean = round(_read_paper(metric, left, column) - number, 9)  # further digits are noise
        return {"mean": mean, "low": mean, "high": mean, "p": 0.0 * mean, "n_seeds": 0}
    if isinstance(right, str):
        return find_difference(arm, (ROWS[right], right), metric, *column)
    row = find_estimate(*arm, metric, *column)
    moved = {name: row[name] - number for name in ("mean", "low", "high")} | {"p": math.nan}
    if row["n_seeds"] > 1:
        moved["p"] = 2 * stdtr(row["n_seeds"] - 1, -abs(moved["mean"]) / max(row["se"], 1e-12))
    return row | moved


def compare(claim: Claim, source: str, sign: int = 1) -> pd.DataFrame:
    """Return one row per comparison of a claim by `source`; sign -1 is for its opposite.

    mean, low, high and n_seeds are as in `differences`, with mean NaN if unknown; p is adjusted
    over the rows (0 for the paper, NaN for one seed); gain is the mean in the stated direction,
    clarity the gain in half-widths of the interval; outcome is 1 as stated, -1 the other way, 0
    neither.
    """
    table = pd.DataFrame(
        {"left": left, "right": right, "column": column, "sign": sign * stated}
        | _subtract(source, claim.metric, left, right, column)
        for left, stated, right, column in claim.comparisons()
    )
    known = table["p"].notna()
    table.loc[known, "p"] = metrics.holm(table.loc[known, "p"])
    table["gain"] = table["sign"] * table["mean"]
    half = (table["high"] - table["low"]) / 2
    table["clarity"] = table["gain"] / half.where(half > 0, 1)
    ends = table[["low", "high"]].mul(table["sign"], axis=0)
    stated, against = known & (ends > 0).all(axis=1), (table["gain"] < 0) & (table["p"] < LEVEL)
    return table.assign(outcome=stated.astype(int) - against.astype(int))


class Finding(NamedTuple):
    """Verdict on a claim, and the comparison that decides it."""

    word: str
    why: str = ""  # further reasons
    shown: dict | None = None  # row of `compare`
    count: str = ""  # number of comparisons as stated, or the other way
    needs: str = ""  # data, weights or runs that are needed to decide
    elsewhere: bool = False  # whether the runs used other images than the published ones


def judge(claim: Claim, source: str) -> Finding:
    """Return the verdict of the "paper" or the "runs" on a claim.

    A denial fails if the denied claim holds, and holds if every comparison of that claim comes out
    the other way.
    """
    if claim.needs:
        found = Finding("inconclusive", SOURCES["paper"])
        return found if source == "paper" else found._replace(why="", needs=claim.needs)
    if not claim.denies:
        return _judge(claim, source)
    (denied,) = (other for other in read_claims() if other.id == claim.denies)
    first, opposite = _judge(denied, source), _judge(denied, source, -1)
    if first.word == "holds":
        return first._replace(word="fails")
    return opposite._replace(word="holds" if opposite.word == "holds" else "inconclusive")


def _judge(claim: Claim, source: str, sign: int = 1) -> Finding:
    table, absent = compare(claim, source, sign), SOURCES[source]
    measured = [name for name in set(claim.rows().values()) if shown_records(name)]
    kinds = {(find_evidence(name).profile, is_real(name)) for name in measured}
    if source == "runs" and len(kinds) > 1:
        table["mean"], table["outcome"] = math.nan, 0
        absent = "not compared: the runs mix profiles, or published and stand-in images"
    known = table[table["mean"].notna()]
    missing, figure, whys, needs = len(table) - len(known), claim.figure, [], ""
    against, stated = ((known["outcome"] == outcome).sum() for outcome in (-1, 1))
    word = "fails" if against else "holds" if stated == len(table) else "inconclusive"
    order = -known["gain"] if figure else known["clarity"]
    if against:
        order = known["gain"].where(known["outcome"] < 0)
    if missing:
        whys.append(f"{missing} of {len(table)} {absent}")
    if source == "runs":
        if 1 in set(known["n_seeds"]):
            whys.append("only one seed in common")
        if figure and len(known):
            whys.append("the direction is judged, not the figure")
        runs = [r for row, name in claim.rows().items() for r in shown_records(name).get(row, [])]
        if not all(record.weights["official"] for record in runs):
            whys.append("some initial weights are stand-ins")
        if missing and not against:
            needs = _list_needs(claim)
        elif claim.fewer_epochs and not missing and not _trained_shorter(claim):
            word, whys = "inconclusive", ["not trained for fewer epochs"]
    elif figure:
        # Both values and the figure are rounded: three half digits, plus float error.
        measure, largest = MEASURES[claim.metric], known["gain"].max()
        if not abs(measure.scale(largest) - figure) <= 1.501 * 10.0**-measure.digits:
            word, whys = "fails", [f"the largest is not {figure:.{measure.digits}f}"]
    elsewhere = source == "runs" and not all(real for _, real in kinds)
    if not len(known):
        return Finding(word, "; ".join(whys), needs=needs, elsewhere=elsewhere)
    count = f"{against} of {len(known)} the other way" if against else f"{stated} of {len(known)}"
    count += " as stated" * (not against)
    shown = known.loc[order.idxmin()].to_dict()
    return Finding(word, "; ".join(whys), shown, count, needs, elsewhere)


def is_real(dataset: str) -> bool:
    """Return whether a data set has runs, all of them on its published images."""
    return bool(shown_records(dataset)) and describe_data(dataset) == dataset_title(dataset)


def _list_needs(claim: Claim) -> str:
    needs, runs = [], []
    for row, dataset in claim.rows().items():
        start = read_defaults(PAPER_ARMS[dataset][row])["initialisation"]
        if not is_real(dataset):
            needs.append(dataset_title(dataset))
        if row not in shown_records(dataset):
            needs += [WEIGHTS[start]] if start in WEIGHTS else []
            runs.append(row)
    return ", ".join(dict.fromkeys(needs)) or f"runs of {', '.join(runs) or 'one profile'}"


def _trained_shorter(claim: Claim) -> bool:
    epochs = {
        row: [record.parameters["epochs"] for record in shown_records(dataset)[row]]
        for row, dataset in claim.rows().items()
    }
    pairs = [(epochs[left], epochs[right]) for left, _, right, _ in claim.comparisons()]
    return all(max(one) < min(other) for one, other in pairs)


def judge_claims() -> list[tuple[Claim, Finding, Finding]]:
    """Return each claim with its findings by the paper and by the runs."""
    return [(claim, judge(claim, "paper"), judge(claim, "runs")) for claim in read_claims()]


def count_verdicts() -> str:
    """Return how many readings hold, fail or are inconclusive, by the paper and by the runs."""
    texts = []
    for findings in list(zip(*judge_claims(), strict=True))[1:]:
        words = Counter("open" if f.needs or f.elsewhere else f.word for f in findings)
        judged = ("holds", "fails", "inconclusive")
        texts.append(", ".join(f"{SIGNS[word]} {word} {words[word]}" for word in judged))
        texts[-1] += f", open for lack of data or weights {words['open']}" * bool(words["open"])
    return f"By the paper's own numbers: {texts[0]}. By these runs: {texts[1]}."


def show_claims() -> Markdown:
    """Return all claims as a table under their counts."""
    claims = {claim.id: claim for claim in read_claims()}
    rows, data = [["The paper states", "Its own numbers", "These runs"], [":--"] * 3], []
    for claim, *findings in judge_claims():
        note = f"{claim.section}. {claim.reading}".rstrip()
        data.append(claim.model_dump(include={"id", "section", "statement", "reading"}))
        rows.append([f"{claim.statement} [{note}]{{.reading}}"])
        for source, finding in zip(SOURCES, findings, strict=True):
            texts = _describe(finding, claims.get(claim.denies, claim), source)
            data[-1] |= {f"{source}_{name}": text for name, text in texts.items()}
            cells = [f"[{text}]{{.{name}}}" for name, text in texts.items() if text]
            rows[-1].append(" ".join(cells))
    statements = len({claim.statement for claim in claims.values()})
    counts = f"**{statements} statements, in {len(claims)} readings.** {count_verdicts()}"
    caption = "The paper's statements, judged by its own numbers and by these runs"
    return Markdown(f"{counts}\n\n{render_table('claims', caption, rows, data, 'claims')}")


def _describe(finding: Finding, claim: Claim, source: str) -> dict[str, str]:
    """Return the verdict, and the value, interval and context of the deciding comparison."""
    word = finding.word + " on other images" * finding.elsewhere
    word = f"needs {finding.needs}" if finding.needs else word
    texts = {"verdict": f"{SIGNS[finding.word]} {word}"}
    if (row := finding.shown) is None:
        return texts | {"case": finding.why}
    measure, right, column = MEASURES[claim.metric], row["right"], row["column"]
    name, sign, moved = f"{row['left']} against {right}", "+", 0.0
    if isinstance(right, float):  # the value itself rather than its distance from the number
        name, sign, moved = row["left"], "", _read_paper(claim.metric, right, column)
    size, *ends = (measure.print(row[end] + moved, sign) for end in ("mean", "low", "high"))
    texts |= {"line": size + " points" * measure.percent, "interval": ""}
    if row["low"] < row["high"]:
        texts["interval"] = " to ".join(ends)
        if row["gain"] < 0 and not math.isnan(row["p"]):
            texts["interval"] += f", {print_p_value(row['p'])}"
    case = [name, name_column(*column).lower() * bool(claim.columns), finding.count, finding.why]
    if source == "runs":
        measured = [name for name in dict.fromkeys(claim.rows().values()) if shown_records(name)]
        case += [f"{describe_data(name)}, {describe_evidence(name)}" for name in measured]
    return texts | {"case": "; ".join(filter(None, case))}
