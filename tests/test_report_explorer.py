"""The explorer's data against the logits, and the gallery of mistakes."""

import base64
import io
import json
import re
from html import unescape

import numpy as np
import pytest
from PIL import Image

import made_up
from helpers import metrics, report
from helpers.report import explorer, mistakes, pictures, tables
from helpers.report.source import ARMS
from helpers.runs.record import read_records


@pytest.fixture
def results(tmp_path, monkeypatch):
    made_up.write_records(tmp_path, "made_up", seeds=(3, 5))
    made_up.show(monkeypatch, tmp_path, "made_up")
    return tmp_path


def read_data(page):
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_scores_and_bins_are_those_of_the_logits(results):
    data = read_data(report.show_explorer()._repr_html_())["pets"]
    for arm, name in zip(data["arms"], ARMS["pets"], strict=True):
        records = read_records(results, name)
        for place, shown in enumerate(arm["conditions"]):
            pairs = [(r.predictions["logits"][place], r.predictions["labels"]) for r in records]
            confidence = np.concatenate([metrics.confidence(logits) for logits, _ in pairs])
            correct = np.concatenate([metrics.correct(*pair) for pair in pairs])
            mean, low, high = shown["accuracy_percent"]
            assert mean == pytest.approx(100 * correct.mean(), abs=0.051)
            assert 0 <= low <= mean <= high <= 100
            errors = [
                metrics.rms_calibration_error(metrics.confidence(z), metrics.correct(z, labels))
                for z, labels in pairs
            ]
            assert shown["rms_calibration_error"][0] == pytest.approx(np.mean(errors), abs=5.1e-4)
            assert shown["gap"] == pytest.approx(confidence.mean() - correct.mean(), abs=5.1e-4)
            _, share, mean_confidence, accuracy = np.transpose(shown["bins"])
            # The bins' gaps join to the calibration error of the pooled seeds.
            joined = np.sqrt((share * (accuracy - mean_confidence) ** 2).sum())
            assert joined == pytest.approx(
                metrics.rms_calibration_error(confidence, correct), abs=1e-3
            )


@pytest.mark.parametrize("dataset", ARMS)
def test_scores_print_as_in_the_tables(results, dataset):
    data, seen = explorer.describe_dataset(dataset), 0
    cells = tables.summarise().query("dataset == @dataset and column != 'Brightness'")
    prefixes = {"brightness": "f", "blur": "sigma"}
    places = {
        f"{prefixes[name]}={s}": k
        for name, shift in data["shifts"].items()
        for s, k in shift["stops"]
    } | {"Clean": data["clean"]}
    for cell in cells.query("column != 'Gaussian Blur'").itertuples():
        (arm,) = (arm for arm in data["arms"] if arm["row"] == cell.row)
        shown = arm["conditions"][places[cell.column]][cell.metric]
        expected = [f"{value:.{cell.digits}f}" for value in (cell.mean, cell.low, cell.high)]
        assert [f"{value:.{cell.digits}f}" for value in shown] == expected
        seen += 1
    assert seen == 30


def test_answers_are_those_to_the_images_shown(results):
    data = explorer.describe_dataset("pathmnist")
    (record, _) = read_records(results, "pathmnist_mixup")
    arm = data["arms"][1]
    assert arm["seed"] == 3
    arrays, names = record.predictions, record.run["data"]["classes"]
    for place, condition in enumerate(arm["conditions"]):
        for label, (answer, confidence, own) in enumerate(condition["answers"]):
            index = arrays["labels"].tolist().index(label)  # the first of its class
            probability = metrics.softmax(arrays["logits"][place, [index]])[0]
            assert answer == names[probability.argmax()]
            assert confidence == pytest.approx(probability.max(), abs=5.1e-4)
            assert own == pytest.approx(probability[label], abs=5.1e-4)


def test_stops_lead_from_weak_to_strong_through_clean(results):
    data = explorer.describe_dataset("pets")
    strengths = {name: [s for s, _ in shift["stops"]] for name, shift in data["shifts"].items()}
    assert strengths == {
        "brightness": [0.6, 0.8, 1.0, 1.2, 1.4],
        "blur": [0.0, *made_up.SIGMAS],
    }
    assert [place for _, place in data["shifts"]["brightness"]["stops"]] == [1, 2, 0, 3, 4]
    assert data["clean"] == 0
    assert len(data["pictures"]) == 9
    assert {len(pictures) for pictures in data["pictures"]} == {4}


