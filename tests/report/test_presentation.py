"""Figures, galleries, explorer, provenance and escaping, from made-up records with gaps."""

import base64
import io
import json
import re
import socket
from html import unescape
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image

import made_up
from helpers import ROOT, metrics, report
from helpers.report import html_figures, provenance
from helpers.report.escape import escape_code, escape_markdown, redact_paths
from helpers.report.records import arms, shown_records
from helpers.report.sphinx_extension import fingerprint
from helpers.report.styles import choose_style, style_arms
from helpers.runs.record import read_records

FIGURES = (
    *("show_curves", "show_reliability", "show_strengths", "show_risk_coverage"),
    *("show_corruptions", "show_errors"),
)
HOST = socket.gethostname()
TEXTS = [*made_up.HOSTILE, "`", "``a`", "a|b", "two\nlines", "* x", "ü σ ½", "&lt;", "a\\"]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Two seeds of the PathMNIST arms; one seed of one Pets arm without examples or history."""
    for experiment in ("pathmnist_basic", "pathmnist_mixup", "pathmnist_pretrained"):
        for seed in (3, 5):
            made_up.write_run(tmp_path, "made_up", experiment, seed)
    gaps = ("examples.npz", "history.csv")
    made_up.write_run(tmp_path, "made_up", "pets_scratch", 0, leave_out=gaps)
    made_up.show(monkeypatch, tmp_path, "made_up")
    return tmp_path


def draw(name, dataset):
    shown = getattr(report, name)(dataset)
    return shown._repr_html_() if hasattr(shown, "panels") else shown.data


def list_alts(html):
    texts = re.findall(r'<(?:img [^>]*alt|svg role="img" aria-label)="([^"]+)"', html)
    assert len(texts) == html.count("<img") + html.count("<svg")
    return texts


def test_a_seed_without_predictions_stops_no_page(tmp_path, monkeypatch):
    for seed, gaps in enumerate((["predictions.npz"], [])):
        made_up.write_run(tmp_path, "made_up", "pathmnist_basic", seed, leave_out=gaps)
    made_up.write_run(tmp_path, "made_up", "pathmnist_mixup", 1)
    made_up.write_run(tmp_path, "made_up", "pets_scratch", 0, leave_out=["predictions.npz"])
    made_up.show(monkeypatch, tmp_path, "made_up")
    assert '"label":"Basic","seed":1' in report.show_explorer().data
    assert "Basic</strong>, seed 1: " in draw("show_errors", "pathmnist")
    assert "holds images of its errors" in draw("show_errors", "pets")
    assert "One seed in common cannot tell whether MixUp + Aug" in report.show_summary().data


@pytest.mark.parametrize("name", FIGURES)
def test_figures_draw_what_records_hold_and_say_what_is_missing(results, monkeypatch, name):
    alts = list_alts(draw(name, "pathmnist"))
    assert len(alts) == len(set(alts)) or name == "show_corruptions"
    pets = draw(name, "pets")
    if name == "show_curves":
        assert not list_alts(pets)
        assert "<code>python -m helpers run" in pets
    elif name in ("show_corruptions", "show_errors"):
        assert "No example images" in pets or "holds images of its errors" in pets
    else:
        assert list_alts(pets)
        assert "Supervised:" not in " ".join(list_alts(pets))
    made_up.show(monkeypatch, results / "nothing", "made_up")
    assert "<code>python -m helpers run" in draw(name, "pathmnist")


def test_galleries_show_published_images_else_stand_ins_and_name_a_damaged_file(
    tmp_path, monkeypatch
):
    drawn = made_up.write_run(tmp_path / "smoke", "smoke", "pathmnist_basic", 0)
    shown = tmp_path / "short"
    made_up.write_run(shown, "short", "pathmnist_basic", 0, True, leave_out=["examples.npz"])
    made_up.show(monkeypatch, shown, "short")
    assert "Generated stand-ins: tissue, in place of PathMNIST." in draw(
        "show_corruptions", "pathmnist"
    )
    before, path = fingerprint([]), tmp_path / "examples/pathmnist.npz"
    path.parent.mkdir()
    names = np.array([f"tissue {number}" for number in range(9)])
    np.savez(path, **drawn.examples, classes=names, sha256=np.array("pathmnist"))
    assert fingerprint([]) != before
    before = fingerprint([])
    made_up.write_run(shown, "short", "pathmnist_basic", 1, True, changes={"epochs": 3})
    made_up.forget()
    assert fingerprint([]) != before  # by the warning of the seed that is left out
    for name in ("show_corruptions", "show_mixup"):
        assert "Images: PathMNIST, as published." in draw(name, "pathmnist")
        assert "tissue 3" in draw(name, "pathmnist")
    assert '"classes":["tissue 0","tissue 1","tissue 2","tissue 3"]' in report.show_explorer().data
    path.write_bytes(path.read_bytes()[:-100])
    for name in ("show_corruptions", "show_mixup"):
        assert "examples/pathmnist.npz cannot be read: write it" in draw(name, "pathmnist")
    assert "No run shown here holds images of its errors" in draw("show_errors", "pathmnist")


def test_curves_and_strengths_have_the_values_of_the_records(results):
    records = read_records(results, "pathmnist_mixup")
    last = 100 * np.mean([record.history.validation_accuracy.iloc[-1] for record in records])
    assert f"validation {last:.3g}" in list_alts(draw("show_curves", "pathmnist"))[1]
    blurred = 100 * np.mean([record.metrics.accuracy.iloc[-1] for record in records])
    (alt,) = [a for a in list_alts(draw("show_strengths", "pathmnist")) if "(%) against blur" in a]
    assert f"MixUp + Aug {blurred:.3g}, " in alt
    (first, _) = records
    arrays = first.predictions
    error = np.mean([1 - record.metrics.accuracy[0] for record in records])
    risk = next(a for a in list_alts(draw("show_risk_coverage", "pathmnist")) if "clean" in a)
    assert f"MixUp + Aug {100 * error:.3g}, " in risk
    assert len(arrays["labels"]) == made_up.IMAGES


def test_history_of_one_run(results):
    (first, _) = read_records(results, "pathmnist_basic")
    assert len(list_alts(report.plot_history(first.history, "x")._repr_html_())) == 2
    assert list_alts(report.plot_history(first.history.head(1), "pathmnist_basic")._repr_html_())


def test_drawings_are_reproducible_and_leave_each_other_and_the_page_alone(results):
    names = ("show_curves", "show_reliability")
    with matplotlib.rc_context({"axes.linewidth": 9, "font.size": 30, "svg.fonttype": "path"}):
        html = "".join(draw(name, "pathmnist") for name in names)
    assert html == "".join(draw(name, "pathmnist") for name in names)
    ids = re.findall(r' id="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    referred = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', html)
    assert {one or other for one, other in referred} == set(ids)
    assert not re.findall(r"<style|<\?xml|<!DOCTYPE|http:|<metadata", html)
    assert html_figures.INK not in html  # the page's colour, light or dark


def test_any_number_of_arms_has_styles_that_differ(results):
    styles = [choose_style(place)[:2] for place in range(42)]
    assert len(set(styles)) == 42
    for number in range(5):
        made_up.write_run(results, "made_up", f"pathmnist_extra{number}", 3)
    made_up.forget()
    assert len(set(style_arms("pathmnist").values())) == len(arms("pathmnist")) == 8
    assert len(list_alts(draw("show_curves", "pathmnist"))) == 8


def test_errors_are_those_of_the_stored_logits_and_class_names_are_text(results):
    html = draw("show_errors", "pathmnist")
    (record, _) = read_records(results, "pathmnist_basic")
    arrays = record.predictions
    outcome = metrics.Outcome(arrays["logits"][3], arrays["labels"])
    index = int(np.argmin(outcome.correct))
    probability = outcome.probabilities[index]
    assert (
        f"brightness 1.1: test image {index}, class {arrays['labels'][index]}, taken for class"
        f" {probability.argmax()} with {100 * probability.max():.1f} % confidence"
    ) in html
    shown_records("pathmnist")["Basic"][0].data["classes"][:] = ['<b>"&'] * 9
    html = draw("show_errors", "pathmnist")
    assert "<b>" not in html
    assert '<b>"&' in unescape(html)


def test_explorer_holds_scores_bins_and_answers_of_every_condition(results):
    html = report.show_explorer().data
    data = json.loads(re.search(r"<script[^>]*>(.*?)</script>", html, re.DOTALL)[1])
    assert list(data) == ["pathmnist", "pets"]
    assert not any(data["pets"]["pictures"])  # no examples
    described = data["pathmnist"]
    assert [s for s, _ in described["shifts"]["brightness"]["stops"]] == [0.8, 0.9, 1, 1.1, 1.2]
    records = read_records(results, "pathmnist_mixup")
    arm = described["arms"][1]
    assert (arm["label"], arm["seed"]) == ("MixUp + Aug", 3)
    for number, shown in enumerate(arm["conditions"].values()):
        pairs = [(r.predictions["logits"][number], r.predictions["labels"]) for r in records]
        outcomes = [metrics.Outcome(*pair) for pair in pairs]
        confidence = np.concatenate([each.confidence for each in outcomes])
        correct = np.concatenate([each.correct for each in outcomes])
        assert shown["accuracy"][0] == pytest.approx(100 * correct.mean(), abs=0.051)
        assert shown["gap"] == pytest.approx(confidence.mean() - correct.mean(), abs=1e-3)
        place, share, mean, accuracy = np.transpose(shown["bins"])
        assert ((mean > place / 10) & (mean <= (place + 1) / 10)).all()
        joined = np.sqrt((share * (accuracy - mean) ** 2).sum())
        error = metrics.rms_calibration_error(confidence, correct)
        assert joined == pytest.approx(error, abs=1e-3)
        for label, (answer, sure, own) in enumerate(shown["answers"]):
            index = pairs[0][1].tolist().index(label)  # the first image of its class
            probability = outcomes[0].probabilities[index]
            assert answer == f"class {probability.argmax()}"
            assert [sure, own] == pytest.approx([probability.max(), probability[label]], abs=1e-3)


@pytest.mark.parametrize("side", [28, 64, 224])
def test_images_are_light_and_small_ones_lossless(side):
    smooth = np.broadcast_to(np.linspace(0, 255, side).astype(np.uint8), (3, side, side))
    noise = np.random.default_rng(0).integers(256, size=(3, side, side), dtype=np.uint8)
    for image in (smooth, noise):
        content = base64.b64decode(html_figures.encode_image(image).split(",")[1])
        assert len(content) < 16_000 or image is noise
        read = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).transpose(2, 0, 1)
        assert read.shape == image.shape
        if side <= html_figures.SMALL:
            np.testing.assert_array_equal(read, image)


def test_every_run_has_a_row_with_its_notebook(results):
    (results / "pathmnist_basic/seed-3.ipynb").unlink()
    (results / "pathmnist_mixup/seed-3.ipynb").write_text("{}")  # edited: no evidence
    rows = [line.split(" | ") for line in report.show_runs().data.splitlines() if "| path" in line]
    assert [row[1] for row in rows][:4] == [
        "3",
        "{doc}`5 </runs/pathmnist_basic>`",
        "3",
        "{doc}`5 </runs/pathmnist_mixup>`",
    ]
    assert rows[4][1:3] == [
        "{doc}`3 </runs/pathmnist_pretrained>`",
        f"`{results.name}`",
    ]
    assert rows[4][6] == "`epochs = 5`"
    assert "tissue" in rows[4][3]
    assert "stand-in" in rows[4][3]
    assert "`0123456789` with torch 2 on cpu" in report.show_made_from().data


def test_banner_follows_data_weights_and_profile(tmp_path, monkeypatch):
    made_up.write_records(tmp_path, "paper", seeds=(0,), official=True)
    made_up.show(monkeypatch, tmp_path, "paper")
    assert provenance.write_banner() == ""
    (record,) = shown_records("pets")["Supervised"]
    record.weights["official"] = False
    assert "Pets</b>: some runs started from other weights" in provenance.write_banner()
    record.data.update(official=False, name="<b>mine</b>")
    assert "own data (&lt;b&gt;mine" in provenance.write_banner()
    made_up.show(monkeypatch, tmp_path, "short")
    assert "profile short, not the full study" in provenance.write_banner()


@pytest.mark.parametrize("text", TEXTS)
def test_escaped_text_and_code_stay_what_they_are(text):
    parser = MarkdownIt("commonmark").enable("table")
    for escape, kinds in [
        (escape_markdown, {"text", "text_special"}),
        (escape_code, {"code_inline"}),
    ]:
        cells = parser.parse(f"| head |\n|:--|\n| {escape(text)} |")
        _, cell = (token for token in cells if token.children)
        assert {child.type for child in cell.children} <= kinds
        expected = text if escape is escape_markdown else " ".join(text.split())
        assert "".join(child.content for child in cell.children) == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{ROOT}/results/mine", "./results/mine"),
        (f"{Path.home()}/x", "~/x"),
        ("at /home/me/.venv/lib, line 3", "at ~/.venv/lib, line 3"),
        ("file:///Users/me/x", "file://~/x"),
        ("at /cluster/home/me/x and /nfs/users/me", "at ~/x and ~"),
        ('{"path": "/mnt/data/home/me"}', '{"path": "~"}'),
        (r"C:\Users\me\x", r"~\x"),
        (r'{"path": "C:\\Users\\me\\x"}', r'{"path": "~\\x"}'),
        ("https://example.org/home/page", "https://example.org/home/page"),
        (f"no answer of tcp://{HOST}:8786", "no answer of tcp://host:8786"),
        (f"ssh://me@{HOST}/x or me.too@{HOST}", "ssh://host/x or host"),
        (f"a {HOST}, {HOST}.py and me@{HOST}s", f"a {HOST}, {HOST}.py and me@{HOST}s"),
    ],
)
def test_paths_and_hosts_are_redacted(text, shown):
    assert redact_paths(text) == shown
