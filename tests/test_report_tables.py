"""Tables and sentences against numbers recomputed from the made-up logits."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

import made_up
from helpers import metrics, report
from helpers.report import tables
from helpers.report.contrasts import compare, list_contrasts
from helpers.report.paper import read_reference
from helpers.report.source import ARMS
from helpers.runs.record import read_records


@pytest.fixture
def results(tmp_path, monkeypatch):
    made_up.write_records(tmp_path, "made_up")
    made_up.show(monkeypatch, tmp_path, "made_up")
    return tmp_path


def recompute(results, experiment, metric, column):
    """Return the mean and deviation of a cell straight from the logits, in the paper's units."""
    scale = 100 if metric == "accuracy_percent" else 1
    chosen = {
        "Clean": [0],
        "Brightness": [1, 2, 3, 4],
        "Gaussian Blur": [5, 6, 7, 8],
    }
    values = []
    for record in read_records(results, experiment):
        arrays = record.predictions
        places = chosen.get(column)
        if places is None:
            shift, strength = column.split("=")
            name = {"f": "brightness", "sigma": "blur"}[shift]
            same = (arrays["corruption"] == name) & (arrays["strength"] == float(strength))
            places = np.flatnonzero(same)
        labels = arrays["labels"]
        scores = [score(metric, arrays["logits"][place], labels) for place in places]
        values.append(scale * np.mean(scores))
    return np.mean(values), np.std(values, ddof=1)


def score(metric, logits, labels):
    correct = metrics.correct(logits, labels)
    if metric == "accuracy_percent":
        return correct.mean()
    return metrics.rms_calibration_error(metrics.confidence(logits), correct)


def test_reference_holds_the_papers_cells():
    cells = read_reference()
    assert len(cells) == 84
    assert cells.groupby("table").size().tolist() == [9, 9, 12, 12, 9, 9, 12, 12]
    assert cells.bold.sum() == 3 + 3 + 4 + 4 + 3 + 3 + 0 + 4


def test_cells_equal_what_the_logits_give(results):
    experiments = {row: name for arms in ARMS.values() for name, row in arms.items()}
    for cell in tables.summarise().itertuples():
        mean, deviation = recompute(results, experiments[cell.row], cell.metric, cell.column)
        assert cell.mean == pytest.approx(mean, abs=1e-9)
        assert cell.deviation == pytest.approx(deviation, abs=1e-9)
        assert 0 <= cell.low < mean < cell.high <= 100
        text = f"{mean:.{cell.digits}f} ± {deviation:.{cell.digits}f}"
        assert text in report.show_table(cell.table).data


def test_best_is_highest_accuracy_and_lowest_error(results):
    cells = tables.summarise()
    for (_, metric, _), column in cells.groupby(["table", "metric", "column"]):
        accuracy = metric == "accuracy_percent"
        best = column["mean"].idxmax() if accuracy else column["mean"].idxmin()
        assert column.best[best]
        printed = column["mean"].round(1 if accuracy else 3)
        assert set(printed[column.best]) == {printed[best]}


def test_the_papers_best_is_what_it_prints_in_bold(results):
    cells = tables.summarise().query("table != 7")  # the paper's Table 7 has no bold
    assert (cells.bold == cells.paper_best).all()


def test_one_seed_has_no_deviation(tmp_path, monkeypatch):
    made_up.write_records(tmp_path, "made_up", seeds=[4])
    made_up.show(monkeypatch, tmp_path, "made_up")
    table = report.show_table(1).data
    assert "Each cell: 1 seed (4)" in table
    assert "±" not in table.split("\n\n")[1]


