"""What the paper states, as data: ``reference/claims.yaml``, checked."""

import re
from dataclasses import dataclass, replace
from itertools import product
from typing import Annotated

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from helpers import InputError

from .evidence import MEASURES, ROWS
from .paper import REFERENCE, read_reference


@dataclass(frozen=True)
class Comparison:
    """Two rows of the tables, or a row and a number, and which of the two is to be larger.

    Attributes
    ----------
    left : row
    sign : 1 if left is to be larger than right, -1 if smaller
    right : row or number
    """

    left: str
    sign: int
    right: str | float


def parse_comparison(text: str) -> Comparison:
    """Return what a text such as ``Supervised > No Pretraining`` or ``Basic > 10`` says.

    Raises
    ------
    ValueError : for a text of another form, or a row that the tables do not have
    """
    match = re.fullmatch(r"(.+) ([<>]) (.+)", str(text))
    if not match:
        raise ValueError(f"{text!r} is no comparison; write ROW > ROW, or ROW > 10")
    left, sign, right = match.groups()
    if re.fullmatch(r"\d+(\.\d+)?", right):
        right = float(right)
    for row in (left, right):
        if isinstance(row, str) and row not in ROWS:
            raise ValueError(f"{row!r} is no row; there are {', '.join(ROWS)}")
    return Comparison(left, 1 if sign == ">" else -1, right)


class Statement(BaseModel):
    """Where the paper says something, what, and how we read it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: str
    section: str
    statement: str
    reading: str = ""


class Claim(Statement):
    """A statement about differences, every one of which must hold; see ``claims.yaml``."""

    measure: str
    compare: list[Annotated[Comparison, BeforeValidator(parse_comparison)]] = Field(min_length=1)
    columns: list[str] = []
    figure: float | None = Field(default=None, gt=0)
    fewer_epochs: bool = False

    @property
    def comparisons(self) -> list[tuple[Comparison, str | None]]:
        """Every pair by every column; column None for a measure of the training."""
        return list(product(self.compare, self.columns or [None]))

    @property
    def opposite(self) -> "Claim":
        """The claim that every comparison comes out the other way."""
        compare = [replace(pair, sign=-pair.sign) for pair in self.compare]
        return self.model_copy(update={"compare": compare})

    @model_validator(mode="after")
    def _check(self) -> "Claim":
        if self.measure not in MEASURES:
            raise ValueError(f"there is no measure {self.measure!r}: {', '.join(MEASURES)}")
        metric = MEASURES[self.measure].metric
        if bool(metric) != bool(self.columns):
            raise ValueError(f"{self.measure} {'needs' if metric else 'takes no'} columns")
        cells = read_reference()
        cells = cells[cells.metric == metric]
        for row in {row for pair in self.compare for row in (pair.left, pair.right)} & ROWS.keys():
            if unknown := set(self.columns) - set(cells.column[cells.row == row]):
                raise ValueError(f"{row} has no column {', '.join(sorted(unknown))}")
        if self.figure and len({pair.sign for pair in self.compare}) > 1:
            raise ValueError("a figure needs comparisons of one direction")
        if self.fewer_epochs and not all(isinstance(pair.right, str) for pair in self.compare):
            raise ValueError("fewer_epochs needs two rows in each comparison")
        return self


class Denial(Statement):
    """A statement against another claim, named by its id; that one states no figure."""

    denies: str


class Untested(Statement):
    """A statement without numbers in the paper, and why the shown runs do not measure it."""

    untested: str


def read_claims() -> list[Claim | Denial | Untested]:
    """Return the paper's claims, in its order.

    Raises
    ------
    InputError : naming the first entry that is not understood
    """
    return parse_claims((REFERENCE / "claims.yaml").read_text(encoding="utf-8"))


def parse_claims(text: str) -> list[Claim | Denial | Untested]:
    """Return the claims of a YAML text; raises as `read_claims`."""
    try:
        entries = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = " ".join(str(error).split())
        raise InputError(f"claims.yaml is no YAML, mend it there: {where}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError("claims.yaml must be a list of claims, each of 'name: value' lines")
    claims: dict[str, Claim | Denial | Untested] = {}
    for entry in entries:
        name = entry.get("id")
        kind = Denial if "denies" in entry else Untested if "untested" in entry else Claim
        try:
            claim = kind.model_validate(entry)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "entry"
            raise InputError(f"claims.yaml, {name}: {where}: {first['msg']}") from None
        if name in claims:
            raise InputError(f"claims.yaml, {name}: the id is taken; choose another")
        if isinstance(claim, Denial):
            denied = claims.get(claim.denies)
            if not isinstance(denied, Claim) or denied.figure:
                why = f"no claim {claim.denies!r} without a figure stands above"
                raise InputError(f"claims.yaml, {name}: denies: {why}")
        claims[name] = claim
    return list(claims.values())
