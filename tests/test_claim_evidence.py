"""What claims compare: measures by hand and from made-up logits, and claims that are refused."""

import numpy as np
import pandas as pd
import pytest

import made_up
from helpers import InputError, metrics
from helpers.metrics import Sample
from helpers.report import evidence
from helpers.report.evidence import read_paper, read_runs, subtract
from helpers.report.statements import Comparison, parse_claims, parse_comparison, read_claims
from helpers.runs.record import read_records


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    made_up.write_records(folder, "made_up", seeds=[0, 1])
    return folder


@pytest.fixture
def shown(results, monkeypatch):
    made_up.show(monkeypatch, results, "made_up")
    return results


def test_measures_of_the_training():
    history = pd.DataFrame(
        {
            "train_accuracy": [0.1, 0.5, 0.7, 0.9, 1.0, 1.0],
            "validation_accuracy": [0.1, 0.4, 0.3, 0.7, 0.5, 0.9],
        }
    )
    assert evidence.find_gap(history) == pytest.approx((0.2 + 0.5 + 0.1) / 3)
    assert evidence.find_falls(history) == pytest.approx((0.1 + 0.2) / 5)
    assert evidence.find_early(history) == pytest.approx(0.4)  # without the sixth
    assert np.isnan(evidence.find_falls(history[:1]))


def test_the_papers_measures():
    assert read_paper("accuracy", "Basic", "f=1.1") == 31.3
    assert read_paper("accuracy_lost", "Basic", "Brightness") == pytest.approx(82.3 - 36.4)
    assert read_paper("calibration_error", "Supervised", "Clean") == 0.155
    logged = [0.819272, 0.870952, 0.784886, 0.90054]
    four_of_five = 5 * read_paper("early_accuracy", "Basic", None) - 100 * sum(logged)
    assert 80 < four_of_five < 100  # the fifth epoch
    assert np.isnan(read_paper("early_accuracy", "Supervised", None))


def accuracy(results, experiment, places):
    """Return the accuracy of each seed in percent, the mean over some conditions."""
    values = []
    for record in read_records(results, experiment):
        logits, labels = (record.predictions[name] for name in ("logits", "labels"))
        values.append(100 * np.mean([metrics.accuracy(logits[p], labels) for p in places]))
    return np.array(values)


def test_differences_of_the_runs(shown):
    basic, mixup = "pathmnist_basic", "pathmnist_mixup"
    clean, blur = [0], [5, 6, 7, 8]
    left, right = (
        accuracy(shown, name, clean) - accuracy(shown, name, blur) for name in (mixup, basic)
    )
    lost = subtract("accuracy_lost", "MixUp + Aug", "Basic", "Gaussian Blur")
    np.testing.assert_allclose(lost.values, left - right)
    against_ten = subtract("accuracy_lost", "Basic", 10.0, "Gaussian Blur")
    np.testing.assert_allclose(against_ten.values, right - 10)


def test_a_measure_of_the_training_knows_seeds_only(shown):
    gap = read_runs("train_validation_gap", "Basic", None)
    expected = [
        100 * (record.history.train_accuracy - record.history.validation_accuracy)[2:].mean()
        for record in read_records(shown, "pathmnist_basic")
    ]
    np.testing.assert_allclose(gap.values, expected)
    deviation = np.std(expected, ddof=1)
    assert gap.estimate().standard_error == pytest.approx(deviation / np.sqrt(2))


def test_two_data_sets_add_their_variances_of_images(monkeypatch):
    """With no spread of the seeds, images of both data sets chosen anew are what is left."""
    generator = np.random.default_rng(0)
    parts = {}
    for row, images in {"Basic": 300, "Supervised": 200}.items():
        correct = np.repeat(generator.random((1, images)) < 0.7, 3, axis=0)
        influence = np.stack([metrics.accuracy_influence(right) for right in correct])
        parts[row] = Sample((0, 1, 2), correct.mean(axis=1), influence)
    monkeypatch.setattr(evidence, "read_runs", lambda name, row, column: parts[row])
    found = subtract("accuracy", "Basic", "Supervised", "Clean").estimate()
    variances = [part.estimate().standard_error ** 2 for part in parts.values()]
    assert found.standard_error == pytest.approx(np.sqrt(sum(variances)), rel=0.01)
    assert found.mean == pytest.approx(parts["Basic"].values[0] - parts["Supervised"].values[0])


