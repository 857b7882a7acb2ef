"""One table of the paper's claims: what its own tables say of each, and what the runs say."""

from collections import Counter
from collections.abc import Iterator
from itertools import starmap

import numpy as np
from IPython.display import Markdown

from .assessment import Effect, Finding, judge_claims
from .contrasts import print_p_value
from .downloads import write_listing
from .evidence import MEASURES
from .paper import SHIFTS
from .source import DATASETS
from .statements import Claim, Denial, Statement
from .verdicts import why_withheld

#: Word to the sign that stands before it, so that none rests on colour.
SIGNS = {"holds": "✓", "fails": "✗", "cannot tell": "?"}


def show_claims() -> Markdown:
    """Return all claims as a table under their counts, and of what the verdicts do not speak."""
    rows = [["The paper states", "Its own numbers", "These runs"], [":--"] * 3]
    for claim, compared, findings in _read_judged():
        note = f"{claim.section}. {claim.reading}".rstrip()
        cells = [f"{claim.statement} [{note}]{{.reading}}"]
        cells += [_cell(finding, compared) for finding in findings]
        rows.append(cells)
    statements = {claim.statement for claim, *_ in judge_claims()}
    counts = f"{len(statements)} statements, in {len(judge_claims())} readings"
    parts = [f"**{counts}.** {count_verdicts()}"]
    withheld = {title: why_withheld(dataset) for dataset, title in DATASETS.items()}
    if reasons := [f"- {title}: {'; '.join(why)}." for title, why in withheld.items() if why]:
        text = "These runs stand in for the study; their verdicts say nothing about the paper:"
        parts += [f"**{text}**", "\n".join(reasons)]
    caption = "The paper's statements, judged by its own numbers and by these runs"
    facts = starmap(_list, _read_judged())
    parts.append(write_listing("claims", caption, rows, facts, kind="claims"))
    return Markdown("\n\n".join(parts))


def _read_judged() -> Iterator[tuple[Statement, Statement, list[Finding]]]:
    """Give each claim, the claim whose comparisons it is judged by, and what was found."""
    claims = {claim.id: claim for claim, *_ in judge_claims()}
    for claim, *findings in judge_claims():
        yield claim, claims[claim.denies] if isinstance(claim, Denial) else claim, findings


def _list(claim: Statement, compared: Statement, findings: list[Finding]) -> dict[str, str]:
    """Return a row of the table as columns, its text without markup."""
    row = {name: getattr(claim, name) for name in ("id", "section", "statement", "reading")}
    for name, finding in zip(("paper", "runs"), findings, strict=True):
        numbers, case = ["", "", ""], ""
        if finding.shown:
            numbers = _print_numbers(finding.shown, compared)
            case = _describe(finding, compared)
        names = (name, *(f"{name}_{part}" for part in ("value", "low", "high", "case", "why")))
        row |= zip(names, (finding.word, *numbers, case, finding.why), strict=True)
    shown = findings[-1].shown
    p_value = shown.p_value if shown else np.nan
    return row | {"runs_p_adjusted": "" if np.isnan(p_value) else f"{p_value:.3g}"}


def count_verdicts() -> str:
    """Return how many readings hold, fail or cannot be told, by the paper and by the runs."""
    paper, runs = (_count(findings) for findings in list(zip(*judge_claims(), strict=True))[1:])
    return f"By the paper's own numbers: {paper}. By these runs: {runs}."


def _count(findings: tuple[Finding, ...]) -> str:
    counts = Counter(finding.word for finding in findings)
    return ", ".join(f"{sign} {word} {counts[word]}" for word, sign in SIGNS.items())


def _cell(finding: Finding, claim: Claim) -> str:
    parts = [f"[{SIGNS[finding.word]} {finding.word}]{{.verdict}}"]
    if finding.shown:
        parts += [_print_size(finding.shown, claim), f"[{_describe(finding, claim)}]{{.case}}"]
    if finding.why:
        parts.append(f"[{finding.why}]{{.case}}")
    return " ".join(parts)


def _print_size(effect: Effect, claim: Claim) -> str:
    """Return a difference with its interval and, if on the other side, its p-value."""
    value, low, high = (text.replace("-", "−") for text in _print_numbers(effect, claim))
    text = value + MEASURES[claim.measure].unit
    decides = effect.gain < 0 and not np.isnan(effect.p_value)
    p_value = f", {print_p_value(effect.p_value)}" if decides else ""
    return f"{text} [{low} to {high}{p_value}]{{.interval}}" if low else text


def _print_numbers(effect: Effect, claim: Claim) -> list[str]:
    """Return a difference and the ends of its interval, if it has one; against a number, the value
    itself.
    """
    right, digits = effect.pair.right, MEASURES[claim.measure].digits
    shift, sign = (right, "") if isinstance(right, float) else (0.0, "+")
    low, high = effect.interval or (effect.difference, effect.difference)
    numbers = [f"{value + shift:{sign}z.{digits}f}" for value in (effect.difference, low, high)]
    return numbers if low < high else [numbers[0], "", ""]


def _describe(finding: Finding, claim: Claim) -> str:
    """Return which comparison an effect is of, and how it stands among the claim's others."""
    pair, column = finding.shown.pair, finding.shown.column
    name = pair.left if isinstance(pair.right, float) else f"{pair.left} against {pair.right}"
    if column:
        name += f", {SHIFTS.get(column, column).replace('sigma', 'σ').replace('=', ' = ')}"
    count, stands = len(finding.effects), Counter(effect.stand for effect in finding.effects)
    if count == 1:
        return name
    if stands[-1]:
        worst = ", this the most" if stands[-1] > 1 else ""
        return f"{name}; {stands[-1]} of {count} the other way{worst}"
    if claim.figure is not None:
        return f"{name}; the largest of {count}"
    if stands[1] == count:
        return f"{name}; the least clear of {count}"
    return f"{name}, the least clear; {stands[1]} of {count} clearly as stated"
