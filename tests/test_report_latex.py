"""Tables for LaTeX: what is converted from a page's cells, and what a page offers."""

import re
from collections import Counter
from urllib.parse import unquote

import pytest

import made_up
from helpers import report
from helpers.report.foreign import quote, quote_code
from helpers.report.latex import write_latex

SHOWN = {
    "pathmnist": ("show_scores", "show_contrasts", "show_temperatures", "show_beyond_temperature"),
    None: ("show_claims", "show_runs", "show_data", "show_beyond", "show_survival"),
}


def convert(*cells):
    """Return the lines of a row of a table as lists of cells."""
    text = write_latex("x", "what", [["head"] * len(cells), [":--"] * len(cells), cells])
    body = text.split("\\midrule\n")[1].split("    \\bottomrule")[0]
    return [line[4:].removesuffix(" \\\\").split(" & ") for line in body.splitlines()]


@pytest.mark.parametrize(
    ("cell", "latex"),
    [
        ("50 % of a_b #1", r"50 \% of a\_b \#1"),
        ("Anna&#39;s &#38; Bo&#34;s", r"""Anna's \& Bo"s"""),
        (quote(r"{c}\d~^$"), r"\{c\}\textbackslash{}d\textasciitilde{}\textasciicircum{}\$"),
        (quote("[x]{.paper} <b>*y*"), r"{[}x{]}\{.paper\} $<$b$>${*}y{*}"),
        (quote("&amp;"), r"\&amp;"),
        ("−1.0 ± 0.2 → σ", r"$-$1.0 $\pm$ 0.2 $\to$ $\sigma$"),
        ("**97.1 ± 0.2** \\*", r"\textbf{97.1 $\pm$ 0.2} {*}"),
        ("*all **but** one*", r"\emph{all \textbf{but} one}"),
        ("`head_lr` 1 → 2", r"\texttt{head\_lr} 1 $\to$ 2"),
        (quote_code("a`b|c\\*d*"), r"\texttt{a\textasciigrave{}b$|$c\textbackslash{}{*}d{*}}"),
        ("{doc}`fog_basic </runs/fog_basic>`", r"fog\_basic"),
        ("{download}`1 </runs/x-seed-1.ipynb>`", "1"),
        ("", ""),
    ],
)
def test_a_cell_reads_in_latex_as_on_the_page(cell, latex):
    assert convert(cell, "next") == [[latex, "next"]]


def test_what_has_a_class_stands_below_in_small_letters():
    cells = "**1.2** [0.9 to *1.5*]{.interval} [**1.3**]{.paper}", "[as trained 0.1]{.line} 2"
    assert convert("MixUp", *cells) == [
        ["MixUp", r"\textbf{1.2}", "{as trained 0.1}"],
        ["", r"{\footnotesize 0.9 to \emph{1.5}}", "2"],
        ["", r"{\footnotesize \textbf{1.3}}", ""],
    ]


def test_no_row_is_taken_for_an_argument_of_the_line_before():
    for text in ("[1em]", "*"):
        ((cell, _),) = convert(quote(text), "x")
        assert cell[0] == "{"


def test_long_text_is_broken_and_long_tables_too():
    rows = [["head", "number"], [":--", "--:"], *[["a long text " * 9, "1"]] * 99]
    text = write_latex("x", "what", rows)
    assert r"\begin{longtable}{p{0.3\linewidth}r}" in text
    assert text.count("head & number") == 2
    check(text)
    assert r"\begin{tabular}{lr}" in write_latex("x", "what", [*rows[:2], ["short", "1"]])


def test_a_table_wider_than_a_page_lies_on_its_side():
    rows = ["head"] * 8, ["--:"] * 8, ["**1.000** \\* [0.900]{.line}"] * 8
    text = write_latex("x", "what", rows)
    needs, first, *_ = text.splitlines()
    assert needs == r"% needs \usepackage{booktabs,longtable,pdflscape}"
    assert first == r"\begin{landscape}"
    check(text)
    assert "landscape" not in write_latex("x", "what", [cells[:7] for cells in rows])


@pytest.mark.parametrize(("name", "needs"), [("Größe σ ✓", False), ("наши", True)])
def test_letters_that_pdflatex_does_not_know_are_told(name, needs):
    text = write_latex("x", name, [["head"], [":--"], ["cell"]])
    assert ("LuaLaTeX" in text.splitlines()[0]) == needs


def read_lines(text):
    """Return the lines of the table's rows."""
    return [line for line in text.splitlines() if line.endswith("\\\\") and "\\caption" not in line]


def check(text):
    """Check that braces and environments close, and that all lines have as many cells."""
    bare = re.sub(r"\\[{}&]", "", text)
    depth = 0
    for sign in re.findall("[{}]", bare):
        depth += 1 if sign == "{" else -1
        assert depth >= 0
    assert depth == 0
    ends = re.findall(r"\\(begin|end)\{(\w+)\}", text)
    assert Counter(name for kind, name in ends if kind == "begin") == Counter(
        name for kind, name in ends if kind == "end"
    )
    (columns,) = re.findall(r"\\begin\{(?:tabular|longtable)\}\{(.*)\}\n", bare)
    count = len(re.sub(r"p\{[^}]*\}", "l", columns))
    assert {line.count("&") for line in read_lines(bare)} == {count - 1}
    assert not re.search(r"(?<!\\)[%#_]", bare.split("\n", 1)[1])  # the first line is a comment


def read_numbers(text):
    return Counter(re.findall(r"(?<![\d.])\d+\.\d+", text))


@pytest.mark.parametrize("hostile", [False, True])
def test_every_table_can_be_taken_away_with_the_numbers_of_the_page(hostile, tmp_path, monkeypatch):
    made_up.write_records(tmp_path, "made_up")
    made_up.write_other(tmp_path, "fog_basic")
    if hostile:
        made_up.make_hostile(tmp_path, "/home/zaphod")
    made_up.show(monkeypatch, tmp_path, "made_up")
    for dataset, names in SHOWN.items():
        for name in names:
            shown = getattr(report, name)(*[dataset] if dataset else []).data
            (offered,) = re.findall(r'\.tex" href="data:[^,]+,([^"]+)"', shown)
            text, page = unquote(offered), shown.split("```{raw}")[0]
            check(text)
            lines = read_lines(text)
            if not hostile:
                page = "\n".join(line for line in page.splitlines() if line.startswith("|"))
                assert read_numbers("\n".join(lines)) == read_numbers(page)
            assert "&#" not in text
            assert "{." not in text


def test_columns_that_break_share_what_a_wide_table_leaves():
    short, long = ["x" * 10] * 6, ["many words of it " * 5] * 2
    text = write_latex("t", "A table", [["Head"] * 8, [":--"] * 8, [*short, *long]])
    shares = [float(share) for share in re.findall(r"p{([.\d]+)\\linewidth}", text)]
    assert len(shares) == 2
    assert shares[0] == shares[1]
    assert 0.15 < shares[0] < 0.5 - 6 * 10 / 2 / 150  # a line on its side has fewer than 150
    assert "landscape" in text
