"""Claims judged each way, by the paper's numbers and by runs."""

import math
from itertools import cycle

import numpy as np
import pytest
import yaml

import made_up
from helpers import InputError, report
from helpers.metrics import Sample
from helpers.report import claims
from helpers.report.claims import judge, judge_claims, parse_claims, read_claims
from helpers.report.tidy import ABSENT, find_estimate


def parse(text):
    return parse_claims({"a": yaml.safe_load(f"{{section: b, statement: c, {text}}}")})["a"]


CLEAN = "metric: accuracy, columns: [clean]"
PETS = "compare: [Supervised > No Pretraining, Self-Supervised > No Pretraining]"
CLEAR, UNSURE, SLIGHT = 5.0, 0.1, 0.55  # against a spread of 1 over ten seeds


def test_what_the_papers_numbers_do_not_bear_out():
    claims = read_claims().items()
    found = {name: judge(claim, "paper") for name, claim in claims if claim.metric}
    fails = {name: finding for name, finding in found.items() if finding.word == "fails"}
    named = {k: (f.shown["left"], f.shown["column"], f.shown["mean"]) for k, f in fails.items()}
    assert named == {
        "augmentation-loses-less": ("MixUp + Aug", ("blur", None), pytest.approx(0.03)),
        "pretraining-loses-less": (
            "MixUp + Aug + PT",
            ("brightness", None),
            pytest.approx(0.002),
        ),
        "pathmnist-pretraining-robust": (
            "MixUp + Aug + PT",
            ("brightness", 1.1),
            pytest.approx(-0.021),
        ),
        "pets-gain-blur": ("Supervised", ("blur", 0.9), pytest.approx(0.366)),
        "pretraining-not-robust": ("Supervised", ("blur", None), pytest.approx(0.286)),
    }
    assert fails["pets-gain-blur"].notes == ["8 of 8 as stated", "the largest is not 30.6"]
    unknown = {name: f.notes[-1] for name, f in found.items() if f.word == "inconclusive"}
    assert unknown == {
        "pets-scratch-noisy": "2 of 2 not given as numbers",
        "pretraining-faster": "2 of 3 not given as numbers",
    }


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (f"{CLEAN}, {PETS}, figure: 23.2", "holds"),  # 96.9 - 73.7
        (f"{CLEAN}, {PETS}, figure: 23.1", "holds"),  # three rounded numbers explain it
        (f"{CLEAN}, {PETS}, figure: 23.4", "fails"),
        (f"{CLEAN}, {PETS}, figure: 19.9", "fails"),  # a gain, not the largest
        (f"{CLEAN}, compare: [Supervised > 96.8]", "holds"),
        (f"{CLEAN}, compare: [Supervised > 96.9]", "inconclusive"),  # equal as printed
        (f"{CLEAN}, compare: [Supervised < 96.8]", "fails"),
        ("metric: early_accuracy, compare: [Basic < 85.8]", "holds"),  # the authors' log: 85.78
        ("metric: early_accuracy, compare: [Basic < 85.7]", "fails"),
        ("metric: early_accuracy, compare: [Supervised > 1]", "inconclusive"),
    ],
)
def test_judge_paper(text, word):
    assert judge(parse(text), "paper").word == word


def difference(mean, seeds=10):
    """Return a row of differences with that mean over the seeds."""
    values = mean + (np.linspace(-1, 1, seeds) if seeds > 1 else np.zeros(1))
    found = Sample(tuple(range(seeds)), values, np.zeros((seeds, 2), np.float32)).estimate()
    p = found.p_value if seeds > 1 else math.nan
    return {"n_seeds": seeds, "mean": mean, "low": found.low, "high": found.high, "p": p}


