"""Figures as self-contained HTML, the same in Jupyter and in the book."""

import base64
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from html import escape

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

#: Colour of text and axes in a drawing, which a page replaces by its muted text colour.
INK = "#787878"

STYLE = {
    **dict.fromkeys(["axes.edgecolor", "axes.labelcolor", "grid.color", "text.color"], INK),
    **dict.fromkeys(["xtick.color", "ytick.color"], INK),
    **dict.fromkeys(["axes.spines.right", "axes.spines.top"], False),
    **dict.fromkeys(["axes.titlesize", "font.size"], 9),
    "grid.alpha": 0.35,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
}

#: Largest side in pixels of images that are stored without loss and enlarged without smoothing.
SMALL = 64


class Picture:
    """Panels (HTML) that wrap on a narrow screen, and a caption if the page does not write one."""

    def __init__(self, panels: Iterable[str] = (), caption: str = ""):
        self.panels, self.caption = list(panels), caption

    @contextmanager
    def plot(
        self, alt: str, width: float = 2.6, height: float = 2.3, grid: str = "y", **axes
    ) -> Iterator[Axes]:
        """Add a drawing (inches) with properties of the yielded Axes; ignores any matplotlibrc.

        The text alternative, `alt`, must be unique on its page.
        """
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE | {"svg.hashsalt": alt})
            figure, buffer = Figure(figsize=(width, height), layout="constrained"), io.StringIO()
            panel = figure.subplots()
            yield panel
            panel.set(**axes)
            panel.grid(axis=grid)
            nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
            figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
        self.panels.append(_embed_svg(buffer.getvalue(), alt, f"width:{width * 5.5:.1f}rem"))

    def _repr_html_(self) -> str:
        row = "display:flex;flex-wrap:wrap;gap:.75rem;justify-content:center;align-items:flex-start"
        panels = f'<div class="picture" style="{row}">{"".join(self.panels)}</div>'
        if not self.caption:
            return panels
        return f"<figure>{panels}<figcaption>{escape(self.caption)}</figcaption></figure>"


def explain(text: str) -> Picture:
    """Return a line of text in place of a figure; text in backticks is code."""
    text = re.sub("`(.+?)`", r"<code>\1</code>", escape(text))
    return Picture([f"<p>{text}</p>"])


def _embed_svg(drawing: str, alt: str, style: str) -> str:
    """Return matplotlib's SVG file as an element that affects nothing else on its page.

    Rules for all elements move into its own style. Only the ids in use remain: hashes, salted with
    the text alternative, so that no two drawings share one.
    """
    body = " ".join(drawing[drawing.index("<svg") :].split()).replace("> <", "><")
    body = re.sub(r"^<svg [^>]*|<defs><style.*?</style></defs>|font-family: [^;]*; ?", "", body)
    body = re.sub(r' id="(?![mp][0-9a-f]{10}")[^"]*"', "", body).replace(INK, "currentColor")
    size = re.search(r'viewBox="[^"]*"', drawing)[0]
    style += ";max-width:100%;height:auto;overflow:visible;color:var(--pst-color-text-muted)"
    style += ";font-family:'DejaVu Sans',Verdana,sans-serif;stroke-linejoin:round"
    return f'<svg role="img" aria-label="{escape(alt)}" {size} style="{style}"{body}'


def image_panel(image: np.ndarray, caption: str, alt: str, width: str) -> str:
    """Return an image uint8 (3, H, W) with a caption; `width` is a CSS length."""
    look = f"width:100%;image-rendering:{choose_rendering(image.shape[1])}"
    text = "font-size:.85em;text-align:center;line-height:1.3;padding:.15rem 0"
    return (
        f'<div style="width:{width}"><img class="dark-light" alt="{escape(alt)}" style="{look}"'
        f' src="{encode_image(image)}"><div style="{text}">{escape(caption)}</div></div>'
    )


def choose_rendering(side: int) -> str:
    """Return the CSS image-rendering for images of a side in pixels."""
    return "pixelated" if side <= SMALL else "auto"


def encode_image(image: np.ndarray) -> str:
    """Return an image uint8 (3, H, W) as a data URI of at most 224 rows and 448 columns."""
    picture, buffer = Image.fromarray(image.transpose(1, 2, 0)), io.BytesIO()
    picture.thumbnail((448, 224))
    picture.save(buffer, "webp", lossless=picture.height <= SMALL, quality=60)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
