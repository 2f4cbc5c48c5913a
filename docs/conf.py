"""How Sphinx builds the documentation."""

from __future__ import annotations

import os
from pathlib import Path

from airflow_provider_tallyfy import __version__

# Importing the operators makes Airflow write its configuration somewhere; let that be here.
os.environ.setdefault("AIRFLOW_HOME", str(Path(__file__).parent / "_build" / "airflow"))

project = "airflow-provider-tallyfy"
author = "the airflow-provider-tallyfy authors"
copyright = "2026, the airflow-provider-tallyfy authors, Apache License 2.0"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Tallyfy for Apache Airflow"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
# Only what this package documents itself; Airflow's own methods have their own documentation.
autodoc_inherit_docstrings = False
