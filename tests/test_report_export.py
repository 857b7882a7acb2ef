"""The tables as files: the numbers of the pages, in three formats."""

import io
import re
from urllib.parse import unquote

import pandas as pd
import pytest

import made_up
from helpers import InputError, report
from helpers.report import tables
from helpers.report.export import export_table


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    made_up.write_records(results, "made_up")
    return results


@pytest.fixture
def results(records, monkeypatch):
    made_up.show(monkeypatch, records, "made_up")


def find_page(number):
    """Return mean, deviation, whether best, the paper's value, its bold: of each cell as shown."""
    cell = (
        r"(\**)(\d+\.\d+) ± (\d+\.\d+)\** \[[^]]*\]\{\.interval\}.*?\[(\**)([\d.]+)\**\]\{\.paper\}"
    )
    found = re.findall(cell, tables.write_table(number))
    return [
        (mean, spread, bool(best), paper, bool(bold)) for best, mean, spread, bold, paper in found
    ]


def find_csv(number):
    table = pd.read_csv(io.StringIO(export_table(number, "csv")), dtype=str)
    names = ["mean", "deviation", "best", "paper", "paper_bold"]
    rows = table[names].itertuples(index=False, name=None)
    return [(a, b, best == "True", c, bold == "True") for a, b, best, c, bold in rows]


def find_markdown(number):
    cell = r"\| (\**)([\d.]+) ± ([\d.]+)\** \((\**)([\d.]+)\**\) (?=\|)"
    found = re.findall(cell, export_table(number, "md"))
    return [
        (mean, spread, bool(best), paper, bool(bold)) for best, mean, spread, bold, paper in found
    ]


def find_latex(number):
    text = export_table(number, "latex")  # below a line of measured values one of the paper's
    measured = re.findall(r"& (\\textbf\{)?([\d.]+) \$\\pm\$ ([\d.]+)\}?(?= &| \\\\)", text)
    paper = re.findall(r"& \{\\footnotesize\((\\textbf\{)?([\d.]+)\}?\)\}(?= &| \\\\)", text)
    return [
        (mean, spread, bool(best), value, bool(bold))
        for (best, mean, spread), (bold, value) in zip(measured, paper, strict=True)
    ]


def test_all_formats_hold_the_numbers_of_the_page(results):
    for number in range(1, 9):
        page = find_page(number)
        assert len(page) == len(tables.summarise().query("table == @number"))
        assert find_csv(number) == page
        assert find_markdown(number) == page
        assert find_latex(number) == page


def test_csv_holds_intervals_and_floors(results):
    first = pd.read_csv(io.StringIO(export_table(2, "csv")), dtype=str).iloc[0]
    page = tables.write_table(2)
    assert f"[{first.low} to {first.high}]{{.interval}}" in page
    assert f"[floor {first.noise_floor} (to {first.noise_floor_95})]{{.floor}}" in page
    assert pd.read_csv(io.StringIO(export_table(1, "csv"))).noise_floor.isna().all()


def test_one_seed_and_what_was_not_measured(tmp_path, monkeypatch):
    monkeypatch.setitem(made_up.FACTORS, "pets", (0.6, 0.8, 1.2, 1.5))
    made_up.write_records(tmp_path, "made_up", seeds=[4])
    made_up.show(monkeypatch, tmp_path, "made_up")
    table = pd.read_csv(io.StringIO(export_table(7, "csv")))
    absent = table["column"] == "f=1.4"
    assert table["mean"].isna().tolist() == absent.tolist()
    assert table.deviation.isna().all()
    assert not table.best[absent].any()
    for name in ("md", "latex"):
        text = export_table(7, name)
        assert text.count("not measured") == 3
        assert "nan" not in text


def test_latex_escapes_what_comes_from_outside(results, monkeypatch):
    monkeypatch.setattr(tables, "describe_data", lambda dataset: r"50 % of a_b & {c}\d~^#$")
    text = export_table(1, "latex")
    escaped = r"50 \% of a\_b \& \{c\}\textbackslash{}d\textasciitilde{}\textasciicircum{}\#\$"
    assert escaped in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(f"\\{rule}\n") == 1
    columns = len(re.search(r"\\begin\{tabular\}\{l(r+)\}", text)[1])
    lines = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert [len(re.findall(r"(?<!\\)&", line)) for line in lines] == [columns] * 7


@pytest.mark.parametrize(
    ("arguments", "named"), [((9, "csv"), "table: there is no 9"), ((1, "xls"), "md, csv, latex")]
)
def test_a_wrong_request_names_what_there_is(arguments, named):
    with pytest.raises(InputError, match=named):
        export_table(*arguments)


def test_links_under_a_table_hold_the_files(results):
    links = re.findall(r'download="([^"]+)" href="data:[^,]+,([^"]+)"', report.show_table(3).data)
    assert {name: unquote(text) for name, text in links} == {
        "table-3.csv": export_table(3, "csv"),
        "table-3.tex": export_table(3, "latex"),
    }
