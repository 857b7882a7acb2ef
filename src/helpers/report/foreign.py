"""Old names of `escape`; until the second house is done."""

from .escape import escape_code as quote_code, escape_markdown as quote, redact_paths as hide_places

__all__ = ["hide_places", "quote", "quote_code"]
