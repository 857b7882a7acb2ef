"""Tables of a page: sortable MyST, with a link that saves the numbers as CSV."""

import re
from collections.abc import Iterable
from urllib.parse import quote

import pandas as pd

#: File ending to media type and name in links.
FORMATS = {"csv": ("text/csv", "CSV"), "tex": ("application/x-tex", "LaTeX")}


def render_table(
    name: str, caption: str, rows: list[list[str]], data, kind: str = "", left: int = 1
) -> str:
    """Return a sortable MyST table below its caption, and a link that saves `data` as CSV."""
    options = f":class: {f'{kind} sortable'.strip()}\n:align: left"
    shown = f"```{{table}}\n{options}\n\n{write_markdown(rows, left)}\n```"
    links = link_files(name, "This table", csv=write_csv(data))
    return f"[{caption}.]{{.caption}}\n\n{shown}\n\n{links}"


def write_markdown(rows: list[list[str]], left: int = 1) -> str:
    """Return a Markdown table of a header and rows of cells; a short row ends in empty cells.

    The first columns, `left` in number, are left-aligned, the others right-aligned.
    """
    heads, *body = rows
    lines = [heads, [":--" if place < left else "--:" for place in range(len(heads))]]
    lines += [[*row, *[""] * (len(heads) - len(row))] for row in body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def link_files(name: str, title: str, **files: str) -> str:
    """Return MyST links that save texts as files, by ending (a key of `FORMATS`)."""
    links = []
    for ending, text in files.items():
        kind, form = FORMATS[ending]
        address = f"data:{kind};charset=utf-8,{quote(text)}"
        links.append(f'<a download="{name}.{ending}" href="{address}">{title} as {form}</a>')
    return f'```{{raw}} html\n<p class="downloads">{" · ".join(links)}</p>\n```'


def write_csv(rows: Iterable[dict] | pd.DataFrame) -> str:
    """Return rows as CSV; text that a spreadsheet would read as a formula gets an apostrophe."""
    table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    return table.map(_disarm).to_csv(index=False, float_format="%.6g")


def _disarm(value):
    return f"'{value}" if re.match(r"[=@\t\r]|[+-](?![\d.])", str(value)) else value
