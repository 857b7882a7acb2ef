"""Executed notebooks: each bound to the record that it made, so that a page shows no other's."""

import hashlib
import json
import re

from .record import Record

SEAL = re.compile(rb'"seal": "[0-9a-f]{64}"')
OPEN = b'"seal": "%s"' % (b"0" * 64)


def seal(content: bytes, record: Record) -> bytes:
    """Return an executed notebook with a checksum of itself and its record in its metadata.

    The paths of its execution are left out: they were temporary, and tell who made the run.
    """
    notebook = json.loads(content)
    for name in ("input_path", "output_path"):
        notebook["metadata"].get("papermill", {}).pop(name, None)
    notebook["metadata"]["seal"] = "0" * 64
    text = json.dumps(notebook, indent=1).encode() + b"\n"
    return SEAL.sub(b'"seal": "%s"' % _sum_up(text, record), text)


def has_notebook(record: Record) -> bool:
    """Return whether the notebook that made a record lies beside it, as it was written."""
    try:
        content = record.notebook.read_bytes()
    except OSError:
        return False
    return b'"seal": "%s"' % _sum_up(content, record) in content


def _sum_up(content: bytes, record: Record) -> bytes:
    whole = SEAL.sub(OPEN, content) + record.run["checksum"].encode()
    return hashlib.sha256(whole).hexdigest().encode()
