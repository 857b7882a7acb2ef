"""The pages' contrasts, scores, temperatures and diagrams against numbers from the logits."""

import re
import shutil

import numpy as np
import pytest
from scipy.special import softmax

import made_up
from helpers import metrics, report
from helpers.report import contrasts, scores
from helpers.report.cells import read_predictions, sample
from helpers.report.contrasts import Contrast, compare
from helpers.runs.record import read_records


@pytest.fixture
def results(tmp_path, monkeypatch):
    made_up.write_records(tmp_path, "made_up")
    made_up.show(monkeypatch, tmp_path, "made_up")
    return tmp_path


def score_clean(record, definition, temperature=1.0):
    """Return a calibration error of the clean test images at a temperature, from scratch."""
    arrays = record.predictions
    probabilities = softmax(arrays["logits"][0].astype(float) / temperature, axis=1)
    right = probabilities.argmax(axis=1) == arrays["labels"]
    return metrics.CALIBRATION_SCORES[definition](probabilities.max(axis=1), right)


def test_a_contrast_is_paired_by_seed(results):
    table = compare("pets", [Contrast("accuracy_percent", "Supervised", "No Pretraining")])
    later, earlier = (
        {r.seed: 100 * r.metrics.accuracy[0] for r in read_records(results, name)}
        for name in ("pets_supervised", "pets_scratch")
    )
    differences = [later[seed] - earlier[seed] for seed in (0, 1, 2)]
    clean = table[table.column == "Clean"].iloc[0]
    assert clean["mean"] == pytest.approx(np.mean(differences))
    assert clean.low < clean["mean"] < clean.high


def test_contrasts_are_of_the_seeds_that_both_arms_have(results):
    made_up.write_run(results, "made_up", "pets_scratch", 7)
    table = compare("pets", [Contrast("accuracy_percent", "Supervised", "No Pretraining")])
    common = sample("pets", "accuracy_percent", "Supervised", "Clean")
    assert common.seeds == (0, 1, 2)
    assert len(table) == 3


def test_arms_without_a_seed_in_common_are_not_compared(results):
    for seed in (0, 1, 2):
        shutil.rmtree(results / "pets_scratch" / f"seed-{seed}")
    made_up.write_run(results, "made_up", "pets_scratch", 7)
    table = compare("pets", contrasts.list_contrasts("pets"))
    known = table[table["mean"].notna()]
    assert {contrast.subtrahend for contrast in known.contrast} == {"Supervised"}
    assert known.adjusted.notna().all()
    assert report.show_contrasts("pets").data.count("no seed in common") == 2 * 2 * 3


def test_p_values_are_adjusted_over_the_table(results):
    table = compare("pathmnist", contrasts.list_contrasts("pathmnist"))
    assert len(table) == 2 * 3 * 3
    np.testing.assert_allclose(table.adjusted, metrics.holm(table.p_value))
    text = report.show_contrasts("pathmnist").data
    assert text.count("\\*") == (table.adjusted < 0.05).sum()


def test_equal_arms_do_not_differ(results):
    same = Contrast("accuracy_percent", "Basic", "Basic")
    table = compare("pathmnist", [same])
    assert (table["mean"] == 0).all()
    assert (table.adjusted == 1).all()


@pytest.mark.parametrize("dataset", ["pathmnist", "pets"])
def test_every_score_of_every_arm_is_shown(results, dataset):
    table = scores.summarise_scores(dataset)
    assert len(table) == 3 * 3 * len(scores.LABELS)
    record = read_records(results, "pets_scratch")[0].predictions
    assert list(scores.LABELS) == list(metrics.describe(record["logits"][0], record["labels"]))
    assert table["mean"].notna().all()
    for cell in table.itertuples():
        assert (cell.floor is not None) == (cell.score in metrics.CALIBRATION_SCORES)
    text = report.show_scores(dataset).data
    assert all(label in text for label in scores.LABELS.values())


def test_a_score_is_that_of_the_logits(results):
    name = "maximum_calibration_error_15"
    table = scores.summarise_scores("pathmnist").set_index(["row", "column", "score"])
    values = [score_clean(record, name) for record in read_records(results, "pathmnist_basic")]
    cell = table.loc[("Basic", "Clean", name)]
    assert cell["mean"] == pytest.approx(np.mean(values))
    assert cell.deviation == pytest.approx(np.std(values, ddof=1))


def test_a_calibrated_arm_is_marked(results):
    """Outcomes drawn from the very confidences lie within the floor; turned round, they do not."""
    generator = np.random.default_rng(0)
    confidence = generator.uniform(0.2, 0.95, 2000)
    calibrated = generator.random(2000) < confidence
    floor = metrics.noise_floor(confidence)
    marks = [
        "as calibrated"
        in report.tables.print_floor(metrics.rms_calibration_error(confidence, outcome), floor, 3)
        for outcome in (calibrated, ~calibrated)
    ]
    assert marks == [True, False]


