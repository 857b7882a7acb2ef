"""Check of this machine: what a profile needs, what is missing, and the download of that."""

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
from helpers.runs.config import PretrainingConfig
from helpers.runs.plan import Job, plan
from helpers.source_files import from_root


class Need(NamedTuple):
    """Published "data", with their image size, or published "weights", with their network."""

    kind: str
    name: str
    variety: int | str
    data_dir: str


def examine(profile: str, fetch: bool = False) -> Iterator[tuple[str, str, bool]]:
    """Yield what was examined, what was found, and whether it suffices for a run.

    With ``fetch``, missing data sets and weights are downloaded if they are published.
    """
    import torch  # here, as below: a batch imports this module, and does without torch

    from helpers.experiment.image_cache import free_memory

    jobs = plan(profile, [0])
    yield "Python", platform.python_version(), True
    yield "packages", *_compare_packages()
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        yield "device", torch.cuda.get_device_name(), True
        yield "GPU memory", f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free", True
    else:
        yield "device", f"CPU, {os.cpu_count()} cores", True
    yield "memory", f"{free_memory() / 1e9:.1f} GB free", True
    for place in sorted({p for job in jobs for p in (job.config.results, job.config.data_dir)}):
        path = from_root(place)
        folder = next(folder for folder in (path, *path.parents) if folder.exists())
        yield f"disk at {place}", f"{shutil.disk_usage(folder).free / 1e9:.1f} GB free", True
    for need in list_needs(jobs):
        variety = f"{need.variety} px" if need.kind == "data" else need.variety
        yield f"{need.name}, {variety}", *_look_up(need, profile, fetch)
    yield from _find_own(jobs)


def list_needs(jobs: Iterable[Job]) -> list[Need]:
    """Return the published data sets and weights that jobs need, each once."""
    needs = set()
    for job in jobs:
        config, name = job.config, _find_dataset(job)
        if config.data_source == "official" and name in ("pathmnist", "pets"):
            needs.add(Need("data", name, config.image_size, config.data_dir))
        if (config.start, config.network) in PUBLISHED:
            needs.add(Need("weights", config.start, config.network, config.data_dir))
    return sorted(needs, key=str)


def fetch_published(jobs: Iterable[Job]) -> None:
    """Download and unpack what jobs need, in a process of its own, since that imports torch."""
    if needs := list_needs(jobs):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            for need in needs:
                pool.submit(_fetch, need).result()


def _fetch(need: Need) -> None:
    from helpers.experiment import load_data

    if need.kind == "data":
        load_data(need.name, "official", need.data_dir, need.variety)
    else:
        find(need).fetch()


def find(need: Need):
    """Return the published file, or the folder of Pets, with its path, state and source."""
    from helpers.experiment import fetch, pathmnist, pets

    if need.kind == "weights":
        return fetch.locate_weights(*need[1:])
    if need.name == "pets":
        return pets.locate_pets(need.data_dir)
    return pathmnist.locate_pathmnist(need.data_dir, need.variety)


def _look_up(need: Need, profile: str, fetch: bool) -> tuple[str, bool]:
    """Return what was found of a need, which is fetched first if it is missing."""
    item = find(need)
    state = item.state
    if fetch and state == "missing":
        try:
            _fetch(need)
        except InputError as error:
            return str(error), False
        state = item.state
    path = item.path.relative_to(ROOT) if item.path.is_relative_to(ROOT) else item.path
    if state in ("as published", "a part"):
        return f"{path}: {state}, {item.source}", True
    first = "delete it; then " if state == "damaged" else ""
    command = f"`python -m helpers doctor --profile {profile} --fetch`"
    return f"{path}: {state}; {first}{command} downloads it, or put {item.source} there", False


def _find_own(jobs: list[Job]) -> Iterator[tuple[str, str, bool]]:
    """Yield findings on stand-ins, own data, and weights that a run leaves for others."""
    made = {job.folder / "weights.pt" for job in jobs if isinstance(job.config, PretrainingConfig)}
    found = set()
    for job in jobs:
        config, name = job.config, _find_dataset(job)
        what, path = f"{name}, {config.image_size} px", from_root(config.data_source)
        if config.data_source == "synthetic" and DATASETS[name].stand_in:
            found.add((what, "drawn stand-in", True))
        elif config.data_source not in ("official", "synthetic"):
            missing = "" if path.exists() else ": missing"
            found.add((what, f"own data in {path}{missing}", not missing))
        if config.start == "random" or (config.start, config.network) in PUBLISHED:
            continue
        what, path = f"{config.start}, {config.network}", from_root(config.start)
        if path.is_file():
            found.add((what, "exists", True))
        elif path in made:
            found.add((what, "missing; the batch makes it first", True))
        else:
            remedy = "make it with a pretraining notebook, or correct initialisation"
            found.add((what, f"missing, and no run of this profile makes it; {remedy}", False))
    yield from sorted(found)


def _find_dataset(job: Job) -> str:
    return getattr(job.config, "dataset", None) or find_dataset(job.experiment)


def _compare_packages() -> tuple[str, bool]:
    """Return how the installed packages agree with requirements.txt, and whether all are there."""
    pins = re.findall(r"^([\w-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    other, complete = [], True
    for name, pinned in pins:
        try:
            if (version := metadata.version(name)).partition("+")[0] != pinned:  # without +cpu
                other.append(f"{name} {version} (tested: {pinned})")
        except metadata.PackageNotFoundError:
            other.append(f"{name} missing: pip install -r requirements.txt")
            complete = False
    same = f"{len(pins) - len(other)} of {len(pins)} as in requirements.txt"
    return "; ".join([same, *other]), complete
