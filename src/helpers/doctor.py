"""Check of this machine: what a profile needs, what is missing, and its download."""

import os
import platform
import re
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from multiprocessing import get_context
from typing import NamedTuple

from helpers import ROOT, InputError
from helpers.catalogue import DATASETS, PUBLISHED, find_dataset
from helpers.runs.plan import Job, plan
from helpers.source_files import from_root


def examine(profile: str, fetch: bool = False) -> Iterator[tuple[str, str, bool]]:
    """Yield subject, finding, and whether it suffices; with ``fetch``, download what is missing."""
    import torch  # here and below: a batch imports this module, but not torch

    jobs = plan(profile, [0])
    yield "Python", platform.python_version(), True
    yield "packages", *_compare_packages()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    yield "device", gpu or f"CPU, {os.cpu_count()} cores", True
    for place in sorted({p for job in jobs for p in (job.config.results, job.config.data_dir)}):
        path = from_root(place)
        folder = next(folder for folder in (path, *path.parents) if folder.exists())
        yield f"disk at {place}", f"{shutil.disk_usage(folder).free / 1e9:.1f} GB free", True
    for what, item in _list_published(jobs):
        try:
            if fetch and item.state == "missing":
                item.fetch()
            yield what, *_describe(item, profile)
        except InputError as error:
            yield what, str(error), False
    yield from sorted(_find_own(jobs))


def _list_published(jobs: Iterable[Job]) -> list[tuple]:
    """Return the subject and the `PublishedFile` of all data and weights that jobs need."""
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
    path = item.path.relative_to(ROOT) if item.path.is_relative_to(ROOT) else item.path
    state = item.state
    if state == "as published":
        return f"{path}: {state}, {item.source}", True
    first = "delete it; then " if state == "damaged" else ""
    command = f"`python -m helpers doctor --profile {profile} --fetch`"
    return f"{path}: {state}; {first}{command} downloads it, or put {item.source} there", False


def fetch_published(jobs: list[Job]) -> None:
    """Download what jobs need, in a separate process because that imports torch."""
    configs = [job.config for job in jobs]
    if any(c.data_source == "official" or (c.start, c.network) in PUBLISHED for c in configs):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            pool.submit(_fetch, jobs).result()


def _fetch(jobs: list[Job]) -> None:
    for _, item in _list_published(jobs):
        item.fetch()


def _find_own(jobs: list[Job]) -> set[tuple[str, str, bool]]:
    made = {job.folder / "weights.pt" for job in jobs if not job.config.variant}
    found = set()
    for job in jobs:
        config, name = job.config, find_dataset(job.experiment)
        what, path = f"{name}, {config.image_size} px", from_root(config.data_source)
        if config.data_source == "synthetic" and DATASETS[name].stand_in:
            found.add((what, "generated stand-in", True))
        elif config.data_source not in ("official", "synthetic"):
            missing = "" if path.exists() else ": missing"
            found.add((what, f"own data in {path}{missing}", not missing))
        if config.start == "random" or (config.start, config.network) in PUBLISHED:
            continue
        path = from_root(config.start)
        state = "missing, and no run of this profile makes it; correct initialisation or"
        state += " stand_in_weights"
        if exists := path.is_file():
            state = "exists"
        elif path in made:
            state = "missing; the batch makes it first"
        found.add((f"{config.start}, {config.network}", state, exists or path in made))
    return found


def _compare_packages() -> tuple[str, bool]:
    pins = re.findall(r"^([\w-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    other, missing = [], []
    for name, pinned in pins:
        try:
            if (version := metadata.version(name)).partition("+")[0] != pinned:  # without +cpu
                other.append(f"{name} {version} (tested: {pinned})")
        except metadata.PackageNotFoundError:
            missing.append(f"{name} missing: pip install -r requirements.txt")
    same = f"{len(pins) - len(other + missing)} of {len(pins)} as in requirements.txt"
    return "; ".join([same, *other, *missing]), not missing
