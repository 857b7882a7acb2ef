"""The explorer: images, predictions, accuracy and calibration of every arm under every condition.

All that the page shows lies in it as JSON; ``book/_static/explorer.js`` draws what is chosen.
"""

import json
from html import unescape

import numpy as np

from helpers import metrics
from helpers.catalogue import CORRUPTIONS
from helpers.metrics.bins import assign_equal_width

from .cells import Predictions, read_predictions, score
from .diagrams import AXES
from .paper import DIGITS, LARGEST
from .pictures import choose_rendering, encode_image
from .source import ARMS, DATASETS, describe_data, describe_seeds, shown_records
from .styles import style_arms

#: How SVG writes the lines of the arms' styles.
DASHES = {"-": "none", "--": "6 3", "-.": "6 3 1 3"}

#: What the script fills; without it the text alone is seen.
PAGE = """\
<div class="explorer">
<p class="explorer-absent">The explorer needs JavaScript. Without it: the images are on the page
<a href="data.html">Data</a>, the numbers of every strength in the tables of
<a href="results/pathmnist.html">PathMNIST</a> and <a href="results/pets.html">Pets</a>, and the
reliability diagrams under <a href="calibration.html">Calibration in depth</a>.</p>
<form class="explorer-choice" hidden>
<label>Data set <select name="dataset" autocomplete="off"></select></label>
<label>Arm <select name="arm" autocomplete="off"></select></label>
<label>Corruption <select name="corruption" autocomplete="off"></select></label>
<label>Strength<span aria-hidden="true"></span>
<input name="strength" type="range" min="0" step="1" autocomplete="off"></label>
</form>
<p class="explorer-summary" aria-live="polite"></p>
<p class="explorer-basis"></p>
<div class="explorer-images"></div>
<div class="explorer-plots"></div>
<script type="application/json">{data}</script>
</div>"""


class Explorer:
    """The explorer as HTML with its data inside."""

    def __init__(self, data: dict):
        self.data = data

    def _repr_html_(self) -> str:
        # Names come from outside: no "<" of theirs may end the element.
        data = json.dumps(self.data, separators=(",", ":")).replace("<", r"\u003c")
        return PAGE.replace("{data}", data)


def show_explorer() -> Explorer:
    """Return the explorer of all data sets."""
    return Explorer({dataset: describe_dataset(dataset) for dataset in ARMS})


def describe_dataset(dataset: str, bins: int = 10) -> dict:
    """Return what the explorer shows of a data set.

    Returns
    -------
    title, data : its name, and what the runs used for it
    seeds, images : whose scores are averaged; number of test images
    classes : names of the example images' classes
    clean : place of the clean images among the P conditions
    shifts : corruption to its axis' name and its stops, pairs of a strength and the place of its
        condition, clean among them where the corruption does nothing
    pictures, rendering : data URIs, P conditions of k images; CSS
    arms : of each its row, colour, sign, dash, the seed whose predictions are told, P conditions
        (`_describe_condition`, None where the arm was not run on one)
    """
    records = shown_records()
    first = records[next(iter(ARMS[dataset]))][0]
    names, examples = first.run["data"]["classes"], first.examples
    conditions = _list_conditions(examples)
    styles = style_arms(dataset)
    arms = [
        {
            "row": row,
            "colour": styles[row].colour,
            "sign": styles[row].sign,
            "dash": DASHES[styles[row].line],
            "seed": records[name][0].seed,
            "conditions": _describe_arm(name, examples["labels"], conditions, names, bins),
        }
        for name, row in ARMS[dataset].items()
    ]
    return {
        "title": DATASETS[dataset],
        "data": unescape(describe_data(dataset)),
        "seeds": describe_seeds(dataset),
        "images": len(first.predictions["labels"]),
        "classes": [names[label] for label in examples["labels"]],
        "clean": conditions.index(("clean", None)),
        "shifts": _list_shifts(conditions),
        "pictures": [[encode_image(image) for image in images] for images in examples["images"]],
        "rendering": choose_rendering(examples["images"].shape[-1]),
        "arms": arms,
    }


def _list_conditions(arrays: dict[str, np.ndarray]) -> list[tuple[str, float | None]]:
    pairs = zip(arrays["corruption"].tolist(), arrays["strength"].tolist(), strict=True)
    return [(name, None if np.isnan(strength) else strength) for name, strength in pairs]


def _list_shifts(conditions: list[tuple[str, float | None]]) -> dict[str, dict]:
    clean = conditions.index(("clean", None))
    shifts = {}
    for name in dict.fromkeys(name for name, _ in conditions if name != "clean"):
        stops = [(value, k) for k, (other, value) in enumerate(conditions) if other == name]
        known = CORRUPTIONS.get(name)  # records may have one that the catalogue has no more
        stops = sorted([*stops, (known.neutral if known else 0.0, clean)])
        shifts[name] = {"axis": AXES.get(name, name), "stops": stops}
    return shifts


def _describe_arm(name, labels, conditions, class_names, bins) -> list[dict | None]:
    predictions, record = read_predictions(name), shown_records()[name][0]
    # The examples are the first test image of their class.
    chosen = [int(np.flatnonzero(record.predictions["labels"] == label)[0]) for label in labels]
    there = _list_conditions(record.predictions)
    described = []
    for condition in conditions:
        if condition not in there:
            described.append(None)
            continue
        place = there.index(condition)
        logits = record.predictions["logits"][place, chosen]
        answers = [
            [class_names[probability.argmax()], *_round(3, probability.max(), probability[label])]
            for probability, label in zip(metrics.softmax(logits), labels, strict=True)
        ]
        described.append(_describe_condition(predictions, place, bins) | {"answers": answers})
    return described


def _describe_condition(predictions: Predictions, place: int, bins: int) -> dict:
    """Return the scores under one condition, and its bins of the confidence, all seeds pooled.

    Returns
    -------
    accuracy_percent, rms_calibration_error : mean, low and high end of the 95 % interval
    gap : mean confidence minus accuracy
    bins : of each bin with an image its place, its share of the images, their mean confidence and
        their accuracy
    """
    described = {}
    for metric, largest in LARGEST.items():
        found = score(predictions, metric, place).estimate()
        ends = np.clip([found.low, found.high], 0, largest)
        # As tables print them: what is rounded again in the page stays the same.
        described[metric] = _round(DIGITS[metric], found.mean, *ends)
    confidence = predictions.confidence[:, place].ravel()
    correct = predictions.correct[:, place].ravel()
    index = assign_equal_width(confidence, bins)
    (described["gap"],) = _round(3, confidence.mean() - correct.mean())
    described["bins"] = []
    for k in np.unique(index).tolist():
        inside = index == k
        numbers = inside.mean(), confidence[inside].mean(), correct[inside].mean()
        described["bins"].append([k, *_round(4, *numbers)])
    return described


def _round(digits: int, *values: float) -> list[float]:
    return [round(float(value), digits) for value in values]
