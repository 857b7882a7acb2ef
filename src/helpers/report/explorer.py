"""Data of the interactive page: images, predictions and scores by arm and condition.

The page holds the data as JSON; ``book/_static/explorer.js`` draws the selection.
"""

import json
from html import unescape

import numpy as np
from IPython.display import HTML
from scipy.special import softmax

from helpers.metrics import METRICS
from helpers.runs.record import Record

from .figures import bin_confidence, describe_axis, read_arms
from .galleries import describe_condition, list_examples, name_conditions
from .html_figures import choose_rendering, encode_image
from .records import dataset_title, datasets, describe_data, describe_seeds, shown_records
from .styles import style_arms
from .tidy import RMS, Predictions, find_estimate


def show_explorer() -> HTML:
    """Return the data of the page's explorer, for all data sets with runs under a corruption."""
    described = {name: describe_dataset(name) for name in datasets() if read_arms(name)}
    data = json.dumps({k: d for k, d in described.items() if d["shifts"]}, separators=(",", ":"))
    # Class names are external input: a "<" in one must not end the element.
    data = data.replace("<", r"\u003c")
    return HTML(f'<script type="application/json" class="explorer-data">{data}</script>')


def describe_dataset(dataset: str) -> dict:
    """Return the explorer's data for a data set.

    The ``stops`` of a shift are pairs of a strength and the name of a condition, with the clean
    test set at the strength that changes nothing. An arm may lack conditions, as may the pictures.
    """
    found, shifts = read_arms(dataset), {}
    for shift, strength in (c for p in found.values() for c in p.conditions if c[0] != "clean"):
        title, neutral = describe_axis(shift)
        shifts.setdefault(shift, {"axis": title, "stops": {neutral: "clean"}})
        shifts[shift]["stops"][strength] = describe_condition(shift, strength)
    for shift in shifts.values():
        shift["stops"] = sorted(shift["stops"].items())
    (record, *_), *_ = shown_records(dataset).values()  # all have the same data
    seen, labels, classes, pictures, side = record.data["sha256"], [], (), {}, 0
    if examples := next((e for e in list_examples(dataset) if e.data_sha256 == seen), None):
        arrays, classes = examples.arrays, examples.classes
        labels, side = arrays["labels"].tolist(), arrays["images"].shape[-1]
        for condition, images in zip(name_conditions(arrays), arrays["images"], strict=True):
            pictures[condition] = [encode_image(image) for image in images]
    return {
        "title": dataset_title(dataset),
        "data": unescape(describe_data(dataset)),
        "seeds": unescape(describe_seeds(dataset)),
        "images": max(p.correct.shape[-1] for p in found.values()),
        "shifts": shifts,
        "rendering": choose_rendering(side),
        "classes": [classes[label] for label in labels],
        "pictures": pictures,
        "arms": [_describe_arm(dataset, *arm, labels) for arm in found.items()],
    }


def _describe_arm(dataset: str, label: str, predictions: Predictions, labels: list[int]) -> dict:
    records, style, conditions = shown_records(dataset)[label], style_arms(dataset)[label], {}
    record = next(record for record in records if record.has("predictions.npz"))
    answers = _list_answers(record, labels)
    for place, (shift, strength) in enumerate(predictions.conditions):
        name = describe_condition(shift, strength)
        pair = predictions.confidence[:, place], predictions.correct[:, place]
        conditions[name] = {"answers": answers.get(name, []), **_pool(*pair)}
        for metric in ("accuracy", RMS):  # mean and interval as printed
            key = shift, None if np.isnan(strength) else strength
            row, known = find_estimate(dataset, label, metric, *key), METRICS[metric]
            ends = np.clip([row[name] for name in ("mean", "low", "high")], 0, 1)
            conditions[name][metric] = _round(ends * (100 if known.percent else 1), known.digits)
    dash = " ".join(map(str, style.dashes)) or "none"
    look = {"colour": style.colour, "sign": style.sign, "dash": dash}
    return {"label": label, "seed": record.seed, **look, "conditions": conditions}


def _pool(confidence: np.ndarray, correct: np.ndarray) -> dict:
    """Return the gap, and the index, share, mean confidence and accuracy of each bin."""
    count, sums, hits = bin_confidence(confidence, correct, 10)
    used = np.flatnonzero(count)
    bins = np.stack([count / count.sum(), sums / count.clip(1), hits / count.clip(1)], axis=1)
    return {
        "gap": float(np.mean(confidence) - np.mean(correct)),
        "bins": [[k, *_round(bins[k], 4)] for k in used.tolist()],
    }


def _list_answers(record: Record, labels: list[int]) -> dict[str, list[list]]:
    """Return a run's answers by condition: predicted class, its probability and the true one's."""
    arrays, names, answers = record.predictions, record.data["classes"], {}
    indices = [np.flatnonzero(arrays["labels"] == label)[0] for label in labels]
    for condition, logits in zip(name_conditions(arrays), arrays["logits"], strict=True):
        pairs = list(zip(softmax(logits[indices].astype(float), axis=1), labels, strict=True))
        answers[condition] = [[names[p.argmax()], *_round([p.max(), p[k]], 3)] for p, k in pairs]
    return answers


def _round(values, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]
