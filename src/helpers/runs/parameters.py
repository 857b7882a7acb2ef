"""Old names, until the second house is done."""

from .config import *  # noqa: F403
from .config import NOTEBOOKS, PROFILES, list_experiments, read_defaults, read_profile  # noqa: F401
