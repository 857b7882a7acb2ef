"""The two tidy tables: cells worked by hand, differences, noise floors, and their cache."""

import shutil

import numpy as np
import pandas as pd
import pytest

import made_up
from helpers import metrics
from helpers.report import tidy as module
from helpers.report.records import shown_records
from helpers.report.tidy import (
    RMS,
    TEMPERED,
    differences,
    estimates,
    find_difference,
    find_estimate,
    read_predictions,
)

BASIC, MIXUP = ("pathmnist", "Basic"), ("pathmnist", "MixUp + Aug")
PAIR = (*MIXUP, "Basic")


def test_a_cell_worked_by_hand(tmp_path, show):
    for seed, right in enumerate((0.5, 0.6, 0.7)):
        made_up.write_run(tmp_path, "made_up", "pathmnist_basic", seed, right=right)
    show(tmp_path)
    for shift in ("clean", "brightness", "blur"):
        row = find_estimate("pathmnist", "Basic", "accuracy", shift)
        assert (row["seeds"], row["n_seeds"]) == ("0 1 2", 3)
        assert row["mean"] == pytest.approx(0.6)
        assert row["sd"] == pytest.approx(0.1)
        assert row["low"] + row["high"] == pytest.approx(1.2)
        assert row["low"] < 0.6 - 3 * 0.1 / 3**0.5
        half = 4.303 * 0.1 * (1 + 1 / 3) ** 0.5
        assert row["predicted_high"] == pytest.approx(0.6 + half, abs=1e-3)
    lost = find_estimate("pathmnist", "Basic", "accuracy_lost", "blur")
    assert (lost["mean"], lost["paper"]) == (pytest.approx(0), pytest.approx(0.148))
    # Confidence is e^3 / (e^3 + 8) for every image: one bin, whose gap is known.
    gap = np.exp(3) / (np.exp(3) + 8) - 0.6
    error = find_estimate("pathmnist", "Basic", RMS)["mean"]
    assert error == pytest.approx((abs(gap + 0.1) + abs(gap) + abs(gap - 0.1)) / 3, abs=1e-6)


def test_means_scores_and_floors_are_those_of_the_metrics(drawn, show):
    show(drawn)
    (first, *_) = records = shown_records("pets")["Supervised"]
    arrays = first.predictions
    place = arrays["corruption"].tolist().index("blur") + 2
    found = [
        metrics.Outcome(record.predictions["logits"][place], arrays["labels"]) for record in records
    ]
    for name, metric in metrics.METRICS.items():
        row = find_estimate("pets", "Supervised", name, "blur", 0.7)
        assert row["mean"] == pytest.approx(np.mean([metric.measure(each)[0] for each in found]))
    tables = [r.metrics.query("corruption == 'blur'")["rms_calibration_error"] for r in records]
    row = find_estimate("pets", "Supervised", RMS, "blur")
    assert row["mean"] == pytest.approx(np.mean(tables))
    clean, blurred, lost = (
        find_estimate("pets", "Supervised", *place)["mean"]
        for place in (("accuracy",), ("accuracy", "blur"), ("accuracy_lost", "blur"))
    )
    assert lost == pytest.approx(clean - blurred)
    assert lost > 0.05
    confidence = read_predictions("pets", "Supervised").confidence
    floor = metrics.noise_floor(confidence[:, 5:9].reshape(-1, made_up.IMAGES))
    assert (row["noise_floor"], row["noise_floor_95"]) == pytest.approx(floor)
    assert np.isnan(find_estimate("pets", "Supervised", "accuracy", "blur")["noise_floor"])


def test_temperatures(drawn, show):
    show(drawn)
    temperatures, errors = [], []
    for record in shown_records("pets")["Supervised"]:
        run = record.predictions
        temperatures.append(
            metrics.fit_temperature(run["validation_logits"], run["validation_labels"])
        )
        warm = metrics.Outcome(run["logits"][0] / np.float64(temperatures[-1]), run["labels"])
        errors.append(metrics.rms_calibration_error(warm.confidence, warm.correct))
    row = find_estimate("pets", "Supervised", TEMPERED)
    assert row["mean"] == pytest.approx(np.mean(errors))
    assert row["noise_floor"] > 0
    row = find_estimate("pets", "Supervised", "temperature")
    assert (row["mean"], row["n_seeds"]) == (pytest.approx(np.mean(temperatures)), 3)


def test_differences_are_paired_and_their_p_is_the_intervals(drawn, show):
    show(drawn)
    table = differences()
    row = find_difference(*PAIR, "accuracy", "blur", 0.5)
    parts = [find_estimate(*arm, "accuracy", "blur", 0.5)["mean"] for arm in (MIXUP, BASIC)]
    assert row["mean"] == pytest.approx(parts[0] - parts[1])
    reverse = find_difference(*BASIC, MIXUP[1], "accuracy", "blur", 0.5)
    assert (reverse["mean"], reverse["low"]) == (-row["mean"], -row["high"])
    tested = table[table["p"].notna() & (table["low"] != table["high"])]
    excludes = (tested["low"] > 0) | (tested["high"] < 0)
    assert ((tested["p"] < 0.05) == excludes).all()
    assert excludes.sum() > 20


def test_holm_covers_the_family_of_one_table(drawn, show):
    show(drawn)
    table = differences()
    whole = table[table["strength"].isna() & (table["dataset"] == "pathmnist")]
    same = whole["metric"] == whole["other_metric"]
    family = whole[same & whole["metric"].isin(["accuracy", RMS])]
    assert len(family) == 3 * 2 * 3  # pairs, metrics, columns
    np.testing.assert_allclose(family["p_holm"], metrics.holm(family["p"].to_numpy()))
    assert family["p_holm"].gt(family["p"]).any()
    tempered = whole[(whole["other_metric"] == TEMPERED) & (whole["other"] == "Basic")]
    assert tempered["p_holm"].notna().all()
    assert len(tempered) == 2 * 2 * 3
    assert table[table["strength"].notna()]["p_holm"].isna().all()


