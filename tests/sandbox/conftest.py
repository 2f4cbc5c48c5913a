from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from airflow_provider_tallyfy.sandbox import Sandbox


class Api:
    """A plain client of the sandbox, which knows nothing but the documented headers."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update(
            {
                "Authorization": f"Bearer {sandbox.token}",
                "Accept": "application/json",
                "X-Tallyfy-Client": "APIClient",
            }
        )

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request to a path below the organization."""
        url = f"{self.sandbox.base_url}/organizations/{self.sandbox.organization_id}{path}"
        return self.send(method, url, **options)

    def send(self, method: str, url: str, **options: Any) -> requests.Response:
        return self.session.request(method, url, timeout=options.pop("timeout", 10), **options)

    def data(self, path: str) -> Any:
        response = self("GET", path)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def names(self, query: str = "") -> list[str]:
        return [run["name"] for run in self.data(f"/runs?{query}")]


@pytest.fixture
def api(tallyfy_sandbox: Sandbox) -> Iterator[Api]:
    client = Api(tallyfy_sandbox)
    yield client
    client.session.close()
