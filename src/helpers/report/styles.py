"""Colour, marker and line of each arm, the same on all pages."""

from html import escape
from typing import NamedTuple

import numpy as np

from .records import arms


class Style(NamedTuple):
    """Appearance of an arm in figures: colour, marker, line and the sign of a legend."""

    colour: str
    marker: str
    line: str
    sign: str


#: Okabe and Ito's palette, safe for colour-blind readers, without black and yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

#: Markers of matplotlib and their signs. As many more than colours as no 42 arms look alike.
MARKERS = (("o", "●"), ("s", "■"), ("^", "▲"), ("D", "◆"), ("v", "▼"), ("P", "✚"), ("X", "✖"))

LINES = ("-", "--", "-.", ":")


def choose_style(place: int) -> Style:
    """Return the style of an arm by its place in the table of its data set."""
    marker, sign = MARKERS[place % len(MARKERS)]
    return Style(COLOURS[place % len(COLOURS)], marker, LINES[place % len(LINES)], sign)


def style_arms(dataset: str) -> dict[str, Style]:
    """Return the style of each arm of a data set, by its label."""
    return {label: choose_style(place) for place, label in enumerate(arms(dataset))}


def draw_legend(dataset: str) -> str:
    """Return the legend of all panels of a picture, on a line of its own."""
    entries = "".join(
        f'<span><span style="color:{style.colour}" aria-hidden="true">{style.sign}</span>'
        f" {escape(label)}</span>"
        for label, style in style_arms(dataset).items()
    )
    line = "flex-basis:100%;display:flex;flex-wrap:wrap;gap:0 1.2rem;justify-content:center"
    return f'<div style="{line};font-size:.85em">{entries}</div>'


def draw_intervals(axes, positions, mean, low, high, style: Style) -> None:
    """Draw means as a line with markers and their intervals as bars; NaN draws no bar."""
    mean = np.asarray(mean, float)
    bars = np.nan_to_num(np.abs([np.asarray(low) - mean, np.asarray(high) - mean]))
    look = {"color": style.colour, "marker": style.marker, "linestyle": style.line}
    axes.errorbar(list(positions), mean, bars, ms=4, capsize=2, **look)
