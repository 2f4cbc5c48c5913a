"""How Sphinx builds the documentation."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from airflow_provider_tallyfy import __version__

HERE = Path(__file__).parent
sys.path.append(str(HERE / "_ext"))
# Importing the operators makes Airflow write its configuration somewhere; let that be here.
os.environ.setdefault("AIRFLOW_HOME", str(HERE / "_build" / "airflow"))
URLS = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]["urls"]

project = "airflow-provider-tallyfy"
author = "the airflow-provider-tallyfy authors"
copyright = "2026, the airflow-provider-tallyfy authors, Apache License 2.0"
release = version = __version__

extensions = ["code_tables", "example_files", "myst_parser"]
extensions += ["sphinx.ext.autodoc", "sphinx.ext.extlinks", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Tallyfy for Apache Airflow"
html_static_path = ["_static"]
html_theme_options = {
    "source_view_link": f"{URLS['Source']}/blob/main/docs/{{filename}}",
    "source_edit_link": f"{URLS['Source']}/edit/main/docs/{{filename}}",
    "top_of_page_buttons": ["view", "edit"],
    "footer_icons": [{"name": name, "url": URLS[name], "html": name, "class": ""} for name in ("Source", "Issues")],
}

extlinks = {"source": (f"{URLS['Source']}/blob/main/%s", "%s")}

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

# A reference that leads nowhere is a warning. What Python, Airflow and other packages have is not on these pages.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!.*[Tt]allyfy).*")]

add_module_names = False
maximum_signature_line_length = 70
python_use_unqualified_type_names = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
# Only what this package documents itself; Airflow's own methods have their own documentation.
autodoc_inherit_docstrings = False


def show_public_bases(app: Sphinx, name: str, kind: type, options: Any, bases: list[type]) -> None:
    """Show what a class inherits from, without the private bases in between."""
    bases[:] = [base for base in dict.fromkeys(_public_bases(kind)) if base is not object] or [object]


def _public_bases(kind: type) -> Iterator[type]:
    for base in kind.__bases__:
        is_ours = base.__module__.startswith("airflow_provider_tallyfy")
        if is_ours and base.__name__ not in getattr(import_module(base.__module__), "__all__", ()):
            yield from _public_bases(base)
        else:
            yield base


def hide_inherited_constructor(app: Sphinx, what: str, name: str, kind: Any, *_: Any) -> tuple[str, None] | None:
    """Show the arguments of an error once, where they are declared."""
    return ("", None) if what == "exception" and "__init__" not in vars(kind) else None


def setup(app: Sphinx) -> None:
    """Connect these."""
    app.connect("autodoc-process-bases", show_public_bases)
    app.connect("autodoc-process-signature", hide_inherited_constructor)
