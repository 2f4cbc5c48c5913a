"""The pages of the documentation, as they are written."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def entries(*, of_airflow: bool) -> list[str]:
    """Give the messages that the page about errors explains: those of this package, or Airflow's own."""
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    return re.findall(r"^### `(.+)`$", page.split("\n## Airflow's own messages\n")[of_airflow], re.MULTILINE)
