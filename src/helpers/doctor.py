"""Check of this machine: what a profile needs and what is missing, and the downloads."""

import os
import platform
from collections.abc import Iterator
from typing import NamedTuple

from helpers import InputError
from helpers.catalogue import PUBLISHED, find_dataset
from helpers.data_files import from_root
from helpers.runs.plan import Job, plan


def examine(profile: str, fetch: bool = False) -> Iterator[tuple[str, str, bool]]:
    """Yield subject, finding, and whether it suffices; with ``fetch``, download what is missing."""
    import torch

    jobs = plan(profile, [0])
    yield "Python", f"{platform.python_version()}, torch {torch.__version__}", True
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    yield "device", gpu or f"CPU, {os.cpu_count()} cores", True
    for what, item in _list_published(jobs):
        try:
            if fetch:
                item.fetch()
            yield what, *_describe(item, profile)
        except InputError as error:
            yield what, str(error), False
    yield from _find_own(jobs)


def fetch_published(jobs: list[Job]) -> None:
    """Download and unpack the published data and weights that jobs need."""
    pairs = [(find_dataset(job.experiment), job.config) for job in jobs]
    data = {(n, c.data_dir, c.image_size) for n, c in pairs if c.data_source == "official"}
    if data or any((c.start, c.network) in PUBLISHED for _, c in pairs):
        from helpers.experiment import load_data

        for _, item in _list_published(jobs):
            item.fetch()
        for name, folder, size in sorted(data):
            load_data(name, "official", folder, size)


def _list_published(jobs: list[Job]) -> list[tuple]:
    """Return the subject and the `PublishedFile` of all data and weights that jobs need."""
    # Late, since this imports torch.
    from helpers.experiment.fetch import locate_weights
    from helpers.experiment.published_data import PUBLISHED_FILES

    found = set()
    for job in jobs:
        config, name = job.config, find_dataset(job.experiment)
        size, folder = config.image_size, config.data_dir
        if config.data_source == "official" and name in PUBLISHED_FILES:
            files = PUBLISHED_FILES[name](folder, size)
            found |= {(f"{name}, {size} px", item) for item in files}
        if (config.start, config.network) in PUBLISHED:
            item = locate_weights(config.start, config.network, folder)
            found.add((f"{config.start}, {config.network}", item))
    return sorted(found)


def _describe(item: NamedTuple, profile: str) -> tuple[str, bool]:
    state = item.state
    if state == "as published":
        return f"{item.path}: {state}, {item.source}", True
    first = "delete it; then " if state == "damaged" else ""
    command = f"`python -m helpers doctor --profile {profile} --fetch`"
    return f"{item.path}: {state}; {first}{command} downloads it, or put {item.source} there", False


def _find_own(jobs: list[Job]) -> Iterator[tuple[str, str, bool]]:
    """Yield rows for the data and checkpoints that jobs name by a path."""
    made = {job.folder / "weights.pt" for job in jobs if not job.config.variant}
    named = set()
    for config in (job.config for job in jobs):
        if config.data_source not in ("official", "synthetic"):
            named.add(("own data", from_root(config.data_source), "data_source"))
        if config.start != "random" and (config.start, config.network) not in PUBLISHED:
            remedy = "initialisation or stand_in_weights"
            named.add(("initial weights", from_root(config.start), remedy))
    for subject, path, parameter in sorted(named):
        enough = path.exists() or path in made
        state = "exists, or the batch makes it" if enough else f"missing; correct {parameter}"
        yield subject, f"{path}: {state}", enough
