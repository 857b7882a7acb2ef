"""Pictures as HTML with everything inside, so that Jupyter and the book show the same."""

import base64
import io
import re
from html import escape

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

#: Text and axes as they are drawn; on the page, the colour of its small text.
INK = "#787878"

STYLE = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 9,
    "font.size": 9,
    "grid.alpha": 0.35,
    "grid.color": INK,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


class Picture:
    """One or more panels that stand side by side and wrap on a narrow screen.

    Parameters
    ----------
    panels : HTML of each
    caption : of a figure without a number; none for one that its page captions and numbers
    """

    def __init__(self, panels: list[str], caption: str = ""):
        self.panels, self.caption = panels, caption

    def _repr_html_(self) -> str:
        row = "display:flex;flex-wrap:wrap;gap:.75rem;justify-content:center;align-items:flex-start"
        panels = f'<div class="picture" style="{row}">{"".join(self.panels)}</div>'
        if not self.caption:
            return panels
        return f"<figure>{panels}<figcaption>{escape(self.caption)}</figcaption></figure>"


def plot_panel(draw, alt: str, width: float = 2.6, height: float = 2.2) -> str:
    """Return a panel as vector graphics that take the page's colour of text, light or dark.

    Parameters
    ----------
    draw : called with the matplotlib Axes to draw on
    alt : what the panel shows, for those who do not see it; no two panels of a page have the same
    width, height : inches
    """
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": alt}):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.subplots())
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return _fit_into_page(buffer.getvalue(), alt, f"width:{width * 5.5:.1f}rem")


def _fit_into_page(drawing: str, alt: str, style: str) -> str:
    """Return an SVG file of matplotlib as an element that leaves the rest of a page alone.

    Its rules for all elements go into its own style, and of its ids stay those that it refers to:
    hashes, salted with the text, so that no two drawings share one.
    """
    body = " ".join(drawing[drawing.index("<svg") :].split()).replace("> <", "><")
    body = re.sub(r"^<svg [^>]*|<defs><style.*?</style></defs>|font-family: [^;]*; ?", "", body)
    body = re.sub(r' id="(?![mp][0-9a-f]{10}")[^"]*"', "", body).replace(INK, "currentColor")
    size = re.search(r'viewBox="[^"]*"', drawing)[0]
    style += ";max-width:100%;height:auto;overflow:visible;color:var(--pst-color-text-muted)"
    style += ";font-family:'DejaVu Sans',Verdana,sans-serif;stroke-linejoin:round"
    return f'<svg role="img" aria-label="{escape(alt)}" {size} style="{style}"{body}'


def image_panel(images: np.ndarray, caption: str, alt: str, width: str) -> str:
    """Return images as one captioned mosaic, two to a row; an odd number, one to a row.

    Parameters
    ----------
    images : uint8 (k, 3, H, W), shown as they are, without interpolation
    width : a CSS length
    """
    pixels = images.transpose(0, 2, 3, 1)
    wide = 1 if len(pixels) % 2 else 2
    rows = [np.concatenate(pixels[i : i + wide], axis=1) for i in range(0, len(pixels), wide)]
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(rows)).save(buffer, format="png")
    image = _image(buffer.getvalue(), alt, "width:100%;image-rendering:pixelated")
    text = "font-size:.85em;text-align:center;line-height:1.3;padding:.15rem 0"
    return f'<div style="width:{width}">{image}<div style="{text}">{escape(caption)}</div></div>'


def _image(content: bytes, alt: str, style: str) -> str:
    data = base64.b64encode(content).decode()
    return (
        f'<img class="dark-light" alt="{escape(alt)}" style="max-width:100%;{style}"'
        f' src="data:image/png;base64,{data}">'
    )


#: Side in pixels up to which an image is shown to the bit if it is light, each pixel a square.
SMALL = 64

#: Bytes of an image, so that the 72 of a data set on the explorer's page stay below 1 MB.
HEAVIEST = 7500


def choose_rendering(side: int) -> str:
    """Return the CSS image-rendering for images of a side in pixels."""
    return "pixelated" if side <= SMALL else "auto"


def encode_image(image: np.ndarray, largest: int = 224) -> str:
    """Return an image as a light data URI: small ones to the bit if they are light so, others as a
    photograph.

    Parameters
    ----------
    image : uint8 (3, H, W)
    largest : side in pixels that a larger image is reduced to
    """
    picture = Image.fromarray(image.transpose(1, 2, 0))
    picture.thumbnail((largest, largest))
    forms = [(True, 80)] * (max(picture.size) <= SMALL)
    forms += [(False, quality) for quality in (80, 60, 40, 20, 0)]
    for lossless, quality in forms:
        buffer = io.BytesIO()
        picture.save(buffer, "webp", lossless=lossless, quality=quality)
        if buffer.tell() <= HEAVIEST:
            break
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
