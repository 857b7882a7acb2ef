"""Text from records on a page: as it is written, never as markup, and not where it was made."""

import json
import re
import socket
from pathlib import Path

from helpers import ROOT

#: Homes of other users and machines, also below another folder, as on clusters; in JSON a
#: backslash is written twice. No part of an address.
HOMES = re.compile(
    r"((?<=file://)|(?<![\w.:/-]))((/[\w.-]+)*?/(home|Users|users)/|[A-Z]:\\{1,2}Users\\{1,2})[^/\\\s\"'<>|]+"
)


def hide_places(text: str) -> str:
    """Return text with paths below the repository as relative ones, homes as ``~``, and without
    the name of this machine where it surely is one: in an address, or after a user's name.
    """
    for place, sign in {str(ROOT): ".", str(Path.home()): "~"}.items():
        if place != Path(place).anchor:
            written = f"{re.escape(place)}|{re.escape(json.dumps(place)[1:-1])}"
            text = re.sub(rf"(?<![\w.-])({written})(?![\w.-])", sign, text)
    host = re.escape(socket.gethostname())
    text = re.sub(rf"(://)?(?<![\w.-])(\w[\w.-]*@|(?<=://)){host}(?![\w-])", r"\1host", text)
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