@pytest.fixture
def given(monkeypatch, tmp_path):
    """Let the runs have these differences, one per comparison, whenever all are asked for."""
    monkeypatch.setenv("REPORT_RESULTS", str(tmp_path / "none"))  # not those of the checkout

    def give(*means, seeds=10):
        rows = [difference(m, seeds) if m is not None else ABSENT for m in means]
        left = cycle(rows)
        monkeypatch.setattr(claims, "_subtract", lambda *arguments: next(left))
        columns = ["clean", *(f"blur 0.{k}" for k in range(5))][: len(means)]
        return parse(
            f"metric: accuracy, compare: [Supervised > No Pretraining], columns: {columns}"
        )

    return give


@pytest.mark.parametrize(
    ("means", "word", "shown"),
    [
        ([CLEAR, 6.0], "holds", CLEAR),
        ([CLEAR, UNSURE], "inconclusive", UNSURE),
        ([CLEAR, -CLEAR, -6.0], "fails", -6.0),
        ([-UNSURE, CLEAR], "inconclusive", -UNSURE),
        ([SLIGHT] * 6, "holds", SLIGHT),  # all must hold: nothing to correct
        ([-SLIGHT], "fails", -SLIGHT),
        ([-SLIGHT, *[UNSURE] * 5], "inconclusive", -SLIGHT),  # one of six may be chance
        ([-SLIGHT, -CLEAR, CLEAR], "fails", -CLEAR),
    ],
)
def test_judge_runs(given, means, word, shown):
    finding = judge(given(*means), "runs")
    assert (finding.word, len(finding.notes), finding.shown["mean"]) == (word, 1, shown)


def test_what_is_not_measured_may_still_fail(given):
    assert judge(given(CLEAR, None), "runs").word == "inconclusive"
    finding = judge(given(-CLEAR, None), "runs")
    assert finding.word == "fails"
    assert finding.notes == ["1 of 1 the other way", "1 of 2 not measured"]
    nothing = judge(given(None, None), "runs")
    assert (nothing.word, nothing.shown) == ("inconclusive", None)
    arms = "Supervised from ImageNet weights, No Pretraining"
    assert nothing.needs == f"runs on Oxford-IIIT Pets ({arms})"


def test_one_seed_is_inconclusive_and_a_figure_shows_the_largest_gain(given):
    for mean in (CLEAR, -CLEAR):
        finding = judge(given(mean, seeds=1), "runs")
        assert finding.word == "inconclusive"
        assert finding.notes[1:] == ["only one seed in common"]
    given(6.0, 40.0)
    finding = judge(parse(f"{CLEAN}, {PETS}, figure: 23.2"), "runs")
    assert (finding.word, finding.shown["mean"]) == ("holds", 40)
    assert finding.notes[1:] == ["the direction is judged, not the figure"]


def judge_all(folder, show, profile="made_up"):
    show(folder, profile)
    return {name: (paper, runs) for name, (_, paper, runs) in judge_claims().items()}


def test_records_make_every_verdict_appear(drawn, study, show, tmp_path):
    first = judge_all(drawn, show)
    with pytest.MonkeyPatch.context() as patch:  # MixUp harms; both pretrainings do equally well
        patch.setitem(made_up.EXPERIMENTS, "pathmnist_mixup", 0.2)
        patch.setitem(made_up.EXPERIMENTS, "pets_barlow_twins", 3.0)
        made_up.write_records(tmp_path, "made_up")
    second = judge_all(tmp_path, show)
    words = {name: (first[name][1].word, second[name][1].word) for name in first}
    assert words["augmentation-every-strength"] == ("holds", "fails")
    assert words["augmentation-strongest-blur"] == ("fails", "holds")
    assert words["supervised-transfers-better"][1] == "inconclusive"
    assert words["pretraining-not-robust"][0] == "fails"
    assert first["fewer-epochs"][1].notes[-1] == "not trained for fewer epochs"
    assert judge_all(study, show, "paper")["fewer-epochs"][1].word == "holds"


def test_a_comparison_with_a_number(drawn, show):
    show(drawn)
    text = "metric: accuracy_lost, columns: [brightness], compare: [Basic {} {}]"
    lost = 100 * find_estimate("pathmnist", "Basic", "accuracy_lost", "brightness")["mean"]
    assert lost > 5
    assert judge(parse(text.format(">", 0)), "runs").word == "holds"
    assert judge(parse(text.format("<", 0)), "runs").word == "fails"
    assert judge(parse(text.format(">", f"{lost:.1f}")), "runs").word == "inconclusive"


