"""Text from records, escaped for Markdown, without paths, home folders and host names."""

import json
import re
import socket
from pathlib import Path

from helpers import ROOT

#: Home folders of other users and machines, also nested as on clusters. JSON doubles backslashes;
#: a part of a URL is not a home folder.
HOMES = re.compile(
    r"((?<=file://)|(?<![\w.:/-]))((/[\w.-]+)*?/(home|Users|users)/|[A-Z]:\\{1,2}Users\\{1,2})[^/\\\s\"'<>|]+"
)


def redact_paths(text: str) -> str:
    """Return text with paths in the repository made relative and home folders as ``~``.

    The host name is replaced where it is unambiguous: in a URL or after a user's name.
    """
    for folder, replacement in {str(ROOT): ".", str(Path.home()): "~"}.items():
        if folder != Path(folder).anchor:
            written = f"{re.escape(folder)}|{re.escape(json.dumps(folder)[1:-1])}"
            text = re.sub(rf"(?<![\w.-])({written})(?![\w.-])", replacement, text)
    host = re.escape(socket.gethostname())
    # A host may be named like part of a URL: https://doi.org does not name it, http://doi does.
    end = rf"(?![\w-])((?!\.\w)|(?<!http://{host})(?<!https://{host}))"
    text = re.sub(rf"(://)?(?<![\w.-])(\w[\w.-]*@|(?<=://)){host}{end}", r"\1host", text)
    return HOMES.sub("~", text)


def escape_markdown(text) -> str:
    """Return text for Markdown: redacted, with entities for all characters that could be markup."""
    return re.sub(r"[^\w .,:/+()-]", lambda match: f"&#{ord(match[0])};", redact_paths(str(text)))


def escape_code(text) -> str:
    """Return text as inline code for a Markdown table, fenced by enough backticks."""
    text = " ".join(redact_paths(str(text)).split()).replace("|", "\\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " * (text[:1] == "`" or text[-1:] == "`")
    return f"{fence}{space}{text}{space}{fence}"
