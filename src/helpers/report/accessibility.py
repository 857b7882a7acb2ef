"""Markup for screen readers, keyboards and print: row headers, MathML, focus."""

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.math import get_node_equation_number

#: Replacements in the HTML of a page.
FIXES = {
    # ARIA does not allow such entries in the list that docutils makes of the bibliography.
    ' role="list"': "",
    ' role="doc-biblioentry"': "",
    # A figure that scrolls on a phone must be reachable by keyboard.
    ' id="figure-2"': ' id="figure-2" tabindex="0"',
    # Header cells state their scope.
    '<th class="head': '<th scope="col" class="head',
    '<th class="stub': '<th scope="row" class="stub',
}


def setup(app: Sphinx) -> None:
    """Connect the fixes, and render equations as MathML, without scripts and other hosts."""
    app.add_html_math_renderer("mathml", (_visit_math, None), (_visit_math_block, None))
    app.connect("doctree-read", mark_row_headers)
    app.connect("doctree-resolved", drop_downloads)
    app.connect("html-page-context", fix_page)


def mark_row_headers(app: Sphinx, doctree: nodes.document) -> None:
    """Make the first cell of each table row its header."""
    for group in doctree.findall(nodes.tgroup):
        next(group.findall(nodes.colspec))["stub"] = 1


def drop_downloads(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Keep only the text of links to files in the single-page build: in print they lead nowhere."""
    if app.builder.name == "singlehtml":
        for link in list(doctree.findall(addnodes.download_reference)):
            link.replace_self(link.children)


def fix_page(app: Sphinx, page, template, context: dict, doctree) -> None:
    """Apply the fixes to the HTML of a page."""
    for wrong, right in FIXES.items():
        context["body"] = context.get("body", "").replace(wrong, right)


def _visit_math(translator, node: nodes.math) -> None:
    translator.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def _visit_math_block(translator, node: nodes.math_block) -> None:
    # A long equation scrolls by itself and must be reachable by keyboard.
    translator.body.append(translator.starttag(node, "div", CLASS="math", tabindex="0"))
    if node["number"]:
        number = get_node_equation_number(translator, node)
        translator.body.append(f'<span class="eqno">({number})</span>')
    translator.body.append(tex2mathml(node.astext(), as_block=True) + "</div>\n")
    raise nodes.SkipNode
