"""Old name of `records.warn_of_corrupt_records`."""  # until the second house is done

from .records import warn_of_corrupt_records


def warn_of_damaged(_):
    """Return the corrupt records, each named on standard error."""
    return warn_of_corrupt_records()
