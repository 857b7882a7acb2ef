"""Former name of `image_cache`."""

from .image_cache import cache_array  # noqa: F401  until the second house is done
