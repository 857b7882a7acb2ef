"""The overview: its numbers are those of the tables, and every cell is in the picture."""

import re

import pytest

import made_up
from helpers import report
from helpers.report import tables
from helpers.report.assessment import judge_claims


@pytest.fixture
def results(tmp_path, monkeypatch):
    made_up.write_records(tmp_path, "made_up", seeds=[0, 1])
    made_up.show(monkeypatch, tmp_path, "made_up")
    return tmp_path


def test_the_overview_holds_what_the_tables_hold(results):
    cells = tables.summarise().set_index(["table", "row", "column"])
    rows = re.findall(r"^\| (\w.*?) \|(.*)\|$", report.show_overview().data, re.M)
    found = {
        row: re.findall(r"(\S+) \[(\S+)\]", text.replace("**", ""))
        for row, text in rows
        if ".paper" in text
    }
    assert len(found) == 6
    for row, values in found.items():
        table = 1 if "Aug" in row or row == "Basic" else 5
        clean = cells.loc[(table, row, "Clean")]
        shifted = cells.loc[(table, row, "Gaussian Blur")]
        assert values[0] == (f"{clean['mean']:.1f}", f"{clean['value']:.1f}")
        lost = [
            f"{clean[name] - shifted[name]:.1f}".replace("-", "−") for name in ("mean", "value")
        ]
        assert values[2] == tuple(lost)
        errors = [cells.loc[(table + 1, row, c)] for c in ("Clean", "Brightness", "Gaussian Blur")]
        assert values[3:] == [(f"{error['mean']:.3f}", f"{error['value']:.3f}") for error in errors]


def test_the_best_of_the_overview_are_those_of_the_tables(results):
    cells = tables.summarise().set_index(["table", "row", "column"]).best
    lines = report.show_overview().data.splitlines()
    for line in [line for line in lines if ".paper" in line]:
        row, clean, _, _, *errors = line.strip("| ").split(" | ")
        table = 1 if "Aug" in row or row == "Basic" else 5
        assert clean.startswith("**") == cells.loc[table, row, "Clean"]
        for shown, column in zip(errors, ("Clean", "Brightness", "Gaussian Blur"), strict=True):
            assert shown.startswith("**") == cells.loc[table + 1, row, column]


def test_the_summary_counts_the_claims(results):
    text = report.show_summary().data
    (line,) = re.findall(
        r"^- {doc}`The paper's statements </claims>`, in (\d+) readings\. .*$", text, re.M
    )
    assert int(line) == len(judge_claims())
    assert text.endswith("The runs stand in for the study.")
    for place, which in enumerate(("the paper's own numbers", "these runs"), 1):
        (counts,) = re.findall(rf"By {which}: ([^.]+)\.", text)
        for word in ("holds", "fails", "cannot tell"):
            number = sum(judged[place].word == word for judged in judge_claims())
            assert f"{word} {number}" in counts


def test_the_summary_says_what_corruption_costs(results):
    rows = report.show_overview().data.split("**Oxford")[0].splitlines()
    cells = [row.strip("| ").replace("**", "").split(" | ") for row in rows if ".paper" in row]
    costs = []
    for place in (2, 3):
        here, paper = zip(
            *(re.findall(r"[−.\d]+", cells[i][place])[:2] for i in range(3)), strict=True
        )
        order = [sorted(v, key=lambda n: float(n.replace("−", "-"))) for v in (here, paper)]
        costs += [f"{values[0]} to {values[-1]}" for values in order]
    brightness, its_paper, blur, blur_paper = costs
    expected = (
        f"- **PathMNIST**. Brightness costs {brightness} points of accuracy (paper: {its_paper}),"
        f" blur {blur} ({blur_paper}). "
    )
    assert report.show_summary().data.startswith(expected)


def test_the_picture_holds_all_cells(results):
    texts = re.findall(r'aria-label="([^"]+)"', report.show_cells()._repr_html_())
    assert sum(int(re.search(r"(\d+) cells", text)[1]) for text in texts) == 84


def test_the_build_is_named_in_a_line(results):
    line = report.show_made_from().data
    assert "profile `made_up`" in line
    assert "2 seeds (0, 1)" in line
    assert "in place of PathMNIST" in line
