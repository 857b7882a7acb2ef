"""Cells and verdicts, from made-up records."""

import re

import numpy as np
import pytest

import made_up
from helpers import metrics, report
from helpers.report import cells, paper, tables
from helpers.report.verdicts import MEANINGS, SIGNS, judge, why_withheld
from helpers.runs.record import read_record, read_records, run_folder, write_record

BASIC = 82.3  # the paper's clean accuracy of Basic


@pytest.fixture
def results(tmp_path, monkeypatch):
    made_up.write_records(tmp_path, "paper", official=True)
    made_up.show(monkeypatch, tmp_path, "paper")
    return tmp_path


def set_basic(results, accuracies):
    """Make the runs of Basic anew, a seed an accuracy."""
    for record in read_records(results, "pathmnist_basic"):
        for path in record.folder.iterdir():
            path.unlink()
        record.folder.rmdir()
    for seed, right in enumerate(accuracies):
        made_up.write_run(results, "paper", "pathmnist_basic", seed, official=True, right=right)


def read_basic():
    return tables.summarise().query("row == 'Basic' and column == 'Clean' and table == 1").iloc[0]


@pytest.mark.parametrize(
    ("accuracies", "word"),
    [
        ([0.82, 0.823, 0.827], "inside"),
        ([0.913, 0.943, 0.973], "near"),
        ([0.94, 0.943, 0.947], "off"),
        ([0.943], "cannot tell"),
        ([0.823], "cannot tell"),
    ],
)
def test_every_verdict_can_appear(results, accuracies, word):
    set_basic(results, accuracies)
    cell = read_basic()
    assert cell.verdict == word
    assert cell.distance == pytest.approx(
        100 * np.mean(np.round(np.multiply(accuracies, 300))) / 300 - BASIC
    )
    shown = f"[{SIGNS[word]} {word} ({cell.distance:+.1f})]{{.verdict}}".replace("-", "−")
    assert shown in report.show_table(1).data.split("| MixUp + Aug |")[0]
    assert word in MEANINGS
    counted = report.show_summary().data.split("cells**: PathMNIST: ")[1].split("Oxford")[0]
    number = (tables.summarise().query("dataset == 'pathmnist'").verdict == word).sum()
    assert f"{SIGNS[word]} {number} {word}" in counted
    assert ("With one seed" in report.show_reading("pathmnist").data) == (len(accuracies) == 1)


def test_agreement_counts_columns(results):
    cells = tables.summarise().query("dataset == 'pets'")
    same = {(c.table, c.column) for c in cells.itertuples() if c.best and c.paper_best}
    text = report.show_summary().data
    assert text.count("\n") == 3  # more lines would not fit into the overview's one screen
    assert f"the best row is the paper's in {len(same)} of 14 columns. {{ref}}" in text


def test_a_verdict_says_by_how_much(results):
    set_basic(results, [0.94, 0.943, 0.947])
    assert "[✗ off (+12.0)]{.verdict}" in report.show_table(1).data


def test_a_cell_of_unmeasured_strengths_is_not_told(results):
    for record in read_records(results, "pathmnist_basic"):
        arrays = dict(record.predictions)
        arrays["strength"] = np.where(arrays["strength"] == 0.3, 4.0, arrays["strength"])
        names = ("history.csv", "metrics.csv", "examples.npz")
        contents = {name: (record.folder / name).read_bytes() for name in names}
        write_record(
            record.folder, record.run, contents | {"predictions.npz": made_up._pack(arrays)}
        )
    measured = tables.summarise().query("row == 'Basic'").set_index("column")["mean"]
    absent = set(measured[measured.isna()].index)
    assert absent == {"sigma=0.3", "Gaussian Blur"}
    table = report.show_table(4).data
    assert "not measured [82.5]{.paper} [? cannot tell]{.verdict}" in table
    assert "nan" not in table + report.show_table(1).data + report.show_scores("pathmnist").data
    assert "not measured" in report.show_scores("pathmnist").data
    assert "not measured" in report.show_contrasts("pathmnist").data
    assert "not measured" in report.show_temperatures("pathmnist").data
    findings = report.show_findings("pathmnist").data
    assert "nan" not in findings
    assert (
        "lost to blur** (mean over its strengths, before rounding). Here: Basic: not measured;"
        in findings
    )
    known = findings.split("lost to blur")[1].split("In the")[0]
    others = re.findall(r"(?:Aug|PT): ([\d.]+)", known)
    assert f"blur {min(others)[:4]} to {max(others)[:4]} (" in report.show_summary().data
    assert re.search(r"blur, (none|MixUp)", findings)  # of the others
    plots = (
        report.show_reliability,
        report.show_strengths,
        report.plot_temperatures,
        report.show_risk_coverage,
    )
    for plot in plots:
        texts = re.findall(r'aria-label="([^"]*)"', "".join(plot("pathmnist").panels))
        assert len(texts) >= 3
        assert not [text for text in texts if "nan" in text]


