"""Example images: corruptions at every strength, MixUp, and the most confident errors."""

from html import escape

import numpy as np
from IPython.display import HTML

from helpers.metrics import softmax
from helpers.runs.record import Record

from .html_figures import Picture, choose_rendering, encode_image, explain, image_panel
from .records import dataset_title, missing_runs, shown_records
from .styles import Style, style_arms

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
    images = examples["images"][:, : side**2]
    names = ", ".join(str(class_names[label]) for label in examples["labels"][: side**2])
    corruption = [str(name) for name in examples["corruption"]]
    panels = []
    for shift in dict.fromkeys(name for name in corruption if name != "clean"):
        places = [corruption.index("clean"), *np.flatnonzero(np.array(corruption) == shift)]
        for place in places:
            strength = examples["strength"][place]
            text = "clean" if corruption[place] == "clean" else f"{shift} {strength:g}"
            panels.append(image_panel(images[place], text, f"{text}: {names}", "min(8rem, 30%)"))
        panels.append('<div style="flex-basis:100%"></div>')
    which = (
        f"The same test images (from the top left: {names})"
        if side > 1
        else f"A test image ({names})"
    )
    return Picture(panels[:-1], f"{which}, clean and at every strength of each corruption.")


def find_examples(dataset: str, part: str = "images") -> Record | None:
    """Return the first shown record that holds a part of the example images."""
    records = (record for group in shown_records(dataset).values() for record in group)
    return next((r for r in records if r.examples is not None and part in r.examples), None)


def _explain_absence(dataset: str) -> Picture:
    absent = f"The records of {dataset_title(dataset)} hold no example images."
    return explain(absent if shown_records(dataset) else missing_runs(dataset) or absent)


def show_corruptions(dataset: str) -> Picture:
    """Return the corruptions of a data set, from the first record with example images."""
    record = find_examples(dataset)
    if record is None:
        return _explain_absence(dataset)
    return plot_corruptions(record.examples, record.data["classes"])


def show_mixup(dataset: str = "pathmnist") -> Picture:
    """Return two training images and their mix at lambda = 0.5."""
    record = find_examples(dataset, "mixup")
    if record is None:
        return _explain_absence(dataset)
    names = [record.data["classes"][label] for label in record.examples["mixup_labels"]]
    captions = [*names, f"½ {names[0]} + ½ {names[1]}"]
    pairs = zip(record.examples["mixup"], captions, strict=True)
    return Picture(
        [image_panel(image[None], text, text, "min(12rem, 100%)") for image, text in pairs]
    )


def show_errors(dataset: str) -> HTML | Picture:
    """Return the most confident errors: one figure per arm, one row per shift, from one run."""
    styles, figures = style_arms(dataset), []
    for label, records in shown_records(dataset).items():
        has = (r for r in records if r.examples is not None and "mistakes" in r.examples)
        if record := next(has, None):
            figures.append(_show_arm(record, label, styles[label]))
    return HTML("\n".join(figures)) if figures else _explain_absence(dataset)


def _show_arm(record: Record, label: str, style: Style) -> str:
    examples = record.examples
    shifts = dict.fromkeys(examples["corruption"].tolist(), "")
    keys = "mistakes", "mistakes_index", "mistakes_condition"
    for image, index, place in zip(*(examples[key] for key in keys), strict=True):
        shift, strength = str(examples["corruption"][place]), examples["strength"][place]
        where = shift if np.isnan(strength) else f"{shift} {strength:g}"
        shifts[shift] += _show_image(record, image, index, place, where)
    rows = [
        f'<div role="group" aria-label="{escape(shift)}"><p>{escape(shift)}</p>'
        f"<div>{images or 'no error'}</div></div>"
        for shift, images in shifts.items()
    ]
    sign = f'<span style="color:{style.colour}" aria-hidden="true">{style.sign}</span>'
    caption = f"{sign} <strong>{escape(label)}</strong>, seed {record.seed}"
    rows = "".join(rows)
    return f'<figure class="mistakes"><figcaption>{caption}</figcaption>{rows}</figure>'


def _show_image(record: Record, image, index: int, place: int, where: str) -> str:
    names, arrays = record.data["classes"], record.predictions
    probability = softmax(arrays["logits"][place, [index]])[0]
    predicted, true = names[probability.argmax()], names[arrays["labels"][index]]
    percent = f"{100 * probability.max():.1f} %"
    alt = f"{where}: test image {index}, {true}, taken for {predicted} with {percent} confidence"
    rendering = choose_rendering(image.shape[-1])
    return (
        f'<div><img class="dark-light" alt="{escape(alt)}" style="image-rendering:{rendering}"'
        f' src="{encode_image(image, ERROR_SIDE)}"><span><strong>{escape(predicted)}</strong>'
        f" {percent}</span><span>true: {escape(true)}</span>"
        f"<span>{'' if where == 'clean' else escape(where)}</span></div>"
    )
