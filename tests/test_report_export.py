"""The tables as files: the numbers of the pages, in three formats."""

import io
import json
import re
from urllib.parse import unquote

import pandas as pd
import pytest

import made_up
from helpers import InputError, report
from helpers.report import downloads, tables
from helpers.report.export import export_table
from helpers.runs.integrity import sum_up


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
    paper = re.findall(r"& \{\\footnotesize \((\\textbf\{)?([\d.]+)\}?\)\}(?= &| \\\\)", text)
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


def test_captions_say_which_way_is_better(results):
    for number in range(1, 9):
        better = "lower is better" if number in (2, 6) else "higher is better"
        for text in (
            tables.write_table(number),
            *(export_table(number, f) for f in ("md", "latex")),
        ):
            assert better in text.splitlines()[0] or better in text.split("caption{")[1]


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


def rename_data(results, name):
    """Let the runs of PathMNIST be of a data set with this name."""
    for path in results.glob("pathmnist_*/seed-*/run.json"):
        run = json.loads(path.read_text())
        run["data"]["name"] = name
        path.write_text(json.dumps(run | {"checksum": sum_up(run)}))


def test_files_name_own_data_as_they_are_named(tmp_path, monkeypatch):
    made_up.write_records(tmp_path, "made_up")
    rename_data(tmp_path, "Anna's set #2 &lt;")
    made_up.show(monkeypatch, tmp_path, "made_up")
    for number in range(1, 5):
        assert "on Anna's set #2 &lt; (in place of" in export_table(number, "md")
        assert r"on Anna's set \#2 \&lt; (in place of" in export_table(number, "latex")
    for shown in (report.show_scores("pathmnist"), report.show_data()):
        *_, offered = re.findall(r'href="data:[^,]+,([^"]+)"', shown.data)
        assert r"Anna's set \#2 \&lt;" in unquote(offered)
    assert "Anna's set #2 &lt;" in read_offered(report.show_data())[0].data[0]


def test_latex_escapes_what_comes_from_outside(tmp_path, monkeypatch):
    made_up.write_records(tmp_path, "made_up")
    rename_data(tmp_path, r"50 % of a_b & {c}\d~^#$")
    made_up.show(monkeypatch, tmp_path, "made_up")
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


def read_offered(markdown):
    """Return the CSV offered under a table, and the table, its minus signs as a file's."""
    (link,) = re.findall(r'download="[^"]+\.csv" href="data:text/csv[^,]+,([^"]+)"', markdown.data)
    table = pd.read_csv(io.StringIO(unquote(link)), dtype=str, keep_default_na=False)
    return table, markdown.data.split("```{raw}")[0].replace("−", "-")


@pytest.mark.parametrize("show", [report.show_contrasts, report.show_beyond_temperature])
def test_differences_can_be_taken_away(results, show):
    table, page = read_offered(show("pathmnist"))
    found = re.findall(r"([+-][\d.]+)\** (?:\\\* )?\[([+-][\d.]+) to ([+-][\d.]+), p", page)
    assert len(found) == len(table) == (18 if show is report.show_contrasts else 12)
    numbers = [tuple(map(float, cell)) for cell in found]
    assert list(table[["mean", "low", "high"]].astype(float).itertuples(index=False)) == numbers
    assert all(f"| {label} |".replace("−", "-") in page for label in table.difference)


def test_scores_can_be_taken_away(results):
    table, page = read_offered(report.show_scores("pets"))
    for row in table.itertuples():
        floor = f"floor {row.noise_floor} (to {row.noise_floor_95})" if row.noise_floor else ""
        sign = "+" if row.score == "Signed gap" and float(row.mean) >= 0 else ""
        assert f" {sign}{row.mean} ± {row.deviation} {'[' * bool(floor)}{floor}" in page
    assert len(table) == page.split("```")[1].count(" ± ") == 3 * 3 * 12


def test_temperatures_can_be_taken_away(results):
    table, page = read_offered(report.show_temperatures("pets"))
    assert len(table) == 3 * 3 * 2
    for row in table.itertuples():
        assert f"| {row.model} | [{row.T} ± {row.T_deviation}]{{.line}} |" in page
        floor = f"[floor {row.noise_floor} (to {row.noise_floor_95})]"
        assert f"[{row.logits} {row.mean} ± {row.deviation}]{{.line}} {floor}" in page


def test_claims_can_be_taken_away(results):
    table, page = read_offered(report.show_claims())
    lines = re.findall(r"^\| (?!The paper states|:--)(.*) \|$", page, re.M)
    assert len(lines) == len(table)
    for line, row in zip(lines, table.fillna("").itertuples(), strict=True):
        statement, *cells = line.split(" | ")
        assert statement.startswith(row.statement)
        for cell, name in zip(cells, ("paper", "runs"), strict=True):
            value, low, case = (getattr(row, f"{name}_{part}") for part in ("value", "low", "case"))
            assert f"{getattr(row, name)}]{{.verdict}} {value}" in cell
            assert case in cell
            assert (f"[{low} to " in cell) == bool(low)


def test_runs_can_be_taken_away(results):
    table, page = read_offered(report.show_runs())
    assert len(table) == page.count("\n| ") - 2
    assert list(table.seed[:3]) == ["0", "1", "2"]
    assert set(table.experiment) == set(made_up.EXPERIMENTS)


def test_what_else_was_measured_can_be_taken_away(results, tmp_path, monkeypatch):
    made_up.write_records(tmp_path, "made_up")
    made_up.write_other(tmp_path, "fog_basic")
    made_up.show(monkeypatch, tmp_path, "made_up")
    table, page = read_offered(report.show_beyond())
    assert set(table.experiment) == {"fog_basic"}
    for row in table.itertuples():
        scores = f"| {row.accuracy_percent} | {row.rms_calibration_error} |"  # of one seed
        assert f"| {row.corruption} | {row.strengths} | {row.seeds} {scores}" in page


def test_data_and_faults_can_be_taken_away(results):
    table, page = read_offered(report.show_data())
    for row in table.itertuples():
        assert f"| {row.experiments} | {row.data} | {row.classes} | {int(row.train):,} |" in page
    table, page = read_offered(report.show_survival())
    assert len(table) == page.count("\n| ") - 2
    for row in table.itertuples():
        assert f"| {row.fault} | {row.tried} | {row.survived} |" in page
        assert f"at commit `{row.commit}` on {row.date}" in report.show_survival().data


def test_no_spreadsheet_obeys_a_text():
    rows = [{"name": text} for text in ("=1+1", "@a", "-x", "-1.5", "+0.2", "a=b")]
    lines = downloads.write_csv(rows).splitlines()
    assert lines == ["name", "'=1+1", "'@a", "'-x", "-1.5", "+0.2", "a=b"]


def test_links_under_a_table_hold_the_files(results):
    links = re.findall(r'download="([^"]+)" href="data:[^,]+,([^"]+)"', report.show_table(3).data)
    assert {name: unquote(text) for name, text in links} == {
        "table-3.csv": export_table(3, "csv"),
        "table-3.tex": export_table(3, "latex"),
    }