def test_real_images_are_never_compared_with_stand_ins(tmp_path, show):
    for experiment in made_up.EXPERIMENTS:
        for seed in (0, 1):
            official = experiment.startswith("pathmnist")
            made_up.write_run(tmp_path, "made_up", experiment, seed, official)
    finding = judge_all(tmp_path, show)["pathmnist-more-sensitive"][1]
    assert finding.word == "inconclusive"
    arms = "No Pretraining, Supervised from ImageNet weights"
    assert finding.needs == f"runs on Oxford-IIIT Pets ({arms})"
    assert "published and stand-in" in finding.notes[0]


def test_between_data_sets_distances_to_the_ends_of_the_intervals_add_as_squares(drawn, show):
    show(drawn)
    text = "compare: [MixUp + Aug > No Pretraining], columns: [blur]"
    finding = judge(parse(f"metric: accuracy_lost, {text}"), "runs")
    arms = ("pathmnist", "MixUp + Aug"), ("pets", "No Pretraining")
    one, other = (find_estimate(*arm, "accuracy_lost", "blur") for arm in arms)
    mean = one["mean"] - other["mean"]
    half = math.hypot(one["mean"] - one["low"], other["high"] - other["mean"])
    assert finding.shown["mean"] == pytest.approx(mean)
    assert finding.shown["low"] == pytest.approx(mean - half)
    assert 0 < finding.shown["p"] < 1


def test_the_page_shows_every_claim_with_signs_words_and_the_deciding_comparison(drawn, show):
    show(drawn)
    text = report.show_claims().data
    rows = [line for line in text.split("\n") if line.startswith("| ")][2:]
    signs = {"holds": "✓", "fails": "✗", "inconclusive": "?"}
    for row, (claim, *findings) in zip(rows, judge_claims().values(), strict=True):
        _, stated, *cells, _ = [cell.strip() for cell in row.split("|")]
        assert stated.startswith(claim.statement)
        for cell, finding in zip(cells, findings, strict=True):
            word = finding.word + " on other images" * finding.elsewhere
            word = f"needs {finding.needs}" if finding.needs else word
            assert cell.startswith(f"[{signs[finding.word]} {word}]{{.verdict}}")
    effects = {name: runs.shown for name, (_, _, runs) in judge_claims().items()}
    strongest = effects["augmentation-strongest-blur"]
    low, high = (f"{100 * end:+.1f}" for end in (strongest["low"], strongest["high"]))
    named = "MixUp + Aug against Basic; σ = 0.9"
    assert f"[{low} to {high}, p = {strongest['p']:.3f}]{{.interval}} [{named}; " in text
    assert (
        "tissue (in place of PathMNIST), profile made_up (5 epochs), 3 seeds (0–2)]{.case}" in text
    )
    sensitive = effects["pathmnist-sensitive"]
    assert f"{100 * sensitive['mean'] + 10:.1f} points]{{.line}}" in text
    assert "By these runs: ✓ holds 0, ✗ fails 0, ? inconclusive 0, 28 need" in text  # stand-ins
    assert text.count("{doc}`/register`") == 1  # its reason is shown


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("metric: speed, compare: [Basic > 1], columns: [clean]", "metric: Input should be"),
        ("metric: accuracy, compare: [Basis > 1], columns: [clean]", "ROW > ROW or ROW > 10"),
        ("metric: accuracy, compare: [Basic > 1], columns: [dark]", "unknown shift"),
        ("metric: accuracy, needs: why", "either metric and compare, or needs"),
        ("metric: accuracy, colour: red", "colour"),
    ],
)
def test_a_claim_that_is_not_understood_is_named_in_one_line(text, word):
    with pytest.raises(InputError, match=word) as error:
        parse(text)
    assert str(error.value).startswith("claims.yaml")
    assert "\n" not in str(error.value)
