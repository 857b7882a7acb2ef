"""Each verdict made to appear, from the paper's numbers, from samples, and from made-up records."""

from itertools import cycle

import numpy as np
import pytest

import made_up
from helpers.metrics import Sample
from helpers.report import assessment, claims, evidence, statements, verdicts
from helpers.report.assessment import judge_claims, judge_paper, judge_runs


def parse(text):
    (claim,) = statements.parse_claims(f"- {{id: a, section: b, statement: c, {text}}}")
    return claim


SIGNS = [("holds", "✓"), ("fails", "✗"), ("cannot tell", "?")]
CLEAN = "measure: accuracy, columns: [Clean]"
PETS = "compare: [Supervised > No Pretraining, Self-Supervised > No Pretraining]"


# On the paper


def test_what_the_paper_does_not_bear_out():
    read = [claim for claim in statements.read_claims() if isinstance(claim, statements.Claim)]
    found = {claim.id: judge_paper(claim) for claim in read}
    fails = {name: finding for name, finding in found.items() if finding.word == "fails"}
    named = {
        name: (finding.shown.pair.left, finding.shown.column, finding.shown.difference)
        for name, finding in fails.items()
    }
    assert named == {
        "augmentation-loses-less": ("MixUp + Aug", "Gaussian Blur", 3.0),
        "pretraining-loses-less": ("MixUp + Aug + PT", "Brightness", 0.2),
        "pathmnist-pretraining-robust": ("MixUp + Aug + PT", "f=1.1", -2.1),
        "pets-gain-blur": ("Supervised", "sigma=0.9", 36.6),
    }
    assert fails["pets-gain-blur"].why == "the largest is not 30.6"
    unknown = {name: f.why for name, f in found.items() if f.word == "cannot tell"}
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
        (f"{CLEAN}, compare: [Supervised > 96.9]", "cannot tell"),  # equal as printed
        (f"{CLEAN}, compare: [Supervised < 96.8]", "fails"),
        ("measure: early_accuracy, compare: [Basic < 85.8]", "holds"),  # the authors' log: 85.78
        ("measure: early_accuracy, compare: [Basic < 85.7]", "fails"),
        ("measure: early_accuracy, compare: [Supervised > 1]", "cannot tell"),
    ],
)
def test_judge_paper(text, word):
    assert judge_paper(parse(text)).word == word


# On samples


def sample(mean, seeds=10, spread=1.0):
    """Return a sample of that mean over the seeds, without any chance in the test images."""
    values = np.linspace(-1, 1, seeds) if seeds > 1 else np.zeros(1)
    return Sample(tuple(range(seeds)), mean + spread * values, np.zeros((seeds, 2), np.float32))


CLEAR, UNSURE, SLIGHT = 5.0, 0.1, 0.55  # against a spread of 1 over ten seeds


@pytest.fixture
def given(monkeypatch):
    """Let the runs say these samples, one a comparison, whenever all are asked for."""

    def give(*samples):
        left = cycle(samples)
        monkeypatch.setattr(assessment, "subtract", lambda *arguments: next(left))
        columns = ["Clean", "f=0.6", "f=0.8", "f=1.2", "f=1.4", "sigma=0.3"][: len(samples)]
        return parse(
            f"measure: accuracy, compare: [Supervised > No Pretraining], columns: {columns}"
        )

    return give


def test_slight_is_between_the_bounds_with_and_without_correction():
    assert 0.05 / 6 < sample(SLIGHT).estimate().p_value < 0.05


@pytest.mark.parametrize(
    ("means", "word", "shown"),
    [
        ([CLEAR, 6.0], "holds", CLEAR),
        ([CLEAR, UNSURE], "cannot tell", UNSURE),
        ([CLEAR, -CLEAR, -6.0], "fails", -6.0),
        ([-UNSURE, CLEAR], "cannot tell", -UNSURE),
        ([SLIGHT] * 6, "holds", SLIGHT),  # all must hold: nothing to correct
        ([-SLIGHT], "fails", -SLIGHT),
        ([-SLIGHT, *[UNSURE] * 5], "cannot tell", -SLIGHT),  # one of six may be chance
        ([-SLIGHT, -CLEAR, CLEAR], "fails", -CLEAR),
    ],
)
def test_judge_runs(given, means, word, shown):
    finding = judge_runs(given(*map(sample, means)))
    assert (finding.word, finding.why) == (word, "")
    assert finding.shown.difference == pytest.approx(shown)


def test_what_speaks_most_against_a_claim_is_shown_and_not_what_is_least_known(given):
    finding = judge_runs(given(sample(UNSURE, spread=30), sample(-SLIGHT), *[sample(CLEAR)] * 4))
    assert finding.word == "cannot tell"
    assert finding.shown.difference == pytest.approx(-SLIGHT)


def test_the_other_direction(given):
    claim = given(sample(-CLEAR))
    less = parse("measure: accuracy, compare: [Supervised < No Pretraining], columns: [Clean]")
    assert judge_runs(less).word == "holds"
    assert claim.comparisons != less.comparisons