@pytest.mark.parametrize("dataset", ["pathmnist", "pets"])
def test_sentences_hold_the_tables_numbers(results, dataset):
    differences = compare(dataset, list_contrasts(dataset))
    clear = differences[differences.adjusted < 0.05]
    assert 1 < len(clear) <= len(differences) == 18
    text = report.show_findings(dataset).data
    assert f"Of 18 differences between models, {len(clear)} are clear (p < 0.05)." in text
    told = text.splitlines()[0]
    for row in clear.itertuples():
        digits = 1 if row.contrast.metric == "accuracy_percent" else 3
        size = f"{row.mean:+.{digits}f}".replace("-", "−")
        sizes = [part.split(";")[0] for part in told.split(f" {row.contrast.label} ")[1:]]
        assert any(size in part for part in sizes), (row.contrast.label, size)
    accuracy = clear[[contrast.metric == "accuracy_percent" for contrast in clear.contrast]]
    largest = f" by {accuracy['mean'].abs().max():.1f} points ("
    assert largest in report.show_summary().data
    errors = tables.summarise().query(f"dataset == '{dataset}' and column == 'Clean'")
    errors = errors[errors.metric == "rms_calibration_error"]
    calibrated = [c.row for c in errors.itertuples() if c.floor.covers(c.mean)]
    assert f"(◦): clean, {' and '.join(calibrated) or 'none'};" in text


def test_a_run_shows_its_own_scores(results):
    (first, *_) = read_records(results, "pets_scratch")
    floors = {"noise_floor": 0.0512, "noise_floor_95": first.metrics.rms_calibration_error.median()}
    first.__dict__["metrics"] = measured = first.metrics.assign(**floors)
    title, _, _, _, *lines = report.show_metrics(first).data.splitlines()
    assert title == f"*Seed {first.seed} on creatures.*"
    assert lines[0].startswith(f"| clean |  | {100 * measured.accuracy[0]:.1f} | ")
    within = measured.rms_calibration_error <= measured.noise_floor_95
    assert set(within) == {True, False}
    for line, row, mark in zip(lines[1:], measured[1:].itertuples(), within[1:], strict=True):
        assert f"| {row.corruption} | {row.strength:g} | {100 * row.accuracy:.1f} | " in line
        error = f"{row.rms_calibration_error:.3f}{chr(160) + '◦' if mark else ''}"
        assert f"| {error} | 0.051\xa0({row.noise_floor_95:.3f}) |" in line
    first.__dict__["metrics"] = measured.assign(variant="lr=[0.1|0.2]")
    _, _, heads, *others = report.show_metrics(first).data.splitlines()
    assert heads.startswith("| Variant | Corruption |")
    assert all(line.count("|") == heads.count("|") for line in others)  # its bar is no column


def test_one_seed_says_nothing_about_chance(results):
    for seed in (1, 2):
        shutil.rmtree(results / f"pets_barlow_twins/seed-{seed}")
    text = "Of 18 differences between models, 6 are clear (p < 0.05), 12 cannot be told."
    assert text in report.show_findings("pets").data
    assert "cannot be told from chance" in report.show_beyond_temperature("pets").data
    for name in made_up.EXPERIMENTS:
        for seed in (1, 2):
            shutil.rmtree(results / name / f"seed-{seed}", ignore_errors=True)
    tables.shown_records.cache_clear()
    for value in vars(sys.modules["helpers.report.cells"]).values():
        getattr(value, "cache_clear", lambda: None)()
    tables.summarise.cache_clear()
    for text in (report.show_findings("pets").data, report.show_summary().data):
        assert "None of 18 differences between models can be told from chance: that takes" in text
        assert "the largest" not in text


def test_seeds_may_differ_between_arms(results):
    made_up.write_run(results, "made_up", "pets_scratch", 7)
    assert "4 seeds (0, 1, 2, 7) for No Pretraining, 3 seeds (0–2) for" in report.show_table(5).data


def test_the_overview_names_what_differs_from_the_study(results):
    (row,) = [line for line in report.show_build().data.split("\n") if "than in the notebooks" in line]
    assert "`epochs = 5`" in row
    assert "image_size" not in row  # as in the notebooks


def test_import_stays_light():
    code = "import sys, helpers.report; assert not {'torch', 'seaborn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
