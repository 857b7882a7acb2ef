"""Text from records on a page: read as it is written, never as markup, and without home folders."""

import json
import re
from pathlib import Path

from helpers import ROOT

#: Homes of other users and machines; in JSON a backslash is written twice.
HOMES = re.compile(r"(?<![\w.-])(/(home|Users|users)/|[A-Z]:\\{1,2}Users\\{1,2})[^/\\\s\"'<>|]+")


def hide_places(text: str) -> str:
    """Return text with paths below the repository as relative ones, and homes as ``~``."""
    for place, sign in {str(ROOT): ".", str(Path.home()): "~"}.items():
        if place != Path(place).anchor:
            written = f"{re.escape(place)}|{re.escape(json.dumps(place)[1:-1])}"
            text = re.sub(rf"(?<![\w.-])({written})(?![\w.-])", sign, text)
    return HOMES.sub("~", text)


def quote(text) -> str:
    """Return text for Markdown, with each character that could be markup as its number."""
    return re.sub(r"[^\w .,:/+()-]", lambda found: f"&#{ord(found[0])};", hide_places(str(text)))


def quote_code(text) -> str:
    """Return text as code in a Markdown table, in more backticks than stand in it together."""
    text = " ".join(hide_places(str(text)).split()).replace("|", "\\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " * (text[:1] == "`" or text[-1:] == "`")
    return f"{fence}{space}{text}{space}{fence}"
