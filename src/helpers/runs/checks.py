"""Old names, until the second house is done."""

from .config import check_names, make_config as make_recipe, unknown  # noqa: F401
