"""Example images: corruptions at every strength, MixUp, and the most confident errors."""

from html import escape

import numpy as np
from IPython.display import HTML

from helpers.metrics import softmax
from helpers.runs.record import Record

from .html_figures import Picture, choose_rendering, encode_image, explain, image_panel
from .records import dataset_title, missing_runs, shown_records
from .styles import show_sign, style_arms

#: Largest width of a mosaic, and side of the images of errors, in pixels, for a light page.
MOSAIC, ERROR_SIDE = 256, 128


def plot_corruptions(examples: dict[str, np.ndarray], class_names: list[str]) -> Picture:
    """Return the same test images under every corruption and strength.

    Parameters
    ----------
    examples : images uint8 (P, k, 3, H, W), labels (k,), corruption str (P,), strength (P,)
    class_names : by label
    """
    side = 2 if 2 * examples["images"].shape[-1] <= MOSAIC else 1
    names = ", ".join(str(class_names[label]) for label in examples["labels"][: side**2])
    rows = {}
    for shift, strength, images in zip(
        examples["corruption"].tolist(), examples["strength"], examples["images"], strict=True
    ):
        text = describe_condition(shift, strength)
        panel = image_panel(images[: side**2], text, f"{text}: {names}", "min(8rem, 30%)")
        rows.setdefault(shift, []).append(panel)
    clean = rows.pop("clean")
    new_line = '<div style="flex-basis:100%"></div>'
    panels = new_line.join("".join(clean + row) for row in rows.values())
    several = f"The same test images (from the top left: {names})"
    which = several if side > 1 else f"A test image ({names})"
    return Picture([panels], f"{which}, clean and at every strength of each corruption.")


def describe_condition(shift: str, strength: float) -> str:
    """Return a shift with its strength, which the clean test set lacks."""
    return shift if np.isnan(strength) else f"{shift} {strength:g}"


def find_examples(groups: dict[str, list[Record]], part: str = "images") -> Record | None:
    """Return the first record, of those by arm, that holds a part of the example images."""
    records = (record for group in groups.values() for record in group)
    return next((r for r in records if r.examples is not None and part in r.examples), None)


def _explain_absence(dataset: str) -> Picture:
    absent = f"The records of {dataset_title(dataset)} contain no example images."
    return explain(absent if shown_records(dataset) else missing_runs(dataset) or absent)


def show_corruptions(dataset: str) -> Picture:
    """Return the corruptions of a data set, from the first record with example images."""
    if record := find_examples(shown_records(dataset)):
        return plot_corruptions(record.examples, record.data["classes"])
    return _explain_absence(dataset)


def show_mixup(dataset: str = "pathmnist") -> Picture:
    """Return two training images and their mix at lambda = 0.5."""
    record = find_examples(shown_records(dataset), "mixup")
    if record is None:
        return _explain_absence(dataset)
    names = [record.data["classes"][label] for label in record.examples["mixup_labels"]]
    texts = [*names, f"½ {names[0]} + ½ {names[1]}"]
    pairs = zip(record.examples["mixup"], texts, strict=True)
    return Picture(
        image_panel(image[None], text, text, "min(12rem, 100%)") for image, text in pairs
    )


def show_errors(dataset: str) -> HTML | Picture:
    """Return the most confident errors: one figure per arm, one row per shift, from one run."""
    styles, figures = style_arms(dataset), []
    for label, records in shown_records(dataset).items():
        if record := find_examples({label: records}, "mistakes"):
            name = f"{show_sign(styles[label])} <strong>{escape(label)}</strong>"
            caption = f"<figcaption>{name}, seed {record.seed}</figcaption>"
            figures.append(f'<figure class="mistakes">{caption}{_show_rows(record)}</figure>')
    return HTML("\n".join(figures)) if figures else _explain_absence(dataset)


def _show_rows(record: Record) -> str:
    """Return the errors of a run as HTML: each with its answer, confidence and true class."""
    examples, logits, labels = record.examples, *map(record.predictions.get, ("logits", "labels"))
    names, shifts = record.data["classes"], dict.fromkeys(examples["corruption"].tolist(), "")
    keys = "mistakes", "mistakes_index", "mistakes_condition"
    for image, index, place in zip(*(examples[key] for key in keys), strict=True):
        shift = str(examples["corruption"][place])
        where = describe_condition(shift, examples["strength"][place])
        probability = softmax(logits[place, [index]])[0]
        predicted, true = names[probability.argmax()], names[labels[index]]
        sure = f"{100 * probability.max():.1f} %"
        alt = f"{where}: test image {index}, {true}, taken for {predicted} with {sure} confidence"
        shifts[shift] += (
            f'<div><img class="dark-light" alt="{escape(alt)}"'
            f' style="image-rendering:{choose_rendering(image.shape[-1])}"'
            f' src="{encode_image(image, ERROR_SIDE)}"><span><strong>{escape(predicted)}</strong>'
            f" {sure}</span><span>true: {escape(true)}</span>"
            f"<span>{'' if where == 'clean' else escape(where)}</span></div>"
        )
    return "".join(
        f'<div role="group" aria-label="{escape(shift)}"><p>{escape(shift)}</p>'
        f"<div>{images or 'no error'}</div></div>"
        for shift, images in shifts.items()
    )