def test_what_is_not_measured_may_still_fail(given):
    assert judge_runs(given(sample(CLEAR), None)).word == "cannot tell"
    finding = judge_runs(given(sample(-CLEAR), None))
    assert (finding.word, finding.why) == ("fails", "1 of 2 not measured")
    nothing = judge_runs(given(None, None))
    assert (nothing.word, nothing.shown) == ("cannot tell", None)


@pytest.mark.parametrize("mean", [CLEAR, -CLEAR])
def test_one_seed_cannot_tell(given, mean):
    finding = judge_runs(given(sample(mean, seeds=1)))
    assert (finding.word, finding.why) == ("cannot tell", "only one seed in common")
    assert finding.shown.difference == mean


def test_a_figure_shows_the_largest_gain_and_judges_the_direction(given):
    given(sample(6.0), sample(40.0))
    finding = judge_runs(parse(f"{CLEAN}, {PETS}, figure: 23.2"))
    assert finding.word == "holds"
    assert finding.shown.difference == pytest.approx(40)
    assert finding.why == "the direction is judged, not the figure"


# Denials


def judge_denial(monkeypatch, claim):
    """Return what is found of the denial of a claim, on the paper and on the runs."""
    denial = statements.Denial(id="d", section="b", statement="c", denies=claim.id)
    monkeypatch.setattr(assessment, "read_claims", lambda: [claim, denial])
    return judge_claims.__wrapped__()[1][1:]


@pytest.mark.parametrize(
    ("comparisons", "word", "shown"),
    [
        ("Supervised > No Pretraining, Self-Supervised > No Pretraining", "fails", 19.9),
        ("Supervised < No Pretraining, Self-Supervised < No Pretraining", "holds", 19.9),
        ("Supervised > No Pretraining, Self-Supervised < No Pretraining", "cannot tell", 23.2),
        ("Supervised > 96.9, Supervised < No Pretraining", "cannot tell", 0.0),  # equal as printed
    ],
)
def test_a_denial_on_the_paper(monkeypatch, given, comparisons, word, shown):
    given(None)
    finding, _ = judge_denial(monkeypatch, parse(f"{CLEAN}, compare: [{comparisons}]"))
    assert finding.word == word
    assert finding.shown.difference == pytest.approx(shown)


@pytest.mark.parametrize(
    ("means", "claim_word", "word", "shown"),
    [
        ([CLEAR, 6.0], "holds", "fails", CLEAR),
        ([SLIGHT] * 6, "holds", "fails", SLIGHT),
        ([-CLEAR, -6.0], "fails", "holds", -CLEAR),
        ([-SLIGHT] * 6, "cannot tell", "holds", -SLIGHT),  # all must be losses: no correction
        ([*[40.0] * 5, -CLEAR], "fails", "cannot tell", 40.0),  # one loss of six denies nothing
        ([-CLEAR, -UNSURE], "fails", "cannot tell", -UNSURE),
        ([UNSURE, -UNSURE], "cannot tell", "cannot tell", UNSURE),
    ],
)
def test_a_denial_on_the_runs(monkeypatch, given, means, claim_word, word, shown):
    claim = given(*map(sample, means))
    assert judge_runs(claim).word == claim_word
    _, finding = judge_denial(monkeypatch, claim)
    assert finding.word == word
    assert finding.shown.difference == pytest.approx(shown)


def test_a_denial_needs_every_comparison_and_seeds(monkeypatch, given):
    _, finding = judge_denial(monkeypatch, given(sample(-CLEAR), None))
    assert (finding.word, finding.why) == ("cannot tell", "1 of 2 not measured")
    _, finding = judge_denial(monkeypatch, given(sample(-CLEAR, seeds=1)))
    assert (finding.word, finding.why) == ("cannot tell", "only one seed in common")


# On records


@pytest.fixture(scope="module")
def as_ever(tmp_path_factory):
    folder = tmp_path_factory.mktemp("as_ever")
    made_up.write_records(folder, "made_up")
    return folder


@pytest.fixture(scope="module")
def otherwise(tmp_path_factory):
    """Records in which MixUp harms and the two kinds of pretraining do equally well."""
    folder = tmp_path_factory.mktemp("otherwise")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(made_up.EXPERIMENTS, "pathmnist_mixup", 0.2)
        patch.setitem(made_up.EXPERIMENTS, "pets_barlow_twins", 3.0)
        made_up.write_records(folder, "made_up")
    return folder


def judge(monkeypatch, folder):
    made_up.show(monkeypatch, folder, "made_up")
    return {claim.id: (paper, runs) for claim, paper, runs in judge_claims()}


def test_records_make_every_verdict_appear(monkeypatch, as_ever, otherwise):
    first, second = judge(monkeypatch, as_ever), judge(monkeypatch, otherwise)
    words = {name: (first[name][1].word, second[name][1].word) for name in first}
    assert words["augmentation-every-strength"] == ("holds", "fails")
    assert words["augmentation-strongest-blur"] == ("fails", "holds")
    assert words["supervised-transfers-better"] == ("holds", "cannot tell")
    low, high = second["supervised-transfers-better"][1].shown.interval
    assert low < 0 < high


