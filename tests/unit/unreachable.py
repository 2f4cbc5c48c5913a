"""A connection to nowhere: what a task refuses before it asks Tallyfy anything needs no more."""

from __future__ import annotations

import json

ORGANIZATION_ID = "f" * 32

#: Nothing listens at this port, so that a request would fail with a ``TallyfyTransportError``, and at once.
CONNECTION = json.dumps(
    {
        "conn_type": "tallyfy",
        "host": "http://127.0.0.1:1/api",
        "password": "a-token",
        "extra": {"organization_id": ORGANIZATION_ID, "retry_budget": 0},
    }
)
