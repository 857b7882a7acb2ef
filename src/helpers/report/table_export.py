"""Tables of a page: sortable MyST with a link that saves the numbers as CSV."""

import csv
import io
import math
import re
from collections.abc import Iterable
from urllib.parse import quote

#: File ending to media type and name in links.
FORMATS = {"csv": ("text/csv", "CSV"), "tex": ("application/x-tex", "LaTeX")}


def render_table(
    name: str,
    caption: str,
    rows: Iterable[Iterable[str]],
    data: Iterable[dict],
    kind: str = "",
) -> str:
    """Return a sortable MyST table below its caption, and a link that saves it as CSV.

    Parameters
    ----------
    name : file name of the CSV, without ending
    caption : content of the table, in Markdown, without a full stop
    rows : cells in Markdown: the heads, their alignments (``:--`` or ``--:``), then the others
    data : the same as rows of the CSV
    kind : CSS class
    """
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    shown = f"```{{table}}\n:class: {f'{kind} sortable'.strip()}\n:align: left\n\n{table}\n```"
    links = link_files(name, "This table", csv=write_csv(data))
    return f"[{caption}.]{{.caption}}\n\n{shown}\n\n{links}"


def link_files(name: str, title: str, **files: str) -> str:
    """Return links, as MyST, that save texts as files.

    Parameters
    ----------
    name : file name, without ending
    title : of the links, such as ``Table 1``
    files : ending (a key of `FORMATS`) to text
    """
    links = []
    for ending, text in files.items():
        kind, form = FORMATS[ending]
        address = f"data:{kind};charset=utf-8,{quote(text)}"
        links.append(f'<a download="{name}.{ending}" href="{address}">{title} as {form}</a>')
    return f'```{{raw}} html\n<p class="downloads">{" · ".join(links)}</p>\n```'


def write_csv(rows: Iterable[dict]) -> str:
    """Return rows with the columns of the first one as CSV, empty for no rows.

    Text that a spreadsheet would take for a formula gets a leading apostrophe.
    """
    rows = list(rows)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
    if rows:
        writer.writeheader()
    for row in rows:
        writer.writerow({column: _disarm(value) for column, value in row.items()})
    return file.getvalue()


def print_number(value: float, digits: int) -> str:
    """Return a number as its page prints it, empty for NaN."""
    return "" if math.isnan(value) else f"{value:z.{digits}f}"


def _disarm(value):
    return f"'{value}" if re.match(r"[=@\t\r]|[+-](?![\d.])", str(value)) else value
