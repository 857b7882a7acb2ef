"""Tables 1-8 to take away: as Markdown, CSV and LaTeX, with the numbers that the pages print."""

from collections.abc import Iterator
from itertools import zip_longest
from urllib.parse import quote

import numpy as np
import pandas as pd
from IPython.display import Markdown

from helpers import InputError

from .source import describe_seeds
from .tables import CAPTIONS, print_head, print_spread, summarise, write_table, write_title

#: What the page offers: format to file ending, media type and name.
DOWNLOADS = {"csv": ("csv", "text/csv", "CSV"), "latex": ("tex", "application/x-tex", "LaTeX")}

#: What LaTeX reads otherwise, and signs that not every font of it has.
LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "±": r"$\pm$",
    "−": r"$-$",
    "σ": r"$\sigma$",
    "–": "--",
}


def show_table(number: int) -> Markdown:
    """Return one of the paper's tables as MyST, and under it links that hold it as files."""
    links = " · ".join(
        f'<a download="table-{number}.{ending}"'
        f' href="data:{kind};charset=utf-8,{quote(export_table(number, name))}">'
        f"Table {number} as {title}</a>"
        for name, (ending, kind, title) in DOWNLOADS.items()
    )
    downloads = f'```{{raw}} html\n<p class="downloads">{links}</p>\n```'
    return Markdown(f"{write_table(number)}\n\n{downloads}")


def export_table(number: int, format: str) -> str:
    """Return one of the paper's tables as the text of a file.

    Parameters
    ----------
    number : 1 to 8
    format : ``md``, ``csv`` (a row a cell, with all that the page's table holds) or ``latex``
        (a float with booktabs' rules)

    Raises
    ------
    InputError : for another number or format, and where there are no records to read
    """
    if number not in CAPTIONS:
        raise InputError(f"table: there is no {number}; there are 1 to {len(CAPTIONS)}")
    writers = {"md": _write_markdown, "csv": _write_csv, "latex": _write_latex}
    if format not in writers:
        raise InputError(f"format: there is no {format!r}; there are {', '.join(writers)}")
    return writers[format](number)


def _write_csv(number: int) -> str:
    cells = summarise().query("table == @number")
    floors = [cell.floor for cell in cells.itertuples()]
    numbers = {name: cells[name] for name in ("mean", "deviation", "low", "high")}
    numbers["noise_floor"] = [floor.mean if floor else np.nan for floor in floors]
    numbers["noise_floor_95"] = [floor.high if floor else np.nan for floor in floors]
    numbers["paper"] = cells["value"]
    columns = {"model": cells["row"], "column": cells["column"]}
    for name, values in numbers.items():
        columns[name] = [_print(*pair) for pair in zip(values, cells.digits, strict=True)]
    columns |= {"best": cells.best, "paper_bold": cells.bold, "verdict": cells.verdict}
    return pd.DataFrame(columns).to_csv(index=False, lineterminator="\n")


def _print(value: float, digits: int) -> str:
    return "" if np.isnan(value) else f"{value:.{digits}f}"


def _write_markdown(number: int) -> str:
    rows = _lay_out(number, bold="**{}**".format, paper=" ({})".format)
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, f"|:--|{'--:|' * (len(rows[0]) - 1)}")
    return "\n".join([f"Table {number}: {_write_caption(number)}", "", *lines, ""])


def _write_latex(number: int) -> str:
    small = "\n{{\\footnotesize({})}}".format
    rows = _lay_out(number, bold=r"\textbf{{{}}}".format, paper=small, text=_escape)
    head, *body = [line for row in rows for line in _break(row)]
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"  \centering\small",
            f"  \\caption{{{_escape(_write_caption(number))}}}",
            f"  \\label{{tab:{number}}}",
            f"  \\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}",
            r"    \toprule",
            head,
            r"    \midrule",
            *body,
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _break(row: list[str]) -> Iterator[str]:
    """Give the lines of a row: below the measured values the paper's, so that a page is wide
    enough.
    """
    for line in zip_longest(*(cell.split("\n") for cell in row), fillvalue=""):
        yield f"    {' & '.join(line)} \\\\"


def _lay_out(number: int, bold, paper, text=str) -> list[list[str]]:
    """Return the head and the rows of a table: mean ± deviation, and the paper's value.

    Parameters
    ----------
    bold, paper : mark up text that is escaped already
    text : escapes
    """
    cells = summarise().query("table == @number")
    rows = [[text(head) for head in ("Model", *map(print_head, cells.column.unique()))]]
    for row, group in cells.groupby("row", sort=False):
        rows.append([text(row)])
        for cell in group.itertuples():
            printed = print_spread(cell.mean, cell.deviation, cell.digits)
            value = _print(cell.value, cell.digits)
            measured = bold(text(printed)) if cell.best else text(printed)
            rows[-1].append(measured + paper(bold(value) if cell.bold else value))
    return rows


def _write_caption(number: int) -> str:
    dataset = summarise().query("table == @number").dataset.iloc[0]
    return (
        f"{write_title(number)}. Mean ± standard deviation over {describe_seeds(dataset)};"
        " in brackets the paper's value; best in bold."
    )


def _escape(text: str) -> str:
    return text.translate(str.maketrans(LATEX))
