"""Two records compared bit by bit: which file differs, where, and by how much."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .record import Record


@dataclass(frozen=True)
class Comparison:
    """What a repeated run gave.

    Attributes
    ----------
    files : each file of either record to how the repeated one differs, empty if in no bit
    environment : each field that differs to its values then and now
    """

    files: dict[str, str]
    environment: dict[str, tuple]

    @property
    def same(self) -> bool:
        """Whether every file has the same bits."""
        return not any(self.files.values())


def compare(then: Record, now: Record) -> Comparison:
    """Compare each file of a record with that of a repeated run, and the environments."""
    old, new = then.run["files"], now.run["files"]
    files = {
        name: "" if old.get(name) == new.get(name) else _compare_file(name, then, now)
        for name in old | new
    }
    old, new = then.run["environment"], now.run["environment"]
    environment = {
        name: (old.get(name), new.get(name))
        for name in old | new
        # Two trees with uncommitted changes may differ, though their commits do not.
        if old.get(name) != new.get(name) or (name == "git_dirty" and old.get(name))
    }
    return Comparison(files, environment)


def _compare_file(name: str, then: Record, now: Record) -> str:
    if name not in now.run["files"]:
        return "is not there"
    if name not in then.run["files"]:
        return "is new"
    if name == "weights.pt":
        return "other bytes"
    # A table is a mapping of columns, as an archive is one of arrays.
    tables = (getattr(record, name.partition(".")[0]) for record in (then, now))
    return "; ".join(list_differences(*tables)) or "other bytes, the same values"


def list_differences(then: Mapping, now: Mapping) -> list[str]:
    """Return in which arrays or columns two mappings differ, and how much.

    Examples
    --------
    >>> list_differences({"logits": [0.0, 1.0]}, {"logits": [0.0, 1.5]})
    ['logits differs in 1 of 2 values, by up to 0.5']
    """
    parts = []
    for name in dict.fromkeys([*then, *now]):
        if name not in now or name not in then:
            parts.append(f"{name} is {'new' if name in now else 'not there'}")
            continue
        old, new = np.asarray(then[name]), np.asarray(now[name])
        if old.shape != new.shape or old.dtype.kind != new.dtype.kind:
            parts.append(f"{name} is {new.dtype} {new.shape}, not {old.dtype} {old.shape}")
            continue
        differ = (old != new) & ~((old != old) & (new != new))  # NaN is NaN
        if not differ.any():
            continue
        part = f"{name} differs in {differ.sum():,} of {differ.size:,} values"
        if np.issubdtype(old.dtype, np.number):
            largest = np.abs(old[differ].astype(float) - new[differ].astype(float)).max()
            part += f", by up to {largest:.3g}"
        parts.append(part)
    return parts
