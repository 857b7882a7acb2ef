"""Tables 1-8 to take away: as Markdown, CSV and LaTeX, with the numbers that the pages print."""

import html

from IPython.display import Markdown

from helpers import InputError

from .downloads import offer, print_floor_numbers, print_number, write_csv
from .latex import write_latex
from .source import describe_spread
from .tables import CAPTIONS, print_head, print_spread, summarise, write_table, write_title


def show_table(number: int) -> Markdown:
    """Return one of the paper's tables as MyST, and under it links that hold it as files."""
    files = {"csv": export_table(number, "csv"), "tex": export_table(number, "latex")}
    downloads = offer(f"table-{number}", f"Table {number}", **files)
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
    rows = []
    for cell in cells.itertuples():
        row = {"table": number, "model": cell.row, "column": cell.column}
        for name in ("mean", "deviation", "low", "high"):
            row[name] = print_number(getattr(cell, name), cell.digits)
        row |= print_floor_numbers(cell.floor, cell.digits)
        row["paper"] = print_number(cell.value, cell.digits)
        rows.append(row | {"best": cell.best, "paper_bold": cell.bold, "verdict": cell.verdict})
    return write_csv(rows)


def _write_markdown(number: int) -> str:
    lines = [f"| {' | '.join(row)} |" for row in _lay_out(number, " ({})")]
    return "\n".join([f"Table {number}: {_write_caption(number)}", "", *lines, ""])


def _write_latex(number: int) -> str:
    return write_latex(f"{number}", _write_caption(number), _lay_out(number, " [({})]{{.paper}}"))


def _lay_out(number: int, paper: str) -> list[list[str]]:
    """Return the rows of a table in Markdown: mean ± deviation, and the paper's value.

    Parameters
    ----------
    paper : how the latter stands behind the former
    """
    cells = summarise().query("table == @number")
    heads = ["Model", *map(print_head, cells.column.unique())]
    rows = [heads, [":--", *["--:"] * (len(heads) - 1)]]
    for row, group in cells.groupby("row", sort=False):
        rows.append([row])
        for cell in group.itertuples():
            printed = print_spread(cell.mean, cell.deviation, cell.digits)
            value = print_number(cell.value, cell.digits)
            measured = f"**{printed}**" if cell.best else printed
            rows[-1].append(measured + paper.format(f"**{value}**" if cell.bold else value))
    return rows


def _write_caption(number: int) -> str:
    """Return what a table holds, without the numbers that stand for signs on a page."""
    dataset = summarise().query("table == @number").dataset.iloc[0]
    return html.unescape(
        f"{write_title(number)}. Each cell: {describe_spread(dataset)};"
        " in brackets the paper's value; best in bold."
    )
