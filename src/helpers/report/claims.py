"""The paper's statements, judged by its own numbers and by the runs.

A statement is a set of comparisons (a pair of arms, or an arm and a number, per column), all of
which must come out as stated. The statements are data: ``reference/claims.yaml``.

By the paper's numbers a statement holds if every difference has the stated sign and fails if one
has the other; where the paper names a figure for the largest difference, it also fails if that is
not the figure within rounding.

By the runs it holds if every 95 % interval lies on the stated side: no multiplicity correction is
needed, because all must agree (an intersection-union test; Berger 1982, Technometrics 24:295). It
fails if one difference lies on the other side with p < 0.05, adjusted over the statement's
comparisons (Holm 1979). Otherwise it is inconclusive, as is any comparison with one common seed.
"""

import math
import re
from collections import Counter
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
import yaml
from IPython.display import Markdown
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from scipy.special import stdtr

from helpers import InputError, metrics

from .estimates import MEASURES, RMS, TRAINING, find_difference, find_estimate
from .paper import REFERENCE, name_column, parse_column, read_cell, read_curves
from .records import PAPER_ARMS, dataset_title, describe_data, shown_profile, shown_records
from .table_export import render_table
from .verdicts import LEVEL, SIGNS, print_p_value, print_verdict

#: Data set of each of the paper's rows.
ROWS = {label: dataset for dataset, arms in PAPER_ARMS.items() for label in arms}


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
        return [
            (*parse_comparison(text), column) for text, column in product(self.compare, columns)
        ]

    @model_validator(mode="after")
    def _check(self) -> "Claim":
        if sum(map(bool, (self.measure, self.denies, self.untested))) != 1:
            raise ValueError("give one of measure, denies, untested")
        if self.measure and self.metric not in MEASURES:
            raise ValueError(f"unknown measure {self.measure!r}")
        if self.measure and (not self.compare or (self.metric in TRAINING) == bool(self.columns)):
            raise ValueError("a measure needs compare, and columns unless it is of the training")
        for left, _, right, column in self.comparisons():
            for row in (left, right):
                value = 0 if column[0] == "training" else _read_paper(self.metric, row, column)
                if math.isnan(value):
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


class Effect(NamedTuple):
    """Outcome of one comparison.

    Attributes
    ----------
    left, sign, right, column : as of `Claim.comparisons`
    difference, low, high : left minus right as fractions; NaN ends for the paper's
    p : adjusted over the claim's comparisons; NaN for the paper's and for one seed
    outcome : 1 as stated, -1 the other way, 0 neither
    """

    left: str
    sign: int
    right: str | float
    column: tuple[str, float | None]
    difference: float
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    outcome: int = 0

    @property
    def gain(self) -> float:
        """Difference in the stated direction."""
        return self.sign * self.difference

    @property
    def clarity(self) -> float:
        """Gain in half widths of the interval; above 1 it is significant as stated."""
        return self.gain / ((self.high - self.low) / 2) if self.high > self.low else self.gain


class Finding(NamedTuple):
    """Verdict on a claim, the known effects, the one that decides (or None) and other reasons."""

    word: str
    effects: tuple[Effect, ...] = ()
    shown: Effect | None = None
    why: str = ""


def parse_claims(text: str) -> list[Claim]:
    """Return the claims of a YAML text.

    Raises
    ------
    InputError : naming the first entry that is not understood
    """
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
        denied = claims.get(claim.denies)
        if claim.id in claims:
            raise InputError(f"claims.yaml, {claim.id}: the id exists already; choose another")
        if claim.denies and (denied is None or not denied.measure or denied.figure):
            raise InputError(f"claims.yaml, {claim.id}: denies: name a claim above without figure")
        claims[claim.id] = claim
    return list(claims.values())


@cache
def read_claims() -> list[Claim]:
    """Return the paper's claims, in its order."""
    return parse_claims((REFERENCE / "claims.yaml").read_text(encoding="utf-8"))


