"""Where the values of a recipe come from.

A notebook's cell tagged ``parameters`` holds the paper's values. A profile is a YAML file of
values that replace them, as ``papermill -f`` reads it; ``-p name=value`` replaces both.
"""

import ast
import functools
import re
from collections.abc import Iterable, Mapping

import jupytext
import yaml

from helpers import ROOT, InputError

from .checks import check_names, make_recipe, unknown
from .recipe import Recipe
from .record import EXPERIMENT

NOTEBOOKS = ROOT / "book" / "experiments"
PROFILES = ROOT / "profiles"


class _Loader(yaml.SafeLoader):
    """YAML without what no profile needs: aliases, of which a few lines can stand for gigabytes,
    and a name given twice, whose last value would win.
    """

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(None, None, "write out what the alias stands for", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        names = []
        for key, _ in node.value:
            if key.value in names:
                raise yaml.MarkedYAMLError(None, None, f"{key.value} stands twice", key.start_mark)
            names.append(key.value)
        return super().construct_mapping(node, deep)


def list_experiments() -> list[str]:
    """Return the notebooks' names: pretraining first, then the experiments, then ablations."""
    names = sorted(path.stem for path in NOTEBOOKS.glob("*.py"))
    for name in names:
        if not EXPERIMENT.fullmatch(name):
            raise InputError(
                f"book/experiments/{name}.py: a name of letters, digits, _ and - is needed"
            )
    return sorted(names, key=lambda name: (name[:8] != "pretrain", name[:8] == "ablation"))


def read_defaults(experiment: str) -> dict:
    """Return the values of a notebook's ``parameters`` cell, read without running it.

    Raises
    ------
    InputError : for an experiment that does not exist, or whose notebook has no such cell
    """
    path = NOTEBOOKS / f"{experiment}.py"
    if not path.exists():
        raise unknown("experiment", experiment, list_experiments())
    try:
        return dict(_parse_notebook(path.read_text(encoding="utf-8")))
    except (StopIteration, AttributeError, ValueError, SyntaxError):
        raise InputError(
            f"book/experiments/{path.name} needs a cell tagged parameters, whose lines are"
            " 'name = value' with plain values"
        ) from None


@functools.cache  # a plan of a hundred seeds asks for each notebook hundreds of times
def _parse_notebook(text: str) -> dict:
    cells = jupytext.reads(text, fmt="py").cells
    source = next(c.source for c in cells if "parameters" in c.metadata.get("tags", []))
    assignments = (node for node in ast.parse(source).body if isinstance(node, ast.Assign))
    return {node.targets[0].id: ast.literal_eval(node.value) for node in assignments}


def read_profile(profile: str) -> dict:
    """Return the values of ``profiles/<profile>.yaml``.

    Raises
    ------
    InputError : for a profile that does not exist, is no YAML, or names an unknown parameter
    """
    path = PROFILES / f"{profile}.yaml"
    if not path.exists():
        raise unknown("profile", profile, sorted(p.stem for p in PROFILES.glob("*.yaml")))
    try:
        values = _parse_yaml(path.read_text(encoding="utf-8")) or {}
    except (OSError, RecursionError, yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"profiles/{profile}.yaml is no YAML: {reason}") from None
    if not isinstance(values, dict):
        raise InputError(f"profiles/{profile}.yaml must be a list of 'name: value' lines")
    check_names(values)
    return dict(values)


@functools.cache
def _parse_yaml(text: str):
    return _Loader(text).get_single_data()


def resolve(experiment: str, profile: str, seed: int, overrides: Mapping) -> Recipe:
    """Return the recipe of a run: notebook's values, then the profile's, then overrides."""
    check_names(overrides)
    values = read_defaults(experiment) | read_profile(profile) | dict(overrides) | {"seed": seed}
    return make_recipe(experiment, values)


def parse_seeds(text: str) -> list[int]:
    """Return the seeds that a text such as ``0-2`` or ``0,3,5-7`` names, in order.

    Raises
    ------
    InputError : for anything else
    """
    seeds: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise InputError(f"seeds: {part!r} is no seed or range; write 0-2, or 0,3,5-7")
        if last - first >= 10_000:
            raise InputError(f"seeds: {part!r} names too many; take at most 10,000 at once")
        seeds.update(range(first, last + 1))
    return sorted(seeds)


def parse_overrides(assignments: Iterable[str]) -> dict:
    """Return the parameters that texts such as ``epochs=3`` set; values are Python literals.

    Raises
    ------
    InputError : for a text without ``=``, or a name given twice
    """
    values = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        name = name.strip()
        if not equals:
            raise InputError(f"-p {assignment}: write name=value, for example -p epochs=3")
        if name in values:
            raise InputError(f"-p {assignment}: {name} is given twice; give it once")
        try:
            values[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            values[name] = value  # a word is a string without quotes
    return values
