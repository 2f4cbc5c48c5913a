"""What Airflow learns of this package without importing it: the provider's metadata and connection form."""

from __future__ import annotations

from typing import Any

_PACKAGE = "airflow_provider_tallyfy"

UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["schema", "port"],
    "relabeling": {"host": "API base URL", "login": "Client id", "password": "Access token or client secret"},
    "placeholders": {
        "host": "https://go.tallyfy.com/api",
        "login": "only with auth = client_credentials",
        "password": "personal access token",
    },
}


def _field(label: str, description: str, kind: str, **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **schema}}


#: Custom fields of the connection form; they are stored in the connection's extra under these keys.
CONNECTION_FIELDS: dict[str, dict[str, Any]] = {
    "organization_id": _field(
        "Organization id", "32 characters, from Settings > Organization in the Tallyfy web app.", "string"
    ),
    "auth": _field(
        "Authentication",
        "token (default): the password is a personal access token. client_credentials: login and password are "
        "client id and secret.",
        "string",
        enum=["token", "client_credentials"],
    ),
    "token_url": _field(
        "OAuth token URL", "For client_credentials. Default: https://account.tallyfy.com/oauth/token", "string"
    ),
    "user_email": _field(
        "Act as user", "For client_credentials: exchange the application token for the token of this user.", "string"
    ),
    "timeout": _field("Timeout (s)", "Seconds to wait for an answer. Default: 30", "number", minimum=0),
    "retry_budget": _field(
        "Retry budget (s)", "Seconds within which a request may be repeated. Default: 120", "number", minimum=0
    ),
    "max_response_bytes": _field(
        "Largest answer (bytes)", "Larger answers are refused. Default: 33554432 (32 MiB)", "integer", minimum=1
    ),
    "requests_per_minute": _field(
        "Requests per minute",
        "How many the deferred waits of one triggerer may send. Default: 300",
        "integer",
        minimum=1,
    ),
    "credentials_grace": _field(
        "Credentials grace (s)",
        "Seconds for which deferred waits go on although Tallyfy refuses the credentials. Default: 300",
        "number",
        minimum=0,
    ),
    "web_url": _field("Web app URL", "Origin of the links to runs. Default: derived from the API base URL", "string"),
    "verify": _field("Verify TLS", "true (default), false, or the path of a CA bundle.", "string"),
    "proxies": _field("Proxies", 'For example {"https": "http://proxy:3128"}', "object"),
    "read_only": _field("Read only", "Refuse every request that would change something in Tallyfy.", "boolean"),
    "allow_http": _field("Allow http", "Permit an unencrypted base URL that is not on this machine.", "boolean"),
}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, as the entry point ``apache_airflow_provider`` must."""
    return {
        "package-name": "airflow-provider-tallyfy",
        "name": "Tallyfy",
        "description": "`Tallyfy <https://tallyfy.com>`__ runs of human workflows: restore, archive, launch, wait.",
        "integrations": [
            {
                "integration-name": "Tallyfy",
                "external-doc-url": "https://tallyfy.com/products/pro/integrations/open-api/",
                "tags": ["service"],
            }
        ],
        "connection-types": [
            {
                "connection-type": "tallyfy",
                "hook-name": "Tallyfy",
                "hook-class-name": f"{_PACKAGE}.hooks.tallyfy.TallyfyHook",
                "ui-field-behaviour": UI_FIELD_BEHAVIOUR,
                "conn-fields": CONNECTION_FIELDS,
            }
        ],
        "asset-uris": [{"schemes": ["tallyfy"], "handler": f"{_PACKAGE}.assets.sanitize_uri"}],
        "dataset-uris": [{"schemes": ["tallyfy"], "handler": f"{_PACKAGE}.assets.sanitize_uri"}],  # Airflow 2
        "extra-links": [f"{_PACKAGE}.links.tallyfy.TallyfyRunLink"],
        "hooks": _modules("hooks"),
        "operators": _modules("operators", "tallyfy", "bulk"),
        "sensors": _modules("sensors"),
        "triggers": _modules("triggers"),
    }


def _modules(kind: str, *names: str) -> list[dict[str, Any]]:
    modules = [f"{_PACKAGE}.{kind}.{name}" for name in names or ("tallyfy",)]
    return [{"integration-name": "Tallyfy", "python-modules": modules}]