def judge_paper(claim: Claim, sign: int = 1) -> Finding:
    """Return whether the paper's numbers bear a claim out, or with sign -1 its opposite."""
    effects, measure = [], MEASURES[claim.metric]
    for left, stated, right, column in claim.comparisons():
        values = (_read_paper(claim.metric, row, column) for row in (left, right))
        difference = round(float(np.subtract(*values)), 9)  # beyond is noise of the subtraction
        if not math.isnan(difference):
            outcome = int(np.sign(sign * stated * difference))
            effects.append(Effect(left, sign * stated, right, column, difference, outcome=outcome))
    finding = _conclude(claim, effects, "not given as numbers")
    if claim.figure is None:
        return finding
    # Two values and the figure are rounded: three halves of the last digit, and of a float's.
    largest = measure.scale(max((effect.gain for effect in effects), default=math.nan))
    if abs(largest - claim.figure) <= 1.501 * 10.0**-measure.digits:
        return finding
    why = f"the largest is not {claim.figure:.{measure.digits}f}"
    return finding._replace(word="fails", why=why)


def _read_paper(metric: str, row: str | float, column: tuple) -> float:
    """Return the paper's value of a row as a fraction, or a number in a claim as one."""
    if isinstance(row, float):
        return row / (100 if MEASURES[metric].percent else 1)
    if column[0] == "training":
        curves = read_curves().query("row == @row")
        return TRAINING[metric](curves) if len(curves) else math.nan
    if metric == "accuracy_lost":
        clean = _read_paper("accuracy", row, ("clean", None))
        return clean - _read_paper("accuracy", row, column)
    return read_cell(ROWS[row], row, metric, *column)


def judge_runs(claim: Claim, sign: int = 1) -> Finding:
    """Return whether the shown runs bear a claim out, or with sign -1 its opposite."""
    rows = [
        (_subtract(claim.metric, left, right, column), (left, sign * stated, right, column))
        for left, stated, right, column in claim.comparisons()
    ]
    rows = [(row, place) for row, place in rows if row["n_seeds"]]
    known = [row["p"] for row, _ in rows if not math.isnan(row["p"])]
    adjusted, effects = iter(metrics.holm(np.array(known))), []
    for row, place in rows:
        effect = Effect(*place, row["mean"], row["low"], row["high"])
        if not math.isnan(row["p"]):
            p = float(next(adjusted))
            stated = min(effect.sign * end for end in (effect.low, effect.high)) > 0
            against = effect.gain < 0 and p < LEVEL
            effect = effect._replace(p=p, outcome=1 if stated else -1 if against else 0)
        effects.append(effect)
    finding = _conclude(claim, effects, "not measured")
    names = {
        ROWS[row] for left, _, right, _ in claim.comparisons() for row in {left, right} & {*ROWS}
    }
    bases = {n: (shown_profile(n), is_real(n)) for n in sorted(names) if shown_profile(n)}
    if len(set(bases.values())) > 1:  # never a stand-in beside real images
        named = (f"{dataset_title(name)}: {profile}" for name, (profile, _) in bases.items())
        return Finding("inconclusive", why=f"runs of different kinds ({', '.join(named)})")
    if claim.fewer_epochs and not all(_trained_shorter(*c[::2][:2]) for c in claim.comparisons()):
        return finding._replace(word="inconclusive", why="not trained for fewer epochs")
    whys = [finding.why, "only one seed in common" * any(row["n_seeds"] == 1 for row, _ in rows)]
    whys.append("the direction is judged, not the figure" * bool(claim.figure))
    return finding._replace(why="; ".join(filter(None, whys)))


def is_real(dataset: str) -> bool:
    """Return whether the shown runs of a data set used its published images."""
    return describe_data(dataset) == dataset_title(dataset)


def _subtract(metric: str, left: str, right: str | float, column: tuple) -> dict:
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


def _trained_shorter(left: str, right: str) -> bool:
    """Return whether each run of one row took fewer epochs than every run of the other."""
    epochs = [
        [record.parameters["epochs"] for record in shown_records(ROWS[row]).get(row, [])]
        for row in (left, right)
    ]
    return all(epochs) and max(epochs[0]) < min(epochs[1])


