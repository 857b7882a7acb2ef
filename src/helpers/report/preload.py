"""What all pages need, made once before the first of them starts; see `helpers.runs.kernels`."""

from .cells import read_predictions, simulate, spread
from .pictures import plot_panel
from .source import EXPERIMENTS


def read_all() -> None:
    """Read the predictions of all shown runs, simulate their noise floors, load the fonts."""
    for name in EXPERIMENTS:
        places = range(len(read_predictions(name).conditions))
        spread(lambda place, name=name: simulate(name, place, False), places)
    plot_panel(lambda axes: axes.set_title("a title"), "")