def test_one_seed_has_an_interval_and_no_p(tmp_path, show):
    for experiment in ("pathmnist_basic", "pathmnist_mixup"):
        made_up.write_run(tmp_path, "made_up", experiment, 3)
    show(tmp_path)
    row = find_estimate(*BASIC, "accuracy")
    assert np.isnan(row["sd"])
    assert row["low"] < row["mean"] < row["high"]
    row = find_difference(*PAIR, "accuracy")
    assert row["n_seeds"] == 1
    assert np.isnan(row["p"])


def test_seeds_that_differ_between_arms_are_paired_by_those_in_common(tmp_path, show):
    for experiment, seeds in (("pathmnist_basic", (0, 1, 2)), ("pathmnist_mixup", (2, 1, 7))):
        for seed in seeds:
            made_up.write_run(tmp_path, "made_up", experiment, seed)
    made_up.write_run(tmp_path, "made_up", "pathmnist_pretrained", 9)
    show(tmp_path)
    assert find_difference(*PAIR, "accuracy")["n_seeds"] == 2
    other = "MixUp + Aug + PT"
    assert find_difference(*BASIC, other, "accuracy")["n_seeds"] == 0


def test_other_shifts_are_averaged_over_the_strengths_in_common(tmp_path, show):
    shifts = {"brightness": (0.8, 0.9), "fog": (1, 2, 3)}
    made_up.write_run(tmp_path, "made_up", "pathmnist_basic", 0, shifts=shifts)
    shifts = {"brightness": made_up.SHIFTS["pathmnist"]["brightness"], "fog": (2, 3, 4)}
    made_up.write_run(tmp_path, "made_up", "pathmnist_mixup", 0, shifts=shifts)
    show(tmp_path)
    # The paper's mean needs its four strengths; that of fog is over 2 and 3.
    assert find_estimate(*BASIC, "accuracy", "brightness")["n_seeds"] == 0
    assert find_estimate(*MIXUP, "accuracy", "brightness")["n_seeds"] == 1
    parts = [find_estimate(*BASIC, "accuracy", "fog", strength)["mean"] for strength in (2.0, 3.0)]
    assert find_estimate(*BASIC, "accuracy", "fog")["mean"] == pytest.approx(np.mean(parts))
    assert find_difference(*PAIR, "accuracy", "fog")["n_seeds"] == 1
    assert find_difference(*PAIR, "accuracy", "blur")["n_seeds"] == 0


def test_only_the_paper_has_a_value_without_runs(tmp_path, show):
    show(tmp_path)
    table = estimates()
    assert (table["n_seeds"] == 0).all()
    assert table["mean"].isna().all()
    accuracy = table[table["metric"].isin(["accuracy", RMS])]
    assert len(accuracy) == 84
    assert find_estimate(*BASIC, "early_accuracy", "training")["paper"] == pytest.approx(
        0.8578, abs=1e-4
    )
    assert differences().empty


def test_a_record_without_history_validation_or_predictions(tmp_path, show):
    def spoil(arrays):
        return {name: array for name, array in arrays.items() if "validation" not in name}

    names = dict(zip(made_up.EXPERIMENTS, ({}, {}, {"spoil": spoil}), strict=False))
    names["pathmnist_basic"], names["pathmnist_mixup"] = (
        {"leave_out": [name]} for name in ("history.csv", "predictions.npz")
    )
    for experiment, options in names.items():
        for seed in (0, 1):
            made_up.write_run(tmp_path, "made_up", experiment, seed, **options)
    show(tmp_path)
    assert find_estimate(*BASIC, "accuracy")["n_seeds"] == 2
    assert find_estimate(*BASIC, "early_accuracy", "training")["n_seeds"] == 0
    assert find_estimate(*MIXUP, "accuracy")["n_seeds"] == 0
    assert find_estimate(*MIXUP, "early_accuracy", "training")["n_seeds"] == 2
    assert find_estimate("pathmnist", "MixUp + Aug + PT", "temperature")["n_seeds"] == 0
    assert find_estimate("pathmnist", "MixUp + Aug + PT", "accuracy")["n_seeds"] == 2


def test_the_tables_are_kept_until_a_record_changes(tmp_path, drawn, show, tidy, monkeypatch):
    folder = tmp_path / "records"
    shutil.copytree(drawn / "pathmnist_basic", folder / "pathmnist_basic")
    show(folder)
    first = estimates()
    assert len(list(tidy.glob("estimates-*.csv"))) == 1
    made_up.forget()
    with monkeypatch.context() as patch:
        patch.setattr(module, "_compute", lambda: pytest.fail("computed again"))
        pd.testing.assert_frame_equal(estimates(), first)
    shutil.rmtree(folder / "pathmnist_basic/seed-2")
    made_up.write_run(folder, "made_up", "pathmnist_basic", 2, salt=5)
    made_up.forget()
    assert find_estimate(*BASIC, "accuracy")["mean"] != first["mean"].iloc[4]
    assert len(list(tidy.glob("estimates-*.csv"))) == 2


def test_without_a_place_for_the_cache_the_tables_are_computed(drawn, show, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(module, "CACHE", tmp_path / "file" / "tidy")
    show(drawn)
    assert find_estimate(*BASIC, "accuracy")["n_seeds"] == 3
