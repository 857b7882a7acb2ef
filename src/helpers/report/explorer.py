"""Explorer of images, predictions, accuracy and calibration by arm and condition.

The page holds the data as JSON; ``book/_static/explorer.js`` draws the selection.
"""

import json
from html import unescape

import numpy as np
from IPython.display import HTML

from helpers.metrics import METRICS, softmax
from helpers.runs.record import Record

from .figures import bin_confidence, describe_axis, read_arms
from .galleries import list_examples
from .html_figures import choose_rendering, encode_image
from .records import dataset_title, datasets, describe_data, describe_seeds, shown_records
from .styles import style_arms
from .tidy import RMS, find_estimate

#: Matplotlib's lines as SVG dashes.
DASHES = {"-": "none", "--": "6 3", "-.": "6 3 1 3", ":": "2 2"}


def show_explorer() -> HTML:
    """Return the data of the page's explorer, for all data sets with runs under a corruption."""
    described = {name: describe_dataset(name) for name in datasets() if read_arms(name)}
    data = json.dumps({k: d for k, d in described.items() if d["shifts"]}, separators=(",", ":"))
    # Class names are external input: a "<" in one must not end the element.
    data = data.replace("<", r"\u003c")
    return HTML(f'<script type="application/json" class="explorer-data">{data}</script>')


def describe_dataset(dataset: str) -> dict:
    """Return the explorer's data for a data set.

    Conditions are numbered over all arms. The ``stops`` of a shift are pairs of a strength and a
    condition's number, with the clean test set at the strength that changes nothing. An arm has
    None for a condition that it was not measured under.
    """
    records, found = shown_records(dataset), read_arms(dataset)
    conditions = list(dict.fromkeys(c for p in found.values() for c in _list(p.conditions)))
    clean, shifts = conditions.index(("clean", None)), {}
    for shift in dict.fromkeys(name for name, _ in conditions if name != "clean"):
        title, neutral = describe_axis(shift)
        stops = [(s, place) for place, (name, s) in enumerate(conditions) if name == shift]
        shifts[shift] = {"axis": title, "stops": sorted([(neutral, clean), *stops])}
    seen, labels, classes, images = next(iter(records.values()))[0].data["sha256"], [], (), {}
    for _, arrays, names, data in list_examples(dataset):
        if arrays is not None and data == seen and not labels:  # the images that the networks saw
            labels, classes = arrays["labels"].tolist(), names
            images = dict(zip(_list_conditions(arrays), arrays["images"], strict=True))
    return {
        "title": dataset_title(dataset),
        "data": unescape(describe_data(dataset)),
        "seeds": unescape(describe_seeds(dataset)),
        "images": max(p.correct.shape[-1] for p in found.values()),
        "clean": clean,
        "shifts": shifts,
        "rendering": choose_rendering(max((i.shape[-1] for i in images.values()), default=0)),
        "classes": [classes[label] for label in labels],
        "pictures": [[encode_image(i) for i in images.get(c, [])] for c in conditions],
        "arms": [_describe_arm(dataset, *arm, labels, conditions) for arm in found.items()],
    }


def _describe_arm(dataset, label: str, predictions, labels: list[int], conditions: list) -> dict:
    records, style, measured = shown_records(dataset)[label], style_arms(dataset)[label], {}
    record = next(record for record in records if record.has("predictions.npz"))
    answers = _list_answers(record, labels)
    for place, condition in enumerate(_list(predictions.conditions)):
        pair = predictions.confidence[:, place], predictions.correct[:, place]
        measured[condition] = {"answers": answers.get(condition, []), **_pool(*pair)}
        for metric in ("accuracy", RMS):  # mean and interval as printed
            row, known = find_estimate(dataset, label, metric, *condition), METRICS[metric]
            ends = np.clip([row[name] for name in ("mean", "low", "high")], 0, 1)
            scores = _round(ends * (100 if known.percent else 1), known.digits)
            measured[condition][metric] = scores
    arm = {"label": label, "seed": record.seed, "dash": DASHES[style.line]}
    arm |= {"colour": style.colour, "sign": style.sign}
    return arm | {"conditions": [measured.get(condition) for condition in conditions]}


def _list(conditions) -> list[tuple[str, float | None]]:
    """Return conditions that compare equal, with None (as in JSON) instead of NaN."""
    return [(str(shift), None if np.isnan(s) else float(s)) for shift, s in conditions]


def _list_conditions(arrays) -> list[tuple[str, float | None]]:
    return _list(zip(arrays["corruption"], arrays["strength"], strict=True))


def _pool(confidence: np.ndarray, correct: np.ndarray) -> dict:
    """Return the gap, and the index, share, mean confidence and accuracy of each bin."""
    count, sums, hits = bin_confidence(confidence, correct, 10)
    used = np.flatnonzero(count)
    bins = np.stack([count / count.sum(), sums / count.clip(1), hits / count.clip(1)], axis=1)
    return {
        "gap": float(np.mean(confidence) - np.mean(correct)),
        "bins": [[k, *_round(bins[k], 4)] for k in used.tolist()],
    }


def _list_answers(record: Record, labels: list[int]) -> dict[tuple, list[list]]:
    """Return a run's answers to the first test image of each class, by condition.

    An answer is the predicted class, its probability, and that of the true class.
    """
    arrays, names = record.predictions, record.data["classes"]
    indices = [np.flatnonzero(arrays["labels"] == label)[0] for label in labels]
    return {
        condition: [
            [names[p.argmax()], *_round([p.max(), p[label]], 3)]
            for p, label in zip(softmax(logits[indices]), labels, strict=True)
        ]
        for condition, logits in zip(_list_conditions(arrays), arrays["logits"], strict=True)
    }


def _round(values, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]
