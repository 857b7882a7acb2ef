"""Configuration of a run: the validated values of its notebook, a profile and overrides.

The notebook's cell tagged ``parameters`` holds the paper's values. A profile is a YAML file of
values that replace them, as ``papermill -f`` reads it; ``-p name=value`` replaces both. A variant
of an ablation is a set of further overrides, listed in ``book/experiments/variants.yaml``.
"""

import ast
import difflib
import functools
import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import jupytext
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from helpers import ROOT, InputError
from helpers.catalogue import CORRUPTIONS, DATASETS, PUBLISHED, find_dataset

NOTEBOOKS = ROOT / "book" / "experiments"
PROFILES = ROOT / "profiles"
VARIANTS = NOTEBOOKS / "variants.yaml"

#: Parameters that are not part of the configuration hash: the seed and the places of files.
LOCATIONS = {"seed", "results", "data_dir", "variant"}

#: Initialisations by name; any other is the path of a checkpoint.
STARTS = ("random", *dict.fromkeys(name for name, _ in PUBLISHED))

#: Names of experiments and variants, which appear in pages, folders and commands.
NAME = r"[\w-]+"

#: Parameters that a variant may not change, since it shares its arm's images and initial weights.
FIXED = {"data_source", "image_size", "corruptions", "network", "initialisation"}
FIXED |= LOCATIONS | {"stand_in_weights"}


def _reject_duplicates(strengths: list[float]) -> list[float]:
    if len(set(strengths)) < len(strengths):
        raise ValueError("give each strength once")
    return strengths


def _check_source(source: str) -> str:
    if source not in ("official", "synthetic") and not set("./\\") & set(source):
        raise ValueError("give official, synthetic, or the path of custom data: data/mine.npz")
    return source


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
#: Beyond these bounds a brightness factor or a 5x5 blur changes nothing more.
Strength = Annotated[float, Field(ge=0.01, le=100)]
Strengths = Annotated[list[Strength], Field(min_length=1), AfterValidator(_reject_duplicates)]


class Config(BaseModel):
    """Parameters of an experiment.

    A parameter that is added later needs a default, with which older records are read.
    """

    # Strict: notebooks use values as they are, so "1e-3", a string in YAML, is refused.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    seed: int = Field(ge=0, lt=2**32)
    results: Annotated[str, AfterValidator(os.path.expanduser)] = Field(min_length=1)
    variant: str = Field(pattern=f"^({NAME})?$", default="")
    data_dir: str = Field(min_length=1)
    data_source: Annotated[str, AfterValidator(_check_source)]
    image_size: int = Field(ge=16, le=1024)
    network: Literal["resnet18", "resnet50"]
    initialisation: str = Field(min_length=1)
    stand_in_weights: dict[Literal[*STARTS[1:]], str]
    batch_norm: Literal["train", "frozen", "affine_frozen"]
    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    backbone_lr: Positive
    head_lr: Positive
    weight_decay: NotNegative
    precision: Literal["float32", "bfloat16"]
    keep_epoch: Literal["best", "last"] = "best"
    mixup_alpha: NotNegative
    second_forward: bool
    augment_probability: float = Field(ge=0, le=1)
    rotation_degrees: float = Field(ge=0, le=180)
    corruptions: Annotated[dict[Literal[*CORRUPTIONS], Strengths], Field(min_length=1)]

    @property
    def computed(self) -> dict:
        """Parameters that determine the computation, except the seed."""
        return self.model_dump(mode="json", exclude=LOCATIONS)

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits for all parameters but `LOCATIONS` and unchanged defaults."""
        values = self.model_dump(mode="json", exclude=LOCATIONS, exclude_defaults=True)
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def start(self) -> str:
        """The initialisation, or the path of the checkpoint that stands in for it."""
        if self.initialisation in self.stand_in_weights:
            return f"{self.results}/{self.stand_in_weights[self.initialisation]}"
        return self.initialisation

    @property
    def training(self) -> dict:
        """Arguments of ``helpers.experiment.fit``, except network and data."""
        names = {"epochs", "batch_size", "second_forward", "backbone_lr", "head_lr"}
        names |= {"weight_decay", "precision", "seed", "keep_epoch"}
        values = self.model_dump(include=names)
        augmentation = self.augment_probability, self.rotation_degrees, self.mixup_alpha
        return values | {"augmentation": augmentation}


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for an unknown name, with the nearest known one."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    advice = f"did you mean {near[0]}?" if near else f"choose from {', '.join(known)}"
    return InputError(f"unknown {kind} {name!r}; {advice}")


def check_names(names: Iterable[str]) -> None:
    """Raise InputError for a name that is not a parameter."""
    for name in names:
        if name not in Config.model_fields:
            raise unknown("parameter", str(name), sorted(Config.model_fields))
        if name in ("seed", "variant"):
            raise InputError(f"{name} is not set as a parameter; use --seeds 0-2 or --only NAME")


def make_config(experiment: str, values: Mapping) -> Config:
    """Return the validated configuration; values that are not parameters are ignored."""
    try:
        config = Config(**{name: values[name] for name in Config.model_fields if name in values})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"] if part != "[key]")
        reason = first["msg"].removeprefix("Value error, ").lower()
        given = "" if first["type"] == "missing" else f", not {first['input']!r}"
        raise InputError(f"{experiment}: {name}: {reason}{given}") from None
    start = config.start
    if start not in STARTS and not (Path(start).parent.name or Path(start).suffix):
        raise unknown("initialisation", start, STARTS)
    if start in STARTS[1:] and (start, config.network) not in PUBLISHED:
        raise InputError(
            f"{experiment}: initialisation: no {start} weights of a {config.network} are published;"
            " choose another network, or give the path of a checkpoint"
        )
    if find_dataset(experiment) is None:
        known = ", ".join(DATASETS)
        raise InputError(f"{experiment}: a notebook's name must begin with a data set: {known}")
    return config


def resolve(
    experiment: str, profile: str, seed: int, overrides: Mapping, variant: str = ""
) -> Config:
    """Return a run's configuration: notebook, then profile, overrides and variant on top."""
    check_names(overrides)
    values = read_defaults(experiment) | read_profile(profile) | dict(overrides)
    if variant:
        values |= read_variants()[experiment][variant] | {"variant": variant}
    return make_config(experiment, values | {"seed": seed})


