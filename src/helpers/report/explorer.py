"""Explorer of images, predictions, accuracy and calibration by arm and condition.

The page holds it as JSON, from which ``book/_static/explorer.js`` draws what is chosen.
"""

import json
from html import unescape

import numpy as np
import pandas as pd
from IPython.display import HTML

from helpers.metrics import METRICS, softmax

from .figures import RMS, bin_confidence, find_neutral, read_arms, select, title_axis
from .galleries import find_examples
from .html_figures import choose_rendering, encode_image
from .records import dataset_title, datasets, describe_data, describe_seeds, shown_records
from .styles import style_arms
from .tidy import read_predictions

#: Matplotlib's lines as SVG dashes.
DASHES = {"-": "none", "--": "6 3", "-.": "6 3 1 3", ":": "2 2"}


def show_explorer() -> HTML:
    """Return the data of the page's explorer, for all data sets with runs under a corruption."""
    described = {name: describe_dataset(name) for name in datasets() if read_arms(name)}
    data = json.dumps({k: d for k, d in described.items() if d["shifts"]}, separators=(",", ":"))
    # Class names come from outside: no "<" of theirs may end the element.
    data = data.replace("<", r"\u003c")
    return HTML(f'<script type="application/json" class="explorer-data">{data}</script>')


def describe_dataset(dataset: str) -> dict:
    """Return what the explorer shows of a data set.

    Returns
    -------
    title, data, seeds, images : name, source and number of test images, and the seeds averaged
    clean : index of the clean condition among the P conditions of all arms
    shifts : per corruption its axis' title and stops: pairs of a strength and an index, the clean
        condition included at the strength that changes nothing
    classes, pictures, rendering : class names of the k example images, their data URIs by
        condition, and their CSS; nothing where no record holds examples
    arms : label, colour, sign, dash, seed of the predictions shown, and P conditions, None where
        the arm was not measured
    """
    records, styles = shown_records(dataset), style_arms(dataset)
    predictions = read_arms(dataset)
    conditions = list(dict.fromkeys(c for p in predictions.values() for c in _list(p.conditions)))
    first, images, labels = find_examples(dataset), {}, []
    if first:
        images = dict(zip(_read_conditions(first.examples), first.examples["images"], strict=True))
        labels = first.examples["labels"].tolist()
    pictures = [[encode_image(i) for i in images.get(c, [])] for c in conditions]
    clean = conditions.index(("clean", None))
    return {
        "title": dataset_title(dataset),
        "data": unescape(describe_data(dataset)),
        "seeds": unescape(describe_seeds(dataset)),
        "images": max(p.correct.shape[-1] for p in predictions.values()),
        "clean": clean,
        "shifts": {
            name: {
                "axis": title_axis(name),
                "stops": sorted(
                    [(find_neutral(name), clean)]
                    + [(s, k) for k, (other, s) in enumerate(conditions) if other == name]
                ),
            }
            for name in dict.fromkeys(name for name, _ in conditions if name != "clean")
        },
        "classes": [first.data["classes"][label] for label in labels],
        "pictures": pictures,
        "rendering": choose_rendering(first.examples["images"].shape[-1] if first else 0),
        "arms": [
            {
                "label": label,
                "colour": styles[label].colour,
                "sign": styles[label].sign,
                "dash": DASHES[styles[label].line],
                "seed": group[0].seed,
                "conditions": _describe_arm(dataset, label, conditions, labels),
            }
            for label, group in records.items()
            if label in predictions
        ],
    }


def _list(conditions) -> list[tuple[str, float | None]]:
    return [(str(name), None if pd.isna(s) else float(s)) for name, s in conditions]


def _read_conditions(arrays) -> list[tuple[str, float | None]]:
    return _list(zip(arrays["corruption"].tolist(), arrays["strength"].tolist(), strict=True))


def _describe_arm(dataset, label, conditions, labels) -> list[dict | None]:
    """Return scores, gap, ten confidence bins and answers under each condition.

    ``bins`` : index, share of the images, mean confidence and accuracy of each bin with an image;
    ``answers`` : predicted class, its probability and that of the true class, per example image.
    """
    predictions, record = read_predictions(dataset, label), shown_records(dataset)[label][0]
    table = select(dataset, "accuracy", RMS).query("arm == @label")
    places, described = {c: k for k, c in enumerate(_list(predictions.conditions))}, []
    for condition in conditions:
        if condition not in places:
            described.append(None)
            continue
        (shift, strength), place = condition, places[condition]
        chosen = table["strength"].isna() if strength is None else table["strength"] == strength
        scores = {}
        for row in table[(table["shift"] == shift) & chosen].itertuples():
            known = METRICS[row.metric]
            scale = 100 if known.percent else 1
            ends = np.clip([row.mean, row.low, row.high], 0, 1)
            scores[row.metric] = _round(known.digits, *(scale * ends))
        confidence, correct = predictions.confidence[:, place], predictions.correct[:, place]
        count, sums, hits = bin_confidence(confidence, correct, 10)
        described.append(
            scores
            | {
                "gap": float(np.mean(confidence) - np.mean(correct)),
                "bins": [
                    [k, *_round(4, count[k] / count.sum(), sums[k] / count[k], hits[k] / count[k])]
                    for k in np.flatnonzero(count).tolist()
                ],
                "answers": _list_answers(record, condition, labels),
            }
        )
    return described


def _list_answers(record, condition, labels) -> list[list]:
    """Return the answers of one run to the example images: the first test image of each class."""
    arrays, conditions = record.predictions, _read_conditions(record.predictions)
    if condition not in conditions:
        return []
    indices = [np.flatnonzero(arrays["labels"] == label)[0] for label in labels]
    probabilities = softmax(arrays["logits"][conditions.index(condition), indices])
    return [
        [record.data["classes"][p.argmax()], *_round(3, p.max(), p[label])]
        for p, label in zip(probabilities, labels, strict=True)
    ]


def _round(digits: int, *values: float) -> list[float]:
    return [round(float(value), digits) for value in values]
