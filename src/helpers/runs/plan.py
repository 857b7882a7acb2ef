"""Plan of a batch: the requested runs, the runs they need, and which of them are done."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from helpers import ROOT, InputError
from helpers.data_files import digest_file, from_root, has_changed

from .config import (
    Config,
    list_experiments,
    read_defaults,
    read_profile,
    read_variants,
    resolve,
    unknown,
)
from .files import beside
from .record import CorruptRecord, Record, read_record, run_folder


@dataclass(frozen=True)
class Job:
    """A run to be made: its notebook, its configuration, and the values to inject."""

    experiment: str
    config: Config
    injected: dict

    @property
    def name(self) -> str:
        """Name of the run in messages, such as ``pathmnist_mixup@unmixed seed 0``."""
        return f"{self.folder.parent.name} seed {self.config.seed}"

    @property
    def folder(self) -> Path:
        """Folder of its record."""
        config = self.config
        return run_folder(ROOT / config.results, self.experiment, config.seed, config.variant)

    @property
    def notebook(self) -> Path:
        """Path of its executed notebook, next to the record."""
        return self.folder.with_suffix(".ipynb")

    @property
    def needed(self) -> Path | None:
        """Folder of the run whose weights it starts from."""
        start = Path(self.config.start)  # a name, or the path of a checkpoint
        return (ROOT / start).parent if start.parent.name else None

    def is_done(self) -> bool:
        """Return whether the record exists; raise CorruptRecord if it is corrupt.

        Raise InputError if it, or that of another seed, has another configuration, other initial
        weights or other data.
        """
        if record := read_record(self.folder):
            self._require_agreement(record.check())
            return True
        for folder in sorted(self.folder.parent.glob("seed-*/")):
            with contextlib.suppress(CorruptRecord):  # reported when that run is requested
                if other := read_record(folder):
                    self._require_agreement(other)
                    break  # its own batch compared it with the rest
        return False

    def _require_agreement(self, record: Record) -> None:
        # Parameters that the record lacks had their defaults.
        theirs = {n: field.default for n, field in type(self.config).model_fields.items()}
        theirs |= record.parameters
        names = [name for name, ours in self.config.computed.items() if ours != theirs[name]]
        start, source = from_root(self.config.start), self.config.data_source
        if start.is_file() and digest_file(start) != record.weights["sha256"]:
            names.append("weights to start from")
        if record.data["files"] and has_changed(source, record.data["files"]):
            names.append(f"content of {source}")
        if names:
            raise InputError(
                f"{record.folder} was made with a different {', '.join(names)}, and the seeds of"
                f" one folder must agree; delete it, or give {self.name} another folder:"
                " -p results=FOLDER"
            )

    def failure(self) -> str:
        """Return the error of a failed run, and where its traceback is; "" otherwise."""
        try:
            text = beside(self.folder, "error").read_text(encoding="utf-8")
        except OSError:
            return ""
        where = f"; see {self.notebook}" * self.notebook.exists()
        return " ".join(text.split()) + where


def plan(
    profile: str, seeds: Iterable[int], only: str = "*", overrides: Mapping | None = None
) -> list[Job]:
    """Return the requested runs, each after the runs that it needs.

    `only` is a pattern of experiments, such as ``pets_*``, or of variants, such as ``*@*``.
    Variants run with seed 0 only, unless the pattern names them. A run whose weights another one
    starts from is planned too, with the same profile and overrides, apart from `initialisation`.
    """
    overrides, variants, experiments = dict(overrides or {}), read_variants(), list_experiments()
    names = [*experiments, *(f"{n}@{v}" for n in experiments for v in variants.get(n, {}))]
    chosen = [name for name in names if fnmatch(name, only)]
    if not chosen:
        raise unknown("experiment", only, names)
    jobs: dict[Path, Job] = {}

    def add(experiment: str, seed: int, overrides: dict, variant: str = "", waiting=()) -> None:
        """Add a run, after the one that it starts from if that has the same results."""
        config = resolve(experiment, profile, seed, overrides, variant)
        if variant and config.computed == resolve(experiment, profile, seed, overrides).computed:
            return  # the profile already gives the arm these values
        shown = {"seed", *read_profile(profile), *overrides} & read_defaults(experiment).keys()
        shown |= {"variant", *variants[experiment][variant]} if variant else set()
        job = Job(experiment, config, config.model_dump(include=shown))
        waiting = (*waiting, job.folder)
        source = job.needed.parent.name if job.needed else ""
        if job.needed in waiting or source == experiment:
            raise InputError(
                f"{job.name} would start from its own weights, {config.start}; change"
                " initialisation or stand_in_weights"
            )
        # Only an arm's seed 0 keeps its weights.
        if source in experiments and job.needed == run_folder(ROOT / config.results, source, 0):
            rest = {name: v for name, v in overrides.items() if name != "initialisation"}
            add(source, 0, rest, waiting=waiting)
        jobs[job.folder] = job

    for seed in seeds:
        for name in chosen:
            experiment, _, variant = name.partition("@")
            if not variant or seed == 0 or "@" in only:
                add(experiment, seed, overrides, variant)
    return list(jobs.values())
