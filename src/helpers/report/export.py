"""Tables 1-8 to take away: as Markdown, CSV and LaTeX, with the numbers that the pages print."""

from collections.abc import Iterator
from itertools import zip_longest

from IPython.display import Markdown

from helpers import InputError

from .downloads import offer, print_floor_numbers, print_number, write_csv
from .source import describe_seeds
from .tables import CAPTIONS, print_head, print_spread, summarise, write_table, write_title

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
        row = {"model": cell.row, "column": cell.column}
        for name in ("mean", "deviation", "low", "high"):
            row[name] = print_number(getattr(cell, name), cell.digits)
        row |= print_floor_numbers(cell.floor, cell.digits)
        row["paper"] = print_number(cell.value, cell.digits)
        rows.append(row | {"best": cell.best, "paper_bold": cell.bold, "verdict": cell.verdict})
    return write_csv(rows)


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
            value = print_number(cell.value, cell.digits)
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