def test_the_papers_denial_fails_where_pretraining_helps(monkeypatch, as_ever):
    found = judge(monkeypatch, as_ever)
    robust, denial = found["pretraining-robust"], found["pretraining-not-robust"]
    assert [finding.word for finding in robust] == ["holds", "holds"]
    assert [finding.word for finding in denial] == ["fails", "fails"]
    assert denial[1].shown == robust[1].shown


def test_one_seed_of_records_tells_nothing(tmp_path, monkeypatch):
    made_up.write_records(tmp_path, "made_up", seeds=[3])
    assert {runs.word for _, runs in judge(monkeypatch, tmp_path).values()} == {"cannot tell"}


def test_fewer_epochs_are_needed_where_they_are_claimed(monkeypatch, as_ever):
    finding = judge(monkeypatch, as_ever)["fewer-epochs"][1]
    assert (finding.word, finding.why) == ("cannot tell", "not trained for fewer epochs")
    monkeypatch.setattr(assessment, "trained_shorter", lambda *rows: True)
    assert judge(monkeypatch, as_ever)["fewer-epochs"][1].word == "holds"


# On the page


def show(monkeypatch, folder):
    made_up.show(monkeypatch, folder, "made_up")
    text = claims.show_claims().data
    return text, [line for line in text.split("\n") if line.startswith("|")][2:]


def test_every_claim_is_a_row_with_signs_and_words(monkeypatch, as_ever):
    text, rows = show(monkeypatch, as_ever)
    judged = judge_claims()
    for row, (claim, *findings) in zip(rows, judged, strict=True):
        _, stated, *cells, _ = [cell.strip() for cell in row.split("|")]
        assert stated.startswith(claim.statement)
        for cell, finding in zip(cells, findings, strict=True):
            assert cell.startswith(f"[{dict(SIGNS)[finding.word]} {finding.word}]{{.verdict}}")
    _, papers, runs = zip(*judged, strict=True)
    for name, findings in {"the paper's own numbers": papers, "these runs": runs}.items():
        words = [finding.word for finding in findings]
        counts = ", ".join(f"{sign} {word} {words.count(word)}" for word, sign in SIGNS)
        assert f"By {name}: {counts}." in text


def test_a_cell_tells_effect_interval_and_comparison(monkeypatch, as_ever):
    _, rows = show(monkeypatch, as_ever)
    effects = {claim.id: runs.shown for claim, _, runs in judge_claims()}
    rows = dict(zip(effects, rows, strict=True))
    strongest = effects["augmentation-strongest-blur"]
    sample = evidence.subtract("accuracy", "MixUp + Aug", "Basic", "sigma=0.9")
    assert strongest.p_value == sample.estimate().p_value  # one comparison: nothing to adjust
    (low, high), p_value = strongest.interval, f"p = {strongest.p_value:.3f}"
    cell = f"[{low:+.1f} to {high:+.1f}, {p_value}]{{.interval}} [MixUp + Aug against Basic"
    assert f"{cell}, σ = 0.9]{{.case}}" in rows["augmentation-strongest-blur"]
    assert (
        "−4.1 points [MixUp + Aug against Basic, σ = 0.9]{.case}"
        in rows["augmentation-strongest-blur"]
    )
    assert (
        "13.3 points lost [MixUp + Aug + PT, blur; the least clear of 6]"
        in rows["pathmnist-sensitive"]
    )
    low, high = (10 + end for end in effects["pathmnist-sensitive"].interval)
    assert f"[{low:.1f} to {high:.1f}]{{.interval}}" in rows["pathmnist-sensitive"]
    assert "; 1 of 8 the other way]" in rows["pathmnist-pretraining-robust"]


def test_what_is_untested_says_why(monkeypatch, as_ever):
    _, rows = show(monkeypatch, as_ever)
    untested = [
        (row, claim.untested)
        for row, (claim, *_) in zip(rows, judge_claims(), strict=True)
        if isinstance(claim, statements.Untested)
    ]
    assert len(untested) == 2
    for row, reason in untested:
        whys = "not given as numbers", reason
        cells = [f"[? cannot tell]{{.verdict}} [{why}]{{.case}}" for why in whys]
        assert row.endswith(f"| {' | '.join(cells)} |")
    assert "{doc}`/register`" in untested[1][0]


def test_stand_ins_are_said_and_the_study_is_not(monkeypatch, as_ever):
    text, _ = show(monkeypatch, as_ever)
    assert "their verdicts say nothing about the paper" in text
    for dataset, title in {"pathmnist": "PathMNIST", "pets": "Oxford-IIIT Pets"}.items():
        assert f"- {title}: {'; '.join(verdicts.why_withheld(dataset))}.\n" in text
    monkeypatch.setattr(claims, "why_withheld", lambda dataset: [])
    assert "say nothing about the paper" not in show(monkeypatch, as_ever)[0]
