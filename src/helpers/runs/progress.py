"""Progress of the runs of a batch, from the files that their trainings write after each epoch."""

import sys
from collections.abc import Iterable
from datetime import datetime

from tqdm import tqdm

from .checkpoint import read_progress
from .plan import Job


def describe_progress(progress: dict) -> str:
    """Return the epoch, the accuracies, the speed and the expected end of a training."""
    parts = [f"epoch {progress['epoch']} of {progress['epochs']}"]
    if (accuracy := progress.get("validation_accuracy")) is not None:
        best = progress["best_validation_accuracy"]
        parts.append(f"validation accuracy {accuracy:.3f} (best {best:.3f})")
    if seconds := progress.get("seconds_per_epoch"):
        left = seconds * (progress["epochs"] - progress["epoch"])
        end = datetime.fromtimestamp(progress["updated"] + left).astimezone()
        parts += [f"{seconds:.1f} s per epoch", f"training ends about {end:%a %H:%M}"]
    return ", ".join(parts)


class Monitor:
    """Display of the runs in progress: a bar each on a terminal, a line per epoch in a log."""

    def __init__(self, jobs: Iterable[Job]):
        self.jobs = list(jobs)
        self.bars: dict[str, tqdm] = {}
        # Files of runs that were interrupted before this batch are no news.
        self.shown = {job.name: read_progress(job.folder) for job in self.jobs}

    def update(self) -> None:
        """Read the progress files, and show the ones that have changed."""
        for job in self.jobs:
            progress = read_progress(job.folder)
            if progress is None or progress == self.shown[job.name]:
                continue
            self.shown[job.name] = progress
            text = f"{job.name:<32} {describe_progress(progress)}"
            if not sys.stdout.isatty():
                tqdm.write(text)
            if job.name not in self.bars:
                self.bars[job.name] = tqdm(bar_format="{desc}", leave=False, disable=None)
            self.bars[job.name].set_description_str(text)

    def close(self, job: Job) -> None:
        """Remove the display of a run that has ended."""
        self.jobs.remove(job)
        if job.name in self.bars:
            self.bars.pop(job.name).close()
