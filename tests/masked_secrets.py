"""What Airflow masks in logs, across tests."""

from __future__ import annotations

import sys


def forget_masked_secrets() -> None:
    """Forget what earlier tests masked: Airflow compiles one pattern of all secrets, again for each new one."""
    for module in ("airflow.sdk._shared.secrets_masker", "airflow.utils.log.secrets_masker"):
        if module in sys.modules:
            masker = sys.modules[module]._secrets_masker()
            masker.patterns, masker.replacer = set(), None
