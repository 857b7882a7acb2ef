"""What this machine has and lacks for a profile, and what gets it."""

import platform
import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path

from helpers import ROOT, InputError
from helpers.catalogue import DATASETS, find_dataset
from helpers.runs.plan import plan
from helpers.runs.recipe import STARTS, AblationRecipe, PretrainingRecipe, TrainingRecipe


def examine(profile: str, fetch: bool = False) -> Iterator[tuple[str, str, bool]]:
    """Yield the findings: what was looked at, what was found, and whether a run would do with it.

    Parameters
    ----------
    fetch : get the data sets and published weights that are missing, as a run would

    Raises
    ------
    InputError : for a bad profile
    """
    from helpers.experiment import inventory, load_data  # here: torch, which only this needs
    from helpers.experiment.downloads import from_root
    from helpers.experiment.models import load_weights

    jobs = plan(profile, [0])
    recipes = {job.experiment: job.config for job in jobs}
    yield "Python", platform.python_version(), True
    yield _compare_packages()
    for name, fact in inventory.describe_machine().items():
        yield name, fact, True
    places = {recipe.results: ROOT / recipe.results for recipe in recipes.values()}
    places |= {recipe.data_dir: from_root(recipe.data_dir) for recipe in recipes.values()}
    for place, folder in sorted(places.items()):
        yield f"disk at {place}", f"{_free_bytes(folder) / 1e9:.1f} GB free", True
    trained = {n: r for n, r in recipes.items() if not isinstance(r, AblationRecipe)}
    for name, size, source, folder in sorted({_find_data(n, r) for n, r in trained.items()}):
        what = f"{name}, {size} px"
        if source == "synthetic" and (name not in DATASETS or DATASETS[name].stand_in):
            yield what, "embedded stand-in", True
        elif source not in ("official", "synthetic"):
            there = from_root(source).exists()
            yield what, f"own data in {source}" + " are missing" * (not there), there
        elif name in ("pathmnist", "pets"):
            look = partial(inventory.look_up_data, name, size, folder)
            get = partial(load_data, name, source, folder, size)
            yield what, *_tell(look, get if fetch else None, profile)
        else:
            yield what, "brought along by its loader", True
    # Only pretraining leaves weights to start from.
    made = {job.folder / "weights.pt" for job in jobs if job.experiment.startswith("pretrain_")}
    starts = {(r.start, r.network, r.data_dir) for r in trained.values() if r.start != "random"}
    for start, network, folder in sorted(starts):
        what = f"{start}, {network}"
        if start in STARTS:
            look = partial(inventory.look_up_weights, start, network, folder)
            get = partial(load_weights, network, start, folder)
            yield what, *_tell(look, get if fetch else None, profile)
        elif (path := from_root(start)).is_file():
            yield what, "is there", True
        elif path in made:
            yield what, "missing; the batch makes it first", True
        else:
            mend = "make it with a pretraining notebook, or mend initialisation"
            yield what, f"missing, and no run of this profile makes it; {mend}", False


def _find_data(experiment: str, recipe: TrainingRecipe) -> tuple[str, int, str, str]:
    """Return name, size, source and folder of an experiment's data; its name begins with theirs."""
    name = find_dataset(experiment)
    if isinstance(recipe, PretrainingRecipe):
        name = "source" if recipe.data_source == "synthetic" else recipe.dataset
    return name, recipe.image_size, recipe.data_source, recipe.data_dir


def _tell(look: Callable, get: Callable | None, profile: str) -> tuple[str, bool]:
    """Return what is found of a data set or weights, fetched if they are missing and shall be."""
    item = look()
    if get and item.state == "missing":
        try:
            get()
        except InputError as error:
            return str(error), False
        item = look()
    path = item.path.relative_to(ROOT) if item.path.is_relative_to(ROOT) else item.path
    if item.state in ("as published", "a part"):
        return f"{path}: {item.state} ({item.checksum})", True
    mend = "delete it; then " if item.state == "damaged" else ""
    how = "put" if path.suffix else "unpack"
    return (
        f"{path}: {item.state}; {mend}`python -m helpers doctor --profile {profile} --fetch` gets"
        f" it, or {how} there {item.source} ({item.checksum})",
        False,
    )


def _compare_packages() -> tuple[str, str, bool]:
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
    missing = any(" missing: " in text for text in other)
    return "packages", "; ".join([same, *other]), not missing


def _free_bytes(folder: Path) -> int:
    """Return what is free where a folder lies or will lie."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
