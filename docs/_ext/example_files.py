"""What pages show of example DAGs: without the marks that cut snippets, and with a link to the complete file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

_MARK = re.compile(r"^ *# \[(?:START|END) \w+\]\n", re.MULTILINE)
_QUOTED = re.compile(r"literalinclude\} (?:\.\./)+example_dags/(\w+\.py)")


def link_to_complete_files(app: Sphinx, page: nodes.document) -> None:
    """Clean what is quoted from example DAGs, and say below each snippet where the complete file is."""
    recipes = _recipes(Path(app.srcdir))
    for block in list(page.findall(nodes.literal_block)):
        file = Path(block.get("source", ""))
        if file.parent.name != "example_dags" or file.suffix != ".py":
            continue
        code = _MARK.sub("", block.astext())
        block.rawsource = code
        block.children = [nodes.Text(code)]
        if "\nfrom airflow" not in code:
            block.parent.insert(block.parent.index(block) + 1, _link(app, recipes, file.name))


def _recipes(docs: Path) -> dict[str, str]:
    """Find the recipe that shows a file, by the file's name."""
    pages = sorted((docs / "recipes").glob("*.md"))
    return {name: f"recipes/{page.stem}" for page in pages for name in _QUOTED.findall(page.read_text())}


def _link(app: Sphinx, recipes: dict[str, str], name: str) -> nodes.paragraph:
    if name in recipes:
        address = app.builder.get_relative_uri(app.env.docname, recipes[name])
    else:
        address = app.config.extlinks["source"][0] % f"example_dags/{name}"
    link = nodes.reference("", "", nodes.literal("", name), refuri=address)
    return nodes.paragraph("", "The complete file: ", link)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect it."""
    app.connect("doctree-read", link_to_complete_files)
    return {"parallel_read_safe": True}
