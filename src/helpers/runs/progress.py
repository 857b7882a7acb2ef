"""How far each run of a batch is, a line a run: epoch, accuracy, time left."""

import re
from collections.abc import Callable

from tqdm import tqdm

#: What a worker's events are called.
TOPIC = "progress of runs"


class Listener:
    """In place of the file for a kernel's stderr: reads the bars of training and evaluation in it.

    Parameters
    ----------
    tell : called with what each new state of the bar says
    """

    def __init__(self, tell: Callable[[str], None]):
        self.tell = tell

    def write(self, text: str) -> None:
        """Take what the kernel wrote; what is no bar is passed over."""
        state = text.rpartition("\r")[2]
        if bar := re.search(r"(\w+): +\d+%\|.*<([\d:]+),", state):
            parts = [bar[1], f"{bar[2]} left"]
            if epoch := re.search(r"epoch=(\d+/\d+)", state):
                parts.append(f"epoch {epoch[1]}")
            if accuracy := re.search(r"validation_accuracy=([\d.]+)", state):
                parts.append(f"accuracy {accuracy[1]}")
            self.tell(", ".join(parts))

    def flush(self) -> None:
        """Do nothing: all is told at once."""


def tell_batch(name: str) -> Callable[[str], None]:
    """Return a function that tells the batch how far a run is; outside of a batch, nobody."""
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:
        return lambda text: None
    return lambda text: worker.log_event(TOPIC, [name, text])


class Lines:
    """The lines of the runs that are being made, on a terminal; elsewhere nothing is written."""

    def __init__(self):
        self.bars: dict[str, tqdm] = {}

    def show(self, event: tuple) -> None:
        """Take an event of `tell_batch`: when it was, the run's name, and how far it is."""
        name, text = event[1]
        if name not in self.bars:
            self.bars[name] = tqdm(bar_format="{desc}", leave=False, disable=None)
        self.bars[name].set_description_str(f"{name:<32} {text}")

    def close(self, name: str) -> None:
        """Take the line of a run away that has ended."""
        if name in self.bars:
            self.bars.pop(name).close()
