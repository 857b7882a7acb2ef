"""Text from records, escaped for Markdown and free of paths, home folders and host names."""

import json
import re
import socket
from pathlib import Path

from helpers import ROOT

#: Home folders of other users and machines, also below another folder as on clusters. JSON doubles
#: a backslash; part of a URL is not a home folder.
HOMES = re.compile(
    r"((?<=file://)|(?<![\w.:/-]))((/[\w.-]+)*?/(home|Users|users)/|[A-Z]:\\{1,2}Users\\{1,2})[^/\\\s\"'<>|]+"
)


def redact_paths(text: str) -> str:
    """Return text with paths below the repository made relative and home folders as ``~``.

    The name of this machine is replaced where it surely is one: in a URL or after a user's name.
    """
    for folder, replacement in {str(ROOT): ".", str(Path.home()): "~"}.items():
        if folder != Path(folder).anchor:
            written = f"{re.escape(folder)}|{re.escape(json.dumps(folder)[1:-1])}"
            text = re.sub(rf"(?<![\w.-])({written})(?![\w.-])", replacement, text)
    host = re.escape(socket.gethostname())
    # A machine may be called like a word of an address: https://doi.org is none, http://doi is.
    end = rf"(?![\w-])((?!\.\w)|(?<!http://{host})(?<!https://{host}))"
    text = re.sub(rf"(://)?(?<![\w.-])(\w[\w.-]*@|(?<=://)){host}{end}", r"\1host", text)
    return HOMES.sub("~", text)


def escape_markdown(text) -> str:
    """Return text for Markdown: redacted, any character that could be markup as an entity."""
    return re.sub(r"[^\w .,:/+()-]", lambda match: f"&#{ord(match[0])};", redact_paths(str(text)))


def escape_code(text) -> str:
    """Return text as inline code for a Markdown table, fenced by enough backticks."""
    text = " ".join(redact_paths(str(text)).split()).replace("|", "\\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " * (text[:1] == "`" or text[-1:] == "`")
    return f"{fence}{space}{text}{space}{fence}"
