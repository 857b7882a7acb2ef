"""One colour, marker and line for each arm, on all pages."""

from collections.abc import Iterable
from html import escape
from typing import NamedTuple

import numpy as np

from helpers.metrics import Estimate

from .pictures import INK
from .source import ARMS


class Style(NamedTuple):
    """How all figures draw an arm: colour, marker and line, and the sign of a legend."""

    colour: str
    marker: str
    line: str
    sign: str


#: By the arm's place in the table. Okabe and Ito's palette is safe for colour-blind readers;
#: markers and lines survive print in grey.
STYLES = (
    Style("#0072B2", "o", "-", "●"),
    Style("#D55E00", "s", "--", "■"),
    Style("#009E73", "^", "-.", "▲"),
)


def style_arms(dataset: str) -> dict[str, Style]:
    """Return the style of each row of a data set's tables."""
    return dict(zip(ARMS[dataset].values(), STYLES, strict=True))


def find_colour(experiment: str) -> str:
    """Return the colour of an experiment that is an arm; of another one that of text."""
    places = {name: place for arms in ARMS.values() for place, name in enumerate(arms)}
    return STYLES[places[experiment]].colour if experiment in places else INK


def legend_panel(dataset: str) -> str:
    """Return the legend of all panels of a picture, a line of its own above or below them."""
    entries = "".join(
        f'<span><span style="color:{style.colour}" aria-hidden="true">{style.sign}</span>'
        f" {escape(row)}</span>"
        for row, style in style_arms(dataset).items()
    )
    line = "flex-basis:100%;display:flex;flex-wrap:wrap;gap:0 1.2rem;justify-content:center"
    return f'<div style="{line};font-size:.85em">{entries}</div>'


def draw_estimates(axes, places: Iterable[float], estimates: Iterable[Estimate], style: Style):
    """Draw means as a line and their intervals as bars."""
    mean, low, high = np.array([(e.mean, e.low, e.high) for e in estimates]).T
    bars = np.abs([low - mean, high - mean])
    look = {"color": style.colour, "marker": style.marker, "linestyle": style.line}
    axes.errorbar(list(places), mean, bars, ms=4, capsize=2, **look)
