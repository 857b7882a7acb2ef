"""Example images: corruptions at every strength, MixUp, and the most confident errors."""

from collections.abc import Iterator
from html import escape
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from helpers.runs.record import Record, read_records

from .escape import redact_paths
from .html_figures import Picture, explain, image_panel
from .provenance import STAND_INS, results_folder
from .records import dataset_title, shown_records
from .styles import show_sign, style_arms


class Examples(NamedTuple):
    """Example images of a data set, or the reason for their absence."""

    source: str  # of the images, for a caption, or the reason
    arrays: dict[str, np.ndarray] | None = None  # as in ``evaluation.make_examples``
    classes: tuple[str, ...] = ()  # by label
    data_sha256: str = ""


def list_examples(dataset: str, part: str = "images") -> Iterator[Examples]:
    """Yield the examples that have a part, best first; at last, the reason if there are none.

    The published images precede those of the runs shown and generated ones of profile smoke.
    """
    title, path = dataset_title(dataset), results_folder() / f"examples/{dataset}.npz"
    if path.exists():
        yield _read_examples(path, title)
    shown = [record for group in shown_records(dataset).values() for record in group]
    for record in chain(shown, read_records(results_folder() / "smoke", f"{dataset}_*", [])):
        if record.data["classes"] and part in (record.examples or ()):
            name, data = str(record.data["name"]), record.data
            kind = "Generated stand-ins" if name in STAND_INS else "Images"
            own = data["official"] or name == dataset
            source = f"{kind}: {title if own else f'{name}, in place of {title}'}."
            yield Examples(source, record.examples, tuple(data["classes"]), data["sha256"])
    yield Examples(
        f"No example images of {title}: `python -m helpers examples` takes some from the data set"
        " in `data/`; the quick check, `python -m helpers run`, generates others."
    )


def _read_examples(path: Path, title: str) -> Examples:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
        classes, sha256 = tuple(arrays["classes"].tolist()), str(arrays["sha256"])
    except Exception:  # zipfile, zlib and numpy raise a dozen kinds
        why = f"{redact_paths(str(path))} cannot be read: write it again with"
        return Examples(f"{why} `python -m helpers examples`.")
    return Examples(f"Images: {title}, as published.", arrays, classes, sha256)


def plot_corruptions(examples: dict[str, np.ndarray], class_names: list[str]) -> Picture:
    """Return the same test images under every corruption; ``class_names`` is indexed by label."""
    names = ", ".join(str(class_names[label]) for label in examples["labels"])
    rows = {}
    parts = examples["corruption"].tolist(), name_conditions(examples), examples["images"]
    for shift, text, images in zip(*parts, strict=True):
        panel = image_panel(
            np.concatenate(images, axis=-1), text, f"{text}: {names}", "min(21rem, 100%)"
        )
        rows.setdefault(shift, []).append(panel)
    clean = rows.pop("clean")
    new_line = '<div style="flex-basis:100%"></div>'
    panels = new_line.join("".join(clean + row) for row in rows.values())
    caption = f"Test images (from the left: {names}), clean and at every strength of a corruption."
    return Picture([panels], caption)


def describe_condition(shift: str, strength: float) -> str:
    """Return the name of a shift with its strength, if it has one."""
    return shift if np.isnan(strength) else f"{shift} {strength:g}"


def name_conditions(arrays: dict[str, np.ndarray]) -> list[str]:
    """Return the names of the conditions of examples or predictions, in their order."""
    return list(map(describe_condition, arrays["corruption"].tolist(), arrays["strength"]))


def show_corruptions(dataset: str) -> Picture:
    """Return the corruptions of a data set on example images; the caption names their source."""
    examples = next(list_examples(dataset))
    if examples.arrays is None:
        return explain(examples.source)
    picture = plot_corruptions(examples.arrays, examples.classes)
    picture.caption += f" {examples.source}"
    return picture


def show_mixup(dataset: str = "pathmnist") -> Picture:
    """Return two training images and their mix at lambda = 0.5."""
    examples = next(list_examples(dataset, "mixup"))
    if examples.arrays is None:
        return explain(examples.source)
    names = [examples.classes[label] for label in examples.arrays["mixup_labels"]]
    pairs = zip(examples.arrays["mixup"], [*names, f"½ {names[0]} + ½ {names[1]}"], strict=True)
    panels = (image_panel(image, text, text, "min(12rem, 100%)") for image, text in pairs)
    return Picture(panels, examples.source)


def show_errors(dataset: str) -> Picture:
    """Return the most confident errors of one run of each arm, by shift."""
    styles, picture = style_arms(dataset), Picture()
    for label, records in shown_records(dataset).items():
        whole = (record for record in records if record.has("predictions.npz"))
        if record := next((r for r in whole if "mistakes" in (r.examples or ())), None):
            sign = show_sign(styles[label])
            for shift, panels in _find_errors(record).items():
                title = f"{sign} <strong>{escape(label)}</strong>, seed {record.seed}: "
                line = f'<div style="flex-basis:100%">{title}{escape(shift)}</div>'
                picture.panels += [line, *(panels or ["no error"])]
    command = f"python -m helpers run --profile paper --only '{dataset}_*'"
    none = f"No run shown here holds images of its errors; those of `{command}` do."
    return picture if picture.panels else explain(none)


def _find_errors(record: Record) -> dict[str, list[str]]:
    examples, logits, labels = record.examples, *map(record.predictions.get, ("logits", "labels"))
    names, shifts = record.data["classes"], {str(name): [] for name in examples["corruption"]}
    keys = "mistakes", "mistakes_index", "mistakes_condition"
    for image, index, place in zip(*(examples[key] for key in keys), strict=True):
        shift, where = str(examples["corruption"][place]), name_conditions(examples)[place]
        probability = softmax(logits[place, index].astype(float))
        taken, true = names[probability.argmax()], names[labels[index]]
        sure = f"{100 * probability.max():.1f} %"
        alt = f"{where}: test image {index}, {true}, taken for {taken} with {sure} confidence"
        text = f"{taken} {sure}; true: {true}" + f"; {where}" * (where != "clean")
        shifts[shift].append(image_panel(image, text, alt, "min(9rem, 45%)"))
    return shifts