def test_verdict_takes_the_paper_s_rounding_into_account():
    measured = metrics.Sample((0, 1), np.array([50.04, 50.04]), np.zeros((2, 10), np.float32))
    assert judge(measured, 50.0, 1).word == "inside"  # 50.04 is printed as 50.0
    assert judge(measured, 49.9, 1).word == "off"
    assert judge(None, 50.0, 1).word == "cannot tell"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data": {"official": False}}, "the data are a part of PathMNIST, not PathMNIST"),
        ({"weights": {"official": False}}, "some networks started from stand-in weights"),
        ({"parameters": {"weight_decay": 0.1}}, "parameters differ from the study's (`weight_"),
    ],
)
def test_verdicts_are_withheld_with_the_reason(results, change, reason):
    assert why_withheld("pathmnist") == []
    for experiment in ("pathmnist_basic", "pathmnist_mixup", "pathmnist_pretrained"):
        for record in read_records(results, experiment):
            run = record.run | {key: record.run[key] | value for key, value in change.items()}
            contents = {name: (record.folder / name).read_bytes() for name in record.run["files"]}
            write_record(record.folder, run, contents)
    cells.shown_records.cache_clear()
    (why,) = why_withheld("pathmnist")
    assert why.startswith(reason)
    assert "withheld" in report.show_reading("pathmnist").data
    assert (
        f"84 cells**: PathMNIST: no verdict, since {why}; Oxford-IIIT Pets: ✓"
        in report.show_summary().data
    )
    shown = tables.summarise().groupby("dataset").verdict.unique()
    assert list(shown["pathmnist"]) == ["withheld"]
    assert "withheld" not in shown["pets"]
    assert "{.verdict}" not in report.show_table(1).data


def test_another_profile_withholds(results, monkeypatch):
    made_up.show(monkeypatch, results, "mine")
    assert why_withheld("pets") == ["the profile is `mine`, not `paper`"]


def test_a_sample_is_the_mean_of_the_scores_of_its_conditions(results):
    measured = cells.sample("pets", "rms_calibration_error", "Supervised", "Brightness")
    for seed, value in zip(measured.seeds, measured.values, strict=True):
        scores = read_record(run_folder(results, "pets_supervised", seed)).metrics
        mean = scores.rms_calibration_error[scores.corruption == "brightness"].mean()
        assert value == pytest.approx(mean, abs=1e-12)


def test_no_interval_reaches_beyond_what_its_metric_can_be(results):
    set_basic(results, [0.99, 0.9, 1.0])
    found = cells.estimate("pathmnist", "accuracy_percent", "Basic", "Clean")
    raw = cells.sample("pathmnist", "accuracy_percent", "Basic", "Clean").estimate()
    assert raw.high > 100 == found.high
    assert (found.low, found.mean) == (raw.low, raw.mean)
    cell = read_basic()
    assert (cell.low, cell.high) == (found.low, 100)


def test_strengths_begin_or_pass_where_nothing_happens():
    assert paper.list_strengths("pathmnist", "blur")[0] == (0.0, "Clean")
    assert [strength for strength, _ in paper.list_strengths("pets", "brightness")] == [
        0.6,
        0.8,
        1.0,
        1.2,
        1.4,
    ]
