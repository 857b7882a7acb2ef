"""The most confident mistakes under each shift, from the images that the runs kept."""

from html import escape

import numpy as np
from IPython.display import HTML

from helpers import metrics

from .pictures import choose_rendering, encode_image
from .source import ARMS, shown_records
from .styles import style_arms

#: Side of the images in pixels, so that the page stays light.
SIDE = 128


def show_mistakes(dataset: str) -> HTML:
    """Return the gallery of a data set: a figure an arm, a row a shift, of each arm's first run."""
    return HTML("\n".join(_show_arm(name, row, dataset) for name, row in ARMS[dataset].items()))


def _show_arm(name: str, row: str, dataset: str) -> str:
    record = shown_records()[name][0]
    style = style_arms(dataset)[row]
    sign = f'<span style="color:{style.colour}" aria-hidden="true">{style.sign}</span>'
    caption = f"<figcaption>{sign} <strong>{escape(row)}</strong>, seed {record.seed}"
    examples = record.examples
    if "mistakes" not in examples:
        text = "was made by an earlier version, which kept no image of its mistakes"
        return f'<figure class="mistakes">{caption} {text}.</figcaption></figure>'
    shifts = dict.fromkeys(dict.fromkeys(examples["corruption"].tolist()), "")
    for image, index, place in zip(
        *(examples[k] for k in ("mistakes", "mistakes_index", "mistakes_condition")), strict=True
    ):
        shift, strength = str(examples["corruption"][place]), examples["strength"][place]
        where = shift if np.isnan(strength) else f"{shift} {strength:g}"
        shifts[shift] += _show_image(record, image, index, place, where)
    rows = [
        f'<div role="group" aria-label="{escape(shift)}"><p>{escape(shift)}</p>'
        f"<div>{images or 'no mistake'}</div></div>"
        for shift, images in shifts.items()
    ]
    return f'<figure class="mistakes">{caption}</figcaption>{"".join(rows)}</figure>'


def _show_image(record, image, index: int, place: int, where: str) -> str:
    names, arrays = record.run["data"]["classes"], record.predictions
    probability = metrics.softmax(arrays["logits"][place, [index]])[0]
    predicted, true = names[probability.argmax()], names[arrays["labels"][index]]
    percent = f"{100 * probability.max():.1f} %"
    alt = f"{where}: test image {index}, {true}, taken for {predicted} with {percent} confidence"
    rendering = choose_rendering(image.shape[-1])
    return (
        f'<div><img class="dark-light" alt="{escape(alt)}" style="image-rendering:{rendering}"'
        f' src="{encode_image(image, SIDE)}"><span><strong>{escape(predicted)}</strong> {percent}'
        f"</span><span>true: {escape(true)}</span><span>{'' if where == 'clean' else escape(where)}"
        "</span></div>"
    )
