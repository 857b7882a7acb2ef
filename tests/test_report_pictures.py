"""Figures and galleries: what they show, and that each has a text for those who do not see it."""

import re

import numpy as np
import pytest

import made_up
from helpers import report
from helpers.report import pictures
from helpers.runs.record import read_records


@pytest.fixture
def results(tmp_path, monkeypatch):
    made_up.write_records(tmp_path, "made_up", seeds=[0, 1])
    made_up.show(monkeypatch, tmp_path, "made_up")
    return tmp_path


def alts(picture):
    html = picture._repr_html_()
    assert html.count("<img") == len(re.findall(r'<img [^>]*src="data:image/', html))
    texts = re.findall(r'<(?:img [^>]*alt|svg role="img" aria-label)="([^"]+)"', html)
    assert len(texts) == html.count("<img") + html.count("<svg")
    return texts


def test_curves_have_a_panel_an_arm(results):
    texts = alts(report.show_curves("pets"))
    assert [text.split(":")[0] for text in texts] == [
        "No Pretraining",
        "Supervised",
        "Self-Supervised",
    ]
    histories = [record.history for record in read_records(results, "pets_supervised")]
    last = 100 * np.mean([history.validation_accuracy.iloc[-1] for history in histories])
    assert f"validation {last:.1f} %" in texts[1]


def test_authors_curves_stand_beside_figure_3_in_the_study_itself(results, monkeypatch):
    made_up.show(monkeypatch, results, "paper")
    assert [text.split(":")[0] for text in alts(report.show_curves("pathmnist"))][3:] == [
        "Basic, authors",
        "MixUp + Aug, authors",
        "MixUp + Aug + PT, authors",
    ]
    assert len(alts(report.show_curves("pets"))) == 3


def test_history_of_one_run(results):
    (first, _) = read_records(results, "pets_scratch")
    texts = alts(report.plot_history(first.history, first.experiment))
    assert [text.split(" by")[0] for text in texts] == ["loss", "accuracy"]
    assert len(alts(report.plot_history(first.history.head(1), first.experiment))) == 2
    unlabelled = first.history[["epoch", "train_loss", "validation_loss"]]  # Barlow Twins
    assert len(alts(report.plot_history(unlabelled, "pretrain_barlow_twins"))) == 1


def test_figures_are_the_same_bytes_each_time(results):
    once, again = report.show_curves("pets"), report.show_curves("pets")
    assert once._repr_html_() == again._repr_html_()


def test_drawings_of_a_page_leave_each_other_and_the_page_alone(results):
    drawings = [
        report.show_cells(),
        *(report.show_curves(dataset) for dataset in ("pathmnist", "pets")),
        *(report.show_reliability(dataset) for dataset in ("pathmnist", "pets")),
    ]
    html = "".join(picture._repr_html_() for picture in drawings)
    ids = re.findall(r' id="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    referred = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', html)
    assert {one or other for one, other in referred} == set(ids)
    assert not re.findall(r"<style|<\?xml|<!DOCTYPE|http:|<metadata", html)


def test_text_of_drawings_takes_the_colour_of_the_page(results):
    html = report.show_curves("pets")._repr_html_()
    texts = re.findall(r'<text style="([^"]*)"', html)
    assert texts
    assert all("fill: currentColor" in text for text in texts)
    assert pictures.INK not in html
    assert html.count("color:var(--pst-color-text-muted)") == html.count("<svg") == 3


def test_a_captioned_picture_is_a_figure():
    html = pictures.Picture(["<p></p>"], "a < b")._repr_html_()
    assert html.startswith("<figure>")
    assert html.endswith("<figcaption>a &lt; b</figcaption></figure>")
    assert "figure" not in pictures.Picture(["<p></p>"])._repr_html_()


def test_gallery_shows_each_corruption_at_each_strength(results):
    texts = alts(report.show_corruptions("pathmnist"))
    conditions = [text.split(":")[0] for text in texts]
    assert conditions == [
        "clean",
        *(f"brightness {factor}" for factor in made_up.FACTORS["pathmnist"]),
        "clean",
        *(f"blur {sigma}" for sigma in made_up.SIGMAS),
    ]
    assert texts[1].endswith("class 0, class 1, class 2, class 3")


def test_large_images_stand_alone():
    examples = {
        "images": np.zeros((2, 4, 3, 224, 224), dtype=np.uint8),
        "labels": np.arange(4),
        "corruption": np.array(["clean", "blur"]),
        "strength": np.array([np.nan, 0.5]),
    }
    picture = report.plot_corruptions(examples, ["a", "b", "c", "d"])
    assert alts(picture) == ["clean: a", "blur 0.5: a"]


def test_mixup_shows_two_sources_and_their_mix(results):
    assert alts(report.show_mixup()) == ["class 0", "class 3", "½ class 0 + ½ class 3"]
