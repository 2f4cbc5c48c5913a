"""A connection to a closed port, for tests of what is refused before a request is sent."""

from __future__ import annotations

import json

ORGANIZATION_ID = "f" * 32

#: Nothing listens at this port, so a request fails at once with a ``TallyfyTransportError``.
CONNECTION = json.dumps(
    {
        "conn_type": "tallyfy",
        "host": "http://127.0.0.1:1/api",
        "password": "a-token",
        "extra": {"organization_id": ORGANIZATION_ID, "retry_budget": 0},
    }
)