def test_an_arm_without_a_condition_says_so(results, monkeypatch):
    monkeypatch.setitem(made_up.FACTORS, "pathmnist", (0.8, 0.9, 1.1, 1.3))
    for seed in (3, 5):
        made_up.write_run(results, "made_up", "pathmnist_mixup", seed)
    made_up.show(monkeypatch, results, "made_up")
    data = explorer.describe_dataset("pathmnist")
    absent = [[c is None for c in arm["conditions"]].count(True) for arm in data["arms"]]
    assert absent == [0, 1, 0]


def test_names_cannot_end_the_script(results):
    harm = "</script><script>alert(1)</script><!--"
    page = explorer.Explorer({"a": harm})._repr_html_()
    assert page.count("</script>") == 1
    assert read_data(page) == {"a": harm}


def test_the_page_has_labels_and_a_text_without_javascript(results):
    page = report.show_explorer()._repr_html_()
    hidden = r'(<span aria-hidden="true"></span>\s*)?'
    for name in ("dataset", "arm", "corruption", "strength"):
        assert re.search(rf'<label>[^<]+{hidden}<(select|input) name="{name}"', page)
    assert 'aria-live="polite"' in page
    assert '<form class="explorer-choice" hidden>' in page
    assert '<p class="explorer-absent">The explorer needs JavaScript' in page


def test_mistakes_tell_what_the_stored_logits_say(results):
    html = report.show_mistakes("pathmnist").data
    (record, _) = read_records(results, "pathmnist_basic")
    arrays = record.predictions
    for place, where in [(0, "clean"), (3, "brightness 1.1"), (7, "blur 0.7")]:
        index = int(np.flatnonzero(~metrics.correct(arrays["logits"][place], arrays["labels"]))[0])
        probability = metrics.softmax(arrays["logits"][place, [index]])[0]
        assert (
            f'alt="{where}: test image {index}, class {arrays["labels"][index]}, taken for class'
            f' {probability.argmax()} with {100 * probability.max():.1f} % confidence"'
        ) in html
    assert html.count("<figure") == 3
    assert html.count("<img") == html.count("alt=") == 9


def test_records_of_an_earlier_version_have_no_gallery(results, monkeypatch):
    records = mistakes.shown_records()
    old = {k: v for k, v in records["pets_scratch"][0].examples.items() if "mistakes" not in k}
    records["pets_scratch"][0].__dict__["examples"] = old
    html = report.show_mistakes("pets").data
    assert html.count("which kept no image of its mistakes") == 1
    assert html.count("<img") == 6


def test_class_names_of_mistakes_are_text(results):
    records = mistakes.shown_records()
    records["pets_scratch"][0].run["data"]["classes"] = ['<b>"&'] * 37
    html = report.show_mistakes("pets").data
    assert "<b>" not in html
    assert '<b>"&' in unescape(html)


@pytest.mark.parametrize(("side", "shown"), [(28, 28), (224, 128)])
def test_small_images_keep_their_bits_and_large_ones_are_light(side, shown):
    across = np.linspace(0, 255, side).astype(np.uint8)
    image = np.stack(
        [
            np.tile(across, (side, 1)),
            np.tile(across[:, None], (1, side)),
            np.eye(side, dtype=np.uint8),
        ]
    )
    kind, content = pictures.encode_image(image, 128).split(";base64,")
    assert kind == "data:image/webp"
    read = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB"))
    assert read.shape == (shown, shown, 3)
    if side == shown:
        np.testing.assert_array_equal(read.transpose(2, 0, 1), image)
    assert len(content) < 8000


@pytest.mark.parametrize("side", [64, 224])
def test_the_busiest_image_is_light(side):
    noise = np.random.default_rng(0).integers(256, size=(3, side, side), dtype=np.uint8)
    assert len(pictures.encode_image(noise)) < 4 / 3 * pictures.HEAVIEST + 40
