"""Foreign text: quoted for Markdown, and without the places where it was made."""

import socket
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import made_up
from helpers import ROOT
from helpers.report.banner import write_banner
from helpers.report.foreign import hide_places, quote, quote_code
from helpers.report.source import Source, read_shown

HOST = socket.gethostname()
TEXTS = [*made_up.HOSTILE, "`", "``a`", "a|b", "two\nlines", "* x", "ü σ ½", "&lt;", "a\\"]


def render(text):
    """Return the parts of the only cell of a Markdown table."""
    parser = MarkdownIt("commonmark").enable("table")
    head, cell = (t for t in parser.parse(f"| head |\n|:--|\n| {text} |") if t.children)
    assert head.content == "head"
    return cell.children


@pytest.mark.parametrize("text", TEXTS)
def test_text_stays_text(text):
    children = render(quote(text))
    assert {child.type for child in children} <= {"text", "text_special"}
    assert "".join(child.content for child in children) == text


@pytest.mark.parametrize("text", TEXTS)
def test_code_stays_code(text):
    (child,) = render(quote_code(text))
    assert child.type == "code_inline"
    assert child.content == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"{ROOT}/results/mine", "./results/mine"),
        (f"{Path.home()}/x", "~/x"),
        ("at /home/me/.venv/lib, line 3", "at ~/.venv/lib, line 3"),
        ("file:///Users/me/x", "file://~/x"),
        ("at /cluster/home/me/x and /nfs/users/me", "at ~/x and ~"),
        ('{"path": "/mnt/data/home/me"}', '{"path": "~"}'),
        (r"C:\Users\me\x", r"~\x"),
        (r'{"path": "C:\\Users\\me\\x"}', r'{"path": "~\\x"}'),
        ("https://example.org/home/page", "https://example.org/home/page"),
        (f"data{Path.home()}/home/x", f"data{Path.home()}/home/x"),
        ("results/mine", "results/mine"),
        (f"no answer of tcp://{HOST}:8786", "no answer of tcp://host:8786"),
        (f"ssh://me@{HOST}/x or me.too@{HOST}", "ssh://host/x or host"),
        (f"a {HOST}, {HOST}.py and me@{HOST}s", f"a {HOST}, {HOST}.py and me@{HOST}s"),
    ],
)
def test_places_are_relative_or_home(text, shown):
    assert hide_places(text) == shown


def test_the_banner_is_text(tmp_path):
    made_up.write_records(tmp_path, "made_up", seeds=(1,))
    made_up.make_hostile(tmp_path, "/home/zaphod")
    banner = write_banner(read_shown(Source("made_up", tmp_path, "1")))
    assert "&lt;script&gt;alert(1)" in banner
    assert "<" not in banner
