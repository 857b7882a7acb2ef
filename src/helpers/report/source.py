"""Old name of `records.Settings`."""  # until the second house is done

from .records import Settings


class Source(Settings):
    """Settings of the environment."""

    from_environment = Settings.read