def test_what_the_runs_cannot_know_is_none(shown, monkeypatch):
    assert subtract("accuracy", "Basic", "MixUp + Aug", "f=0.6") is None  # a factor of Pets
    assert subtract("accuracy", "Basic", 10.0, "f=0.6") is None
    seeds = {"Basic": (0, 1), "MixUp + Aug": (2, 3)}
    apart = {row: Sample(its, np.ones(2), np.zeros((2, 5))) for row, its in seeds.items()}
    monkeypatch.setattr(evidence, "read_runs", lambda name, row, column: apart[row])
    assert subtract("accuracy", "Basic", "MixUp + Aug", "Clean") is None


def test_fewer_epochs_means_every_run(shown, monkeypatch):
    assert not evidence.trained_shorter("Supervised", "No Pretraining")  # five epochs each
    records = evidence.shown_records()
    for record in records["pets_supervised"]:
        monkeypatch.setitem(record.__dict__, "history", record.history[:4])
    assert evidence.trained_shorter("Supervised", "No Pretraining")
    assert not evidence.trained_shorter("No Pretraining", "Supervised")
    longer = pd.concat([records["pets_supervised"][0].history] * 2)
    monkeypatch.setitem(records["pets_supervised"][0].__dict__, "history", longer)
    assert not evidence.trained_shorter("Supervised", "No Pretraining")


def test_comparisons_are_read():
    assert parse_comparison("MixUp + Aug + PT < MixUp + Aug") == Comparison(
        "MixUp + Aug + PT", -1, "MixUp + Aug"
    )
    assert parse_comparison("Basic > 2.5") == Comparison("Basic", 1, 2.5)


def test_the_file_is_read_whole():
    claims = read_claims()
    assert {claim.id for claim in claims} >= {"pets-gain-blur", "pretraining-not-robust"}
    for claim in claims:
        text = f"{claim.section} {claim.statement} {claim.reading} {getattr(claim, 'untested', '')}"
        assert not set("[]|") & set(text), f"{claim.id} would break the table of the page"


GOOD = {
    "id": "a",
    "section": "b",
    "statement": "c",
    "measure": "accuracy",
    "compare": ["Supervised > No Pretraining"],
    "columns": ["Clean"],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"measure": "speed"}, "a: entry: .*no measure 'speed': accuracy, "),
        ({"compare": ["Supervised = Basic"]}, "a: compare.0: .*is no comparison; write ROW > ROW"),
        ({"compare": ["Supervised > Base"]}, "a: compare.0: .*'Base' is no row; there are Basic"),
        ({"compare": []}, "a: compare: "),
        ({"columns": []}, "accuracy needs columns"),
        ({"measure": "early_accuracy"}, "early_accuracy takes no columns"),
        ({"columns": ["f=0.9"]}, "Supervised has no column f=0.9|No Pretraining has no column"),
        (
            {"compare": ["Supervised > Self-Supervised", "Supervised < Basic"], "figure": 1.0},
            "a figure needs comparisons of one direction",
        ),
        ({"compare": ["Supervised > 10"], "fewer_epochs": True}, "fewer_epochs needs two rows"),
        ({"colums": ["Clean"]}, "a: colums: "),
    ],
)
def test_a_claim_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        parse_claims(str([GOOD | change]))


def test_ids_and_denials_are_checked():
    denial = {"id": "d", "section": "b", "statement": "c", "denies": "a"}
    assert [claim.id for claim in parse_claims(str([GOOD, denial]))] == ["a", "d"]
    with pytest.raises(InputError, match="a: the id is taken"):
        parse_claims(str([GOOD, GOOD]))
    untested = {"id": "a", "section": "b", "statement": "c", "untested": "why"}
    for before in ([], [GOOD | {"figure": 1.0}], [untested]):
        with pytest.raises(InputError, match="d: denies: no claim 'a' without a figure stands"):
            parse_claims(str([*before, denial, GOOD | {"id": "later"}]))
    with pytest.raises(InputError, match="a: measure: "):
        parse_claims(str([untested | {"measure": "accuracy"}]))
    with pytest.raises(InputError, match="no YAML"):
        parse_claims("- statement: one: two")
    for text in ("", "- word", "a: 1"):
        with pytest.raises(InputError, match="must be a list of claims"):
            parse_claims(text)