def test_the_temperature_comes_from_validation_and_acts_on_the_test_set(results):
    name = "rms_calibration_error_10"
    for record in read_records(results, "pathmnist_mixup"):
        arrays = record.predictions
        fitted = metrics.fit_temperature(arrays["validation_logits"], arrays["validation_labels"])
        assert fitted in read_predictions("pathmnist_mixup").temperatures
        own = sample("pathmnist", "rms_calibration_error", "MixUp + Aug", "Clean", tempered=True)
        place = own.seeds.index(record.seed)
        assert own.values[place] == pytest.approx(score_clean(record, name, fitted))
    accuracy = [
        sample("pathmnist", "accuracy_percent", "MixUp + Aug", "Brightness", tempered).values
        for tempered in (False, True)
    ]
    np.testing.assert_array_equal(*accuracy)


def test_temperatures_are_shown_with_what_they_do(results):
    text = report.show_temperatures("pathmnist").data
    mean = np.mean(read_predictions("pathmnist_basic").temperatures)
    after = sample("pathmnist", "rms_calibration_error", "Basic", "Clean", tempered=True)
    assert f"| Basic | [{mean:.2f} ±" in text
    assert f"[at T {after.values.mean():.3f} ±" in text
    assert text.count("[floor ") == 2 * 3 * 3
    assert (
        report.show_beyond_temperature("pathmnist").data.count("− Basic at its temperature |") == 4
    )


def read_texts(picture):
    return re.findall(r'aria-label="([^"]*)"', "".join(picture.panels))


def test_figures_tell_their_numbers_in_words(results):
    texts = read_texts(report.show_reliability("pathmnist"))
    assert len(texts) == 9
    assert all(re.search(r": 0\.\d{3} (over|under)-confident on average", text) for text in texts)
    clean = sample("pathmnist", "accuracy_percent", "Basic", "f=1.2").values.mean()
    assert f"Basic ends at {clean:.3g}" in read_texts(report.show_strengths("pathmnist"))[0]
    assert len(read_texts(report.plot_temperatures("pets"))) == 3
    error = 100 - sample("pets", "accuracy_percent", "Supervised", "Clean").values.mean()
    assert f"{error:.1f} % at full coverage" in read_texts(report.show_risk_coverage("pets"))[0]


def test_deferral_is_the_error_of_the_most_confident(results):
    text = report.show_deferral("pets").data
    rates = []
    for record in read_records(results, "pets_supervised"):
        logits, labels = record.predictions["logits"][0].astype(float), record.predictions["labels"]
        order = np.argsort(-softmax(logits, axis=1).max(axis=1), kind="stable")
        wrong = (logits.argmax(axis=1) != labels)[order]
        rates.append([wrong.mean(), wrong[: round(0.8 * len(wrong))].mean()])
    full, kept = 100 * np.mean(rates, axis=0)
    (line,) = [line for line in text.splitlines() if line.startswith("- clean: ")]
    assert f"Supervised from {full:.1f} to {kept:.1f} %" in line


def test_what_beats_a_temperature_is_counted_from_the_table(results):
    text = report.show_beyond_temperature("pathmnist").data
    for row in ("MixUp + Aug", "MixUp + Aug + PT"):
        (told,) = [line for line in text.splitlines() if line.startswith(f"- {row}: ")]
        counts = [int(number) for number in re.findall(r"(?:lower|higher) in (\d)", told)]
        for own, pair in ((False, counts[:2]), (True, counts[2:])):
            mark = " at its temperature" if own else ""
            label = f"| {row}{mark} − Basic at its temperature |"
            (line,) = [line for line in text.splitlines() if line.startswith(label)]
            starred = re.findall(r"\*\*([+−])[\d.]+\*\*", line)
            assert pair == [starred.count("−"), starred.count("+")]


def test_panels_to_compare_share_an_axis(results):
    def read_axis(panel):
        return re.findall(r'text-anchor: end[^>]* y="([^"]+)"[^>]*>([^<]+)</text>', panel)

    strengths = [read_axis(panel) for panel in report.show_strengths("pets").panels[1:]]
    assert strengths[0] == strengths[1]
    assert strengths[2] == strengths[3]
    assert strengths[0] != strengths[2]
    for show in (report.plot_temperatures, report.show_risk_coverage):
        first, *others = (read_axis(panel) for panel in show("pets").panels[1:])
        assert len(first) > 2
        assert others == [first, first]


def test_one_seed_is_enough_for_every_page(tmp_path, monkeypatch):
    made_up.write_records(tmp_path, "made_up", seeds=[4])
    made_up.show(monkeypatch, tmp_path, "made_up")
    for show in (report.show_scores, report.show_temperatures, report.show_contrasts):
        assert "nan" not in show("pets").data
    for show in (report.show_contrasts, report.show_beyond_temperature):  # nothing is significant
        text = show("pets").data
        assert text.count(", one seed]{.interval}") == text.count("{.interval}") >= 12
        assert "p =" not in text
        assert "**" not in text
    for plot in (report.show_reliability, report.show_strengths, report.plot_temperatures):
        assert not [text for text in read_texts(plot("pets")) if "nan" in text]
