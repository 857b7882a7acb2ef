"""Former names of `fetch` and `helpers.source_files`."""

from helpers.source_files import digest_file, from_root  # noqa: F401  until the second house is done

from .fetch import fetching  # noqa: F401  until the second house is done
