"""Damaged records: named, and left out of the book."""

import sys

from helpers.runs.integrity import DamagedRecord
from helpers.runs.record import read_records

from .source import Source, name_profile


def list_damaged(source: Source) -> list[DamagedRecord]:
    """Return what is wrong with the damaged records of a source, which the book leaves out."""
    damaged: list[DamagedRecord] = []
    read_records(source.results, damaged=damaged)
    return damaged


def warn_of_damaged(source: Source) -> list[DamagedRecord]:
    """Return the same, and say in a line each, to standard error, what makes the run again."""
    damaged = list_damaged(source)
    for error in damaged:
        line = f"{describe_damage(error)}; to make it again: {advise(source, error)}"
        print(f"warning: {line}", file=sys.stderr)
    return damaged


def describe_damage(error: DamagedRecord) -> str:
    """Return in a line, without the path, that a record is left out and why."""
    experiment, seed = error.folder.parent.name, error.folder.name.removeprefix("seed-")
    return f"{experiment} seed {seed} is left out: {error.why}"


def advise(source: Source, error: DamagedRecord) -> str:
    """Return the command that makes the run of a damaged record again."""
    experiment, seed = error.folder.parent.name, error.folder.name.removeprefix("seed-")
    return f"python -m helpers run {name_profile(source)} --only {experiment} --seeds {seed}"
