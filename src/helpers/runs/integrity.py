"""Old names, until the second house is done."""

from .record import CorruptRecord as DamagedRecord  # noqa: F401
