"""Check of this machine: what a profile needs, what is missing, and the download of that."""

import platform
import re
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from helpers import ROOT, InputError
from helpers.catalogue import DATASETS, PUBLISHED, find_dataset
from helpers.runs.config import PretrainingConfig
from helpers.runs.plan import Job, plan
from helpers.source_files import from_root


class Need(NamedTuple):
    """A published data set, with its image size, or published weights, with their network."""

    kind: str
    name: str
    variety: int | str
    data_dir: str


def examine(profile: str, fetch: bool = False) -> Iterator[tuple[str, str, bool]]:
    """Yield what was examined, what was found, and whether it suffices for a run.

    Parameters
    ----------
    fetch : download the published data sets and weights that are missing

    Raises
    ------
    InputError : for a bad profile
    """
    from helpers.experiment import inventory  # imports torch

    jobs = plan(profile, [0])
    yield "Python", platform.python_version(), True
    yield "packages", *_compare_packages()
    for name, fact in inventory.describe_machine().items():
        yield name, fact, True
    for place in sorted({p for job in jobs for p in (job.config.results, job.config.data_dir)}):
        yield f"disk at {place}", f"{_free_bytes(from_root(place)) / 1e9:.1f} GB free", True
    for need in list_needs(jobs):
        variety = f"{need.variety} px" if need.kind == "data" else need.variety
        yield f"{need.name}, {variety}", *_look_up(need, profile, fetch)
    yield from _find_own(jobs)


def list_needs(jobs: Iterable[Job]) -> list[Need]:
    """Return the published data sets and weights that jobs need, each once."""
    needs = set()
    for job in jobs:
        config = job.config
        name = _find_dataset(job)
        if config.data_source == "official" and name in ("pathmnist", "pets"):
            needs.add(Need("data", name, config.image_size, config.data_dir))
        if (config.start, config.network) in PUBLISHED:
            needs.add(Need("weights", config.start, config.network, config.data_dir))
    return sorted(needs, key=str)


def fetch_published(jobs: Iterable[Job]) -> None:
    """Download what jobs need and this machine lacks, once, before their batch starts.

    In a process of its own: the batch imports no torch.

    Raises
    ------
    InputError : if the download fails, or a file is not as published
    """
    if needs := list_needs(jobs):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            pool.submit(_fetch_missing, needs).result()


def _fetch_missing(needs: list[Need]) -> None:
    for need in needs:
        if _find(need).state not in ("as published", "a part"):
            _get(need)


def _find(need: Need):
    """Return path and state of a data set or of weights."""
    from helpers.experiment import inventory

    look_up = inventory.look_up_data if need.kind == "data" else inventory.look_up_weights
    return look_up(*need[1:])


def _get(need: Need) -> None:
    """Download a data set or weights."""
    from helpers.experiment import load_data
    from helpers.experiment.weights import fetch_weights

    if need.kind == "data":
        load_data(need.name, "official", need.data_dir, need.variety)
    else:
        fetch_weights(*need[1:])


def _look_up(need: Need, profile: str, fetch: bool) -> tuple[str, bool]:
    """Return what was found of a need, which is fetched first if it is missing."""
    item = _find(need)
    if fetch and item.state == "missing":
        try:
            _get(need)
        except InputError as error:
            return str(error), False
        item = _find(need)
    path = item.path.relative_to(ROOT) if item.path.is_relative_to(ROOT) else item.path
    if item.state in ("as published", "a part"):
        return f"{path}: {item.state} ({item.checksum})", True
    first = "delete it; then " if item.state == "damaged" else ""
    command = f"`python -m helpers doctor --profile {profile} --fetch`"
    where = f"put {item.source} ({item.checksum}) there"
    return f"{path}: {item.state}; {first}{command} downloads it, or {where}", False


def _find_own(jobs: list[Job]) -> Iterator[tuple[str, str, bool]]:
    """Yield findings on stand-ins, own data, and weights that a run leaves for others."""
    made = {job.folder / "weights.pt" for job in jobs if isinstance(job.config, PretrainingConfig)}
    found = {}
    for job in jobs:
        config, name = job.config, _find_dataset(job)
        path, what = from_root(config.data_source), f"{name}, {config.image_size} px"
        if config.data_source == "synthetic" and (name not in DATASETS or DATASETS[name].stand_in):
            found[what] = "drawn stand-in", True
        elif config.data_source not in ("official", "synthetic"):
            found[what] = f"own data in {path}{'' if path.exists() else ': missing'}", path.exists()
        path, what = from_root(config.start), f"{config.start}, {config.network}"
        if config.start == "random" or (config.start, config.network) in PUBLISHED:
            continue
        if path.is_file() or path in made:
            found[what] = "exists" if path.is_file() else "missing; the batch makes it first", True
        else:
            remedy = "make it with a pretraining notebook, or correct initialisation"
            found[what] = f"missing, and no run of this profile makes it; {remedy}", False
    for what in sorted(found):
        yield what, *found[what]


def _find_dataset(job: Job) -> str | None:
    """Return the data set of a job."""
    if isinstance(job.config, PretrainingConfig):
        return "source" if job.config.data_source == "synthetic" else job.config.dataset
    return find_dataset(job.experiment)


def _compare_packages() -> tuple[str, bool]:
    """Return how the installed packages agree with requirements.txt."""
    pins = re.findall(r"^([\w-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    other = []
    for name, pinned in pins:
        try:
            if (version := metadata.version(name)).partition("+")[0] != pinned:  # without +cpu
                other.append(f"{name} {version} (tested: {pinned})")
        except metadata.PackageNotFoundError:
            other.append(f"{name} missing: pip install -r requirements.txt")
    same = f"{len(pins) - len(other)} of {len(pins)} as in requirements.txt"
    return "; ".join([same, *other]), not any(" missing: " in text for text in other)


def _free_bytes(folder: Path) -> int:
    """Return the free space at a folder that may not exist yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
