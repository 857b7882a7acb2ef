"""Tables to take away: links under a table that hold it as files."""

import csv
import html
import io
import math
import re
from collections.abc import Iterable
from urllib.parse import quote

from .latex import write_latex

#: File ending to media type and name.
FORMATS = {"csv": ("text/csv", "CSV"), "tex": ("application/x-tex", "LaTeX")}


def offer(name: str, title: str, **files: str) -> str:
    """Return links, as MyST, that save a table as files.

    Parameters
    ----------
    name : of the files, without an ending
    title : what a link calls the table, such as ``Table 1``
    files : by the ending, a key of `FORMATS`, what is in each
    """
    links = []
    for ending, text in files.items():
        kind, form = FORMATS[ending]
        address = f"data:{kind};charset=utf-8,{quote(text)}"
        links.append(f'<a download="{name}.{ending}" href="{address}">{title} as {form}</a>')
    return f'```{{raw}} html\n<p class="downloads">{" · ".join(links)}</p>\n```'


def write_listing(
    name: str,
    caption: str,
    rows: Iterable[Iterable[str]],
    facts: Iterable[dict],
    title: str = "This table",
    kind: str = "",
) -> str:
    """Return a MyST table that sorts under its caption, and links that hold it as CSV and LaTeX.

    Parameters
    ----------
    name : of the files, without an ending
    caption : what the table holds, without a number; signs may be numbers, as of `foreign.quote`
    rows : of cells: the heads, their alignments (``:--`` or ``--:``), then the others
    facts : the same as rows of CSV
    title : what a link calls the table
    kind : a class for its style
    """
    rows = [list(row) for row in rows]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    shown = f"```{{table}}\n:class: {f'{kind} sortable'.strip()}\n:align: left\n\n{table}\n```"
    files = {"csv": write_csv(facts), "tex": write_latex(name, html.unescape(caption), rows)}
    return f"[{caption}.]{{.caption}}\n\n{shown}\n\n{offer(name, title, **files)}"


def write_csv(rows: Iterable[dict]) -> str:
    """Return rows, which all have the columns of the first, as CSV.

    Text that a spreadsheet would take for a formula is set in a leading apostrophe.
    """
    first, *others = rows
    file = io.StringIO()
    writer = csv.DictWriter(file, list(first), lineterminator="\n")
    writer.writeheader()
    for row in [first, *others]:
        writer.writerow({column: _disarm(value) for column, value in row.items()})
    return file.getvalue()


def print_number(value: float, digits: int) -> str:
    """Return a number as its page prints it, nothing for one that is not known."""
    return "" if math.isnan(value) else f"{value:z.{digits}f}"


def print_floor_numbers(floor, digits: int) -> dict[str, str]:
    """Return the columns of a noise floor: its mean and its 95 % quantile; None has none."""
    values = (floor.mean, floor.high) if floor else (math.nan, math.nan)
    names = ("noise_floor", "noise_floor_95")
    return {name: print_number(value, digits) for name, value in zip(names, values, strict=True)}


def _disarm(value):
    return f"'{value}" if re.match(r"[=@\t\r]|[+-](?![\d.])", str(value)) else value
