"""Tables for LaTeX: from the Markdown of their cells to booktabs' rules."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest
from string import Template

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.attrs import attrs_plugin
from mdit_py_plugins.myst_role import myst_role_plugin

#: What LaTeX reads otherwise, and signs that not every font of it has. A row that began with a
#: bracket or a star would be taken for an argument of the line break before it.
LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{sign: f"{{{sign}}}" for sign in "[]*"},
    **{sign: f"${sign}$" for sign in "<>|"},
    "±": r"$\pm$",
    "−": r"$-$",
    "→": r"$\to$",
    "×": r"$\times$",
    "σ": r"$\sigma$",
    "◦": r"$\circ$",
    "✓": r"$\surd$",
    "✗": r"$\times$",
    "–": "--",
    "…": r"\dots{}",
    "“": "``",
    "”": "''",
}

#: Part of Markdown to LaTeX; a part with a class stands in a line of its own.
MARKS = {
    "strong_open": r"\textbf{",
    "em_open": r"\emph{",
    "span_open": r"{\footnotesize ",
    **dict.fromkeys(("strong_close", "em_close", "span_close"), "}"),
}

HEAD = """    \\toprule
$head
    \\midrule
"""

FLOAT = Template(rf"""% needs \usepackage{{booktabs}}
\begin{{table}}
  \centering\small
  \caption{{$caption}}
  \label{{tab:$name}}
  \begin{{tabular}}{{$columns}}
{HEAD}$body
    \bottomrule
  \end{{tabular}}
\end{{table}}
""")

#: For a table that is longer than a page.
LONG = Template(rf"""% needs \usepackage{{booktabs,longtable}}
{{\small
  \begin{{longtable}}{{$columns}}
    \caption{{$caption}}\label{{tab:$name}} \\
{HEAD}    \endfirsthead
{HEAD}    \endhead
$body
    \bottomrule
  \end{{longtable}}
}}
""")

#: For one that is wider: one small print, narrow margins of columns.
SMALLER = r"\scriptsize\renewcommand{\footnotesize}{\scriptsize}\setlength{\tabcolsep}{3pt}"

WIDE = Template(
    LONG.template.replace("longtable}", "longtable,pdflscape}\n\\begin{landscape}", 1).replace(
        r"\small", SMALLER
    )
    + "\\end{landscape}\n"
)

#: Lines that fit a page though some are broken, and letters of a line that need not be, upright
#: and in a wide table.
PAGE, LINE, LINE_WIDE = 20, 40, 24

#: Letters across a page of LaTeX's article, upright and on its side, and those that a column's
#: margins take.
ACROSS, MARGINS = 75, 3
SIDEWAYS, NARROW = 130, 2

PARSER = MarkdownIt("commonmark").use(attrs_plugin, spans=True).use(myst_role_plugin)


def write_latex(name: str, caption: str, rows: Iterable[Iterable[str]]) -> str:
    """Return a table as LaTeX: a float; on more than one page if long, on its side if wide.

    Parameters
    ----------
    name : of the label
    caption : without markup
    rows : of cells in Markdown: the heads, their alignments (``:--`` or ``--:``), then the others
    """
    heads, alignments, *others = rows
    cells = [[_convert(cell) for cell in row] for row in (heads, *others)]
    widths = [max(map(_count_letters, chain(*column))) for column in zip(*cells, strict=True)]
    head, *lines = (line for row in cells for line in _break(row))
    across = sum(min(width, LINE) + MARGINS for width in widths)
    form = WIDE if across > ACROSS else LONG if len(lines) > PAGE else FLOAT
    columns = _choose_columns(alignments, widths, form is WIDE)
    parts = {"head": head, "body": "\n".join(lines), "columns": columns}
    text = form.substitute(parts, name=name, caption=_escape(caption))
    if re.search(r"[^\x00-\u017f]", text):  # a name in letters that pdfLaTeX does not know
        return text.replace("\n", ", and LuaLaTeX or XeLaTeX with a font that has all letters\n", 1)
    return text


def _convert(cell: str) -> list[str]:
    """Return the lines of a cell."""
    lines = [""]
    for token in PARSER.parseInline(cell.replace("\\|", "|"))[0].children:
        if token.type == "span_open":
            lines.append("")
        lines[-1] += _write(token)
        if token.type == "span_close":
            lines.append("")
    return [line.strip() for line in lines if line.strip()] or [""]


def _write(token: Token) -> str:
    if token.type == "span_open" and token.attrs["class"] == "line":
        return "{"
    if token.type == "myst_role":
        return _escape(re.sub(r" <[^>]*>$", "", token.content))
    text = _escape(token.content)
    return rf"\texttt{{{text}}}" if token.type == "code_inline" else MARKS.get(token.type, text)


def _count_letters(line: str) -> int:
    """Return how many letters of a line are seen."""
    return len(re.sub(r"\\[a-z]+ ?|[\\{}$]", "", line))


def _choose_columns(alignments: Iterable[str], widths: list[int], wide: bool) -> str:
    """Return the kinds of columns; in a wide table those that break share what the others leave."""
    longest = LINE_WIDE if wide else LINE
    breaks = [a != "--:" and width > longest for a, width in zip(alignments, widths, strict=True)]
    fixed = sum(0 if b else width for b, width in zip(breaks, widths, strict=True))
    rest = 1 - (fixed + NARROW * len(widths)) / SIDEWAYS
    kinds = []
    for alignment, width, broken in zip(alignments, widths, breaks, strict=True):
        share = 0.3
        if wide and broken:
            share = min(max(rest / sum(breaks), 0.12), (width + NARROW) / SIDEWAYS)
        kinds.append(
            rf"p{{{share:.2g}\linewidth}}" if broken else "r" if alignment == "--:" else "l"
        )
    return "".join(kinds)


def _break(row: list[list[str]]) -> Iterator[str]:
    """Give the lines of a row, so that a page is wide enough: below the value what explains it."""
    for line in zip_longest(*row, fillvalue=""):
        yield f"    {' & '.join(line)} \\\\"


def _escape(text: str) -> str:
    return text.translate(str.maketrans(LATEX))
