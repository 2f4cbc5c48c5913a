"""What Airflow learns of this package without importing it: the provider's metadata and connection form."""

from __future__ import annotations

from typing import Any

from airflow_provider_tallyfy.connection_extras import EXTRAS

_PACKAGE = "airflow_provider_tallyfy"
_SOURCE = "https://github.invalid/OWNER/airflow-provider-tallyfy"

_ASSETS = {
    "schemes": ["tallyfy"],
    "handler": f"{_PACKAGE}.assets.sanitize_uri",
    "to_openlineage_converter": f"{_PACKAGE}.assets.to_openlineage",
}

UI_FIELD_BEHAVIOR: dict[str, Any] = {
    # The Test button of Airflow 3.3 refuses every connection that has no port, so the form asks for one.
    "hidden-fields": ["schema"],
    "relabeling": {"host": "API base URL", "login": "Client id", "password": "Access token or client secret"},
    "placeholders": {
        "host": "https://go.tallyfy.com/api",
        "login": "only with auth = client_credentials",
        "password": "personal access token",
        "port": "443, for the Test button of Airflow 3.3",
    },
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, as the entry point ``apache_airflow_provider`` must."""
    return {
        "package-name": "airflow-provider-tallyfy",
        "name": "Tallyfy",
        "description": "Launch, restore, archive and wait for runs of human workflows in `Tallyfy <https://tallyfy.com>`__.",
        "integrations": [
            {
                "integration-name": "Tallyfy",
                "external-doc-url": "https://tallyfy.com/products/pro/integrations/open-api/",
                "how-to-guide": [f"{_SOURCE}/blob/main/docs/operators/index.rst"],
                "logo": f"{_SOURCE}/raw/main/docs/images/logo.svg",
                "tags": ["service"],
            }
        ],
        "connection-types": [
            {
                "connection-type": "tallyfy",
                "hook-name": "Tallyfy",
                "hook-class-name": f"{_PACKAGE}.hooks.tallyfy.TallyfyHook",
                "ui-field-behaviour": UI_FIELD_BEHAVIOR,
                "conn-fields": {name: extra.form_field for name, extra in EXTRAS.items()},
            }
        ],
        "asset-uris": [_ASSETS],
        "dataset-uris": [_ASSETS],  # Airflow 2
        "cli": [f"{_PACKAGE}.cli.definition.get_tallyfy_cli_commands"],  # Airflow >= 3.2
        "extra-links": [f"{_PACKAGE}.links.tallyfy.TallyfyRunLink"],
        "hooks": _modules("hooks"),
        "operators": _modules("operators", "tallyfy", "bulk"),
        "sensors": _modules("sensors"),
        "triggers": _modules("triggers"),
        "notifications": [f"{_PACKAGE}.notifications.tallyfy.TallyfyNotifier"],
    }


def _modules(kind: str, *names: str) -> list[dict[str, Any]]:
    modules = [f"{_PACKAGE}.{kind}.{name}" for name in names or ("tallyfy",)]
    return [{"integration-name": "Tallyfy", "python-modules": modules}]