def _conclude(claim: Claim, effects: list[Effect], absent: str) -> Finding:
    """Return the finding that the known effects give; `absent` says what the others are."""
    every = claim.comparisons()
    missing, why = len(every) - len(effects), ""
    if missing:
        why = f"{missing} of {len(every)} {absent}"
        rows = dict.fromkeys(row for left, _, right, _ in every for row in (left, right))
        unknown = [row for row in rows if row in ROWS and row not in shown_records(ROWS[row])]
        if absent == "not measured" and unknown:
            why += f": no runs of {', '.join(unknown)}"
    if against := [effect for effect in effects if effect.outcome < 0]:
        return Finding("fails", tuple(effects), min(against, key=lambda effect: effect.gain), why)
    if claim.figure:
        shown = max(effects, key=lambda effect: effect.gain, default=None)
    else:
        shown = min(effects, key=lambda effect: effect.clarity, default=None)
    sure = not missing and all(effect.outcome > 0 for effect in effects)
    return Finding("holds" if sure else "inconclusive", tuple(effects), shown, why)


def judge_claims() -> list[tuple[Claim, Finding, Finding]]:
    """Return each claim with the findings by the paper and by the runs.

    A denial fails where the denied claim holds, and holds where every comparison of that one comes
    out the other way.
    """
    claims, judged = {claim.id: claim for claim in read_claims()}, []
    for claim in claims.values():
        found = []
        for judge, why in ((judge_paper, "not given as numbers"), (judge_runs, claim.untested)):
            if claim.untested:
                found.append(Finding("inconclusive", why=why))
            elif claim.denies:
                denied = claims[claim.denies]
                first, opposite = judge(denied), judge(denied, -1)
                word = "holds" if opposite.word == "holds" else "inconclusive"
                holds = first.word == "holds"
                found.append(
                    first._replace(word="fails") if holds else opposite._replace(word=word)
                )
            else:
                found.append(judge(claim))
        judged.append((claim, *found))
    return judged


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
        of = claims.get(claim.denies, claim)
        note = f"{claim.section}. {claim.reading}".rstrip()
        rows.append([f"{claim.statement} [{note}]{{.reading}}"])
        entry = {name: getattr(claim, name) for name in ("id", "section", "statement", "reading")}
        for name, finding in zip(("paper", "runs"), findings, strict=True):
            size, interval, case = _describe(finding, of)
            cells = [f"[{print_verdict(finding.word)}]{{.verdict}}", size]
            cells += [f"[{interval}]{{.interval}}" if interval else ""]
            cells += [f"[{text}]{{.case}}" if text else "" for text in (case, finding.why)]
            rows[-1].append(" ".join(filter(None, cells)))
            values = finding.word, size, interval, case, finding.why
            keys = ("", "_value", "_interval", "_case", "_why")
            entry |= {f"{name}{key}": value for key, value in zip(keys, values, strict=True)}
        data.append(entry)
    statements = len({claim.statement for claim in claims.values()})
    counts = f"**{statements} statements, in {len(judged)} readings.** {count_verdicts()}"
    drawn = [dataset_title(d) for d in PAPER_ARMS if shown_records(d) and not is_real(d)]
    if drawn:
        counts += (
            f"\n\n**The runs of {' and '.join(drawn)} used stand-in data; their verdicts say"
            " nothing about the paper.**"
        )
    caption = "The paper's statements, judged by its own numbers and by these runs"
    return Markdown(f"{counts}\n\n{render_table('claims', caption, rows, data, 'claims')}")


def _describe(finding: Finding, claim: Claim) -> tuple[str, str, str]:
    """Return size, interval and name of the comparison that decides."""
    effect, count = finding.shown, len(finding.effects)
    if effect is None:
        return "", "", ""
    measure, number = MEASURES[claim.metric], isinstance(effect.right, float)
    moved = _read_paper(claim.metric, effect.right, effect.column) if number else 0.0
    values = effect.difference + moved, effect.low + moved, effect.high + moved
    size, *ends = (measure.print(value, "" if number else "+") for value in values)
    interval = "" if math.isnan(effect.low) else " to ".join(ends)
    decides = effect.gain < 0 and not math.isnan(effect.p)
    interval += f", {print_p_value(effect.p)}" * decides
    name = effect.left if number else f"{effect.left} against {effect.right}"
    if effect.column[0] != "training":
        name += f", {name_column(*effect.column).lower()}"
    against, stated = (sum(e.outcome == sign for e in finding.effects) for sign in (-1, 1))
    if count > 1 and against:
        name += f"; {against} of {count} the other way"
    elif count > 1 and claim.figure:
        name += f"; the largest of {count}"
    elif count > 1:
        name += f"; the weakest of {count}, {stated} as stated"
    return size + " points" * measure.percent, interval, name
