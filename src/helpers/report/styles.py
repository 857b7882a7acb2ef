"""Colour, marker and line of each arm, the same on all pages."""

from html import escape
from typing import NamedTuple

import numpy as np
import pandas as pd

from .records import arms, shown_records


class Style(NamedTuple):
    """Appearance of an arm in figures, and its sign in legends."""

    colour: str
    marker: str
    dashes: tuple[int, ...]  # empty for a solid line
    sign: str


#: Okabe and Ito's palette, safe for colour-blind readers, without black and yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

#: Markers of matplotlib with their signs; one more than colours, so that 42 arms differ.
MARKERS = (("o", "●"), ("s", "■"), ("^", "▲"), ("D", "◆"), ("v", "▼"), ("P", "✚"), ("X", "✖"))

DASHES = ((), (6, 3), (6, 3, 1, 3), (2, 2))


def choose_style(place: int) -> Style:
    """Return the style of an arm by its place in the table of its data set."""
    marker, sign = MARKERS[place % len(MARKERS)]
    return Style(COLOURS[place % len(COLOURS)], marker, DASHES[place % len(DASHES)], sign)


def style_arms(dataset: str) -> dict[str, Style]:
    """Return the style of each arm of a data set, by its label."""
    return {label: choose_style(place) for place, label in enumerate(arms(dataset))}


def show_sign(style: Style) -> str:
    """Return the sign of an arm in its colour, which a screen reader skips."""
    return f'<span style="color:{style.colour}" aria-hidden="true">{style.sign}</span>'


def draw_legend(dataset: str) -> str:
    """Return the legend of the arms with runs, on a line of its own above all panels."""
    styles = {label: style_arms(dataset)[label] for label in shown_records(dataset)}
    entries = [f"<span>{show_sign(s)} {escape(label)}</span>" for label, s in styles.items()]
    line = "flex-basis:100%;display:flex;flex-wrap:wrap;gap:0 1.2rem;justify-content:center"
    return f'<div style="{line};font-size:.85em">{"".join(entries)}</div>'


def draw_intervals(panel, x, table: pd.DataFrame, style: Style, line: bool = True) -> None:
    """Draw the means of a table with markers, low to high as bars, and a line unless told not."""
    bars = np.abs(table[["low", "high"]].sub(table["mean"], axis=0)).fillna(0).T.to_numpy()
    look = {"color": style.colour, "marker": style.marker, "ms": 4, "capsize": 2}
    look["linestyle"] = (0, style.dashes) if line else ""
    panel.errorbar(x, table["mean"], bars, **look)