def list_experiments() -> list[str]:
    """Return the names of the notebooks."""
    names = sorted(path.stem for path in NOTEBOOKS.glob("*.py"))
    for name in names:
        if not re.fullmatch(NAME, name):
            raise InputError(f"book/experiments/{name}.py: use letters, digits, _ and - only")
    return names


def read_defaults(experiment: str) -> dict:
    """Return the values of a notebook's ``parameters`` cell without running it."""
    cells = [c for c in _read_cells(experiment) if "parameters" in c.metadata.get("tags", [])]
    if not cells:
        raise InputError(f"{experiment}.py: no cell has the tag parameters")
    text, values = "", {}
    try:
        for line in ast.parse(cells[0].source).body:
            text = ast.unparse(line)
            targets = [line.target] if isinstance(line, ast.AnnAssign) else line.targets
            values |= {target.id: ast.literal_eval(line.value) for target in targets}
    except (SyntaxError, AttributeError, ValueError) as error:
        text = (getattr(error, "text", None) or text).strip()
        why = f"parameters: {text!r} is not 'name = value' with a plain value"
        raise InputError(f"{experiment}.py: {why}") from None
    return values


def read_title(experiment: str) -> tuple[str, str]:
    """Return data set ("" if missing) and arm from a notebook's heading, ``# PathMNIST: Basic``."""
    for cell in _read_cells(experiment):
        if heading := re.search(r"^# (.+)$", cell.source, re.MULTILINE):
            dataset, _, arm = heading[1].rpartition(":")
            return dataset.strip(), arm.strip()
    return "", experiment


def _read_cells(experiment: str) -> list:
    path = NOTEBOOKS / f"{experiment}.py"
    if not path.exists():
        raise unknown("experiment", experiment, list_experiments())
    return _parse_notebook(path.read_text(encoding="utf-8"), fmt="py").cells


class _Loader(yaml.SafeLoader):
    """YAML loader that refuses duplicate names, of which the last value would win."""

    def construct_mapping(self, node, deep=False):
        names = [key.value for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise yaml.YAMLError(f"{name} is given twice")
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict:
    """Return the names and values of a YAML file."""
    try:
        values = _parse_yaml(path.read_text(encoding="utf-8"), _Loader) or {}
    except (OSError, RecursionError, yaml.YAMLError, ValueError) as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} must consist of 'name: value' lines")
    return values


# Cached by text, since the plan of a hundred seeds reads each file hundreds of times.
_parse_notebook = functools.cache(jupytext.reads)
_parse_yaml = functools.cache(yaml.load)


def list_profiles() -> list[str]:
    """Return the names of the profiles."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def read_profile(profile: str) -> dict:
    """Return the values of ``profiles/<profile>.yaml``, checking their names."""
    if profile not in list_profiles():
        raise unknown("profile", profile, list_profiles())
    values = read_yaml(PROFILES / f"{profile}.yaml")
    check_names(values)
    return values


def read_variants() -> dict[str, dict[str, dict]]:
    """Return the variants of the ablations: experiment to name to changed parameters."""
    variants = {experiment: named or {} for experiment, named in read_yaml(VARIANTS).items()}
    for experiment, named in variants.items():
        allowed = sorted(read_defaults(experiment).keys() - FIXED)
        for name, changes in named.items():
            named_well = isinstance(name, str) and re.fullmatch(NAME, name)
            if not named_well or not isinstance(changes, dict) or not changes:
                raise InputError(f"variants.yaml: {experiment}: {name}: write {{parameter: value}}")
            for parameter in changes.keys() - set(allowed):
                raise unknown(f"parameter of variant {name}", parameter, allowed)
    return variants


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of a text such as ``0-2`` or ``0,3,5-7``, sorted."""
    seeds: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,10})(?:-(\d{1,10}))?", part.strip())
        found = range(int(match[1]), int(match[2] or match[1]) + 1) if match else ()
        if not 1 <= len(found) <= 10_000:
            why = f"{part!r} is not a seed or a range of at most 10,000; write 0-2, or 0,3,5-7"
            raise InputError(f"seeds: {why}")
        seeds.update(found)
    return sorted(seeds)


def parse_overrides(assignments: Iterable[str]) -> dict:
    """Parse texts such as ``epochs=3`` into parameters; values are Python literals."""
    values = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        name = name.strip()
        if not equals or name in values:
            why = f"{name} is given twice" if equals else "write name=value, such as -p epochs=3"
            raise InputError(f"-p {assignment}: {why}")
        try:
            values[name] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            values[name] = value  # an unquoted string
    return values
