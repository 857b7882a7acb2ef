"""Old names, until the second house is done."""

from .atomic_io import *  # noqa: F403
from .atomic_io import list_beside, write_file as write_whole  # noqa: F401
