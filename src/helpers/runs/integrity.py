"""Old names, until the second house is done."""

from .record import (
    CorruptRecord as DamagedRecord,  # noqa: F401
    _sum as sum_up,  # noqa: F401
)
