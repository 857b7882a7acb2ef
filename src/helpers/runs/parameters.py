"""Where the values of a recipe come from.

A notebook's cell tagged ``parameters`` holds the paper's values. A profile is a YAML file of
values that replace them, as ``papermill -f`` reads it; ``-p name=value`` replaces both.
"""

import ast
import difflib
import re
from collections.abc import Iterable, Mapping

import jupytext
import yaml

from helpers import ROOT, InputError

from .recipe import MODELS, ExperimentRecipe, Recipe, make_recipe

NOTEBOOKS = ROOT / "book" / "experiments"
PROFILES = ROOT / "profiles"


def list_experiments() -> list[str]:
    """Return the notebooks' names: pretraining first, then the experiments, then ablations."""
    names = sorted(path.stem for path in NOTEBOOKS.glob("*.py"))
    return sorted(names, key=lambda name: (name[:8] != "pretrain", name[:8] == "ablation"))


def read_defaults(experiment: str) -> dict:
    """Return the values of a notebook's ``parameters`` cell, read without running it.

    Raises
    ------
    InputError : for an experiment that does not exist
    """
    path = NOTEBOOKS / f"{experiment}.py"
    if not path.exists():
        raise unknown("experiment", experiment, list_experiments())
    cells = jupytext.read(path).cells
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
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"profiles/{profile}.yaml is no YAML: {reason}") from None
    if not isinstance(values, dict):
        raise InputError(f"profiles/{profile}.yaml must be a list of 'name: value' lines")
    check_names(values)
    return values


def check_names(names: Iterable[str]) -> None:
    """Raise InputError for a name that is no notebook's parameter, with the nearest that is."""
    known = {name for model in (ExperimentRecipe, *MODELS.values()) for name in model.model_fields}
    for name in names:
        if name not in known:
            raise unknown("parameter", str(name), sorted(known))
        if name == "seed":
            raise InputError("seed: give seeds as --seeds 0-2, not as a parameter")


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
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise InputError(f"seeds: {part!r} is no seed or range; write 0-2, or 0,3,5-7")
        seeds.update(range(first, last + 1))
    return sorted(seeds)


def parse_overrides(assignments: Iterable[str]) -> dict:
    """Return the parameters that texts such as ``epochs=3`` set; values are Python literals.

    Raises
    ------
    InputError : for a text without ``=``
    """
    values = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise InputError(f"-p {assignment}: write name=value, for example -p epochs=3")
        try:
            values[name.strip()] = ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError):
            values[name.strip()] = value  # a word is a string without quotes
    return values


def unknown(kind: str, name: str, known: list[str]) -> InputError:
    """Return the error for a name that does not exist, with the nearest ones that do."""
    near = difflib.get_close_matches(name, known, n=1)
    mend = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return InputError(f"there is no {kind} {name!r}; {mend}")
