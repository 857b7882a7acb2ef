"""What pages need so that a screen reader and a keyboard do not stumble over them."""

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

#: The figure that scrolls by itself on a phone.
SCROLLING = ' id="figure-2"'

#: In the HTML of a page: what is wrong to what is right.
MENDS = {
    # ARIA allows no such entries in a list as docutils makes of the bibliography.
    ' role="list"': "",
    ' role="doc-biblioentry"': "",
    # What scrolls by itself must be reached by the keyboard.
    SCROLLING: f'{SCROLLING} tabindex="0"',
    # Heads name their column or their row.
    '<th class="head': '<th scope="col" class="head',
    '<th class="stub': '<th scope="row" class="stub',
}


def name_rows(app: Sphinx, doctree: nodes.document) -> None:
    """Let the first cell of each row of a table be its head."""
    for group in doctree.findall(nodes.tgroup):
        next(group.findall(nodes.colspec))["stub"] = 1


def drop_downloads(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Leave the text of links to files where all pages are one: in print they lead nowhere, and
    would name the folder where the book was made.
    """
    if app.builder.name == "singlehtml":
        for link in list(doctree.findall(addnodes.download_reference)):
            link.replace_self(link.children)


def mend_page(app: Sphinx, page, template, context: dict, doctree) -> None:
    """Mend the HTML of a page."""
    for wrong, right in MENDS.items():
        context["body"] = context.get("body", "").replace(wrong, right)
