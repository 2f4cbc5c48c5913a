"""The sandbox in a process of its own, so that the server's work is not counted as the client's."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import Any

import requests


class SandboxProcess:
    """An empty Tallyfy on a free loopback port, until the end of the ``with`` block."""

    def __init__(self) -> None:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as seed:
            seed.write("{}")
            seed.flush()
            self._start("--port", "0", "--seed", seed.name)

    def _start(self, *options: str) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "airflow_provider_tallyfy.sandbox", *options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        facts: dict[str, str] = {}
        for line in self._process.stdout:
            name, _, value = line.rstrip().partition(" ")
            facts[name] = value.strip()
            if "--conn-json" in line:
                break
        self.base_url = facts["base"].removeprefix("URL").strip()
        self.organization_id = facts["organization"]
        self.token = facts["token"]
        self._control_url = facts["control"].removesuffix("/state")
        self.connection = facts["airflow"].partition("--conn-json")[2].strip().strip("'")

    def __enter__(self) -> SandboxProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.terminate()
        self._process.wait()

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the sandbox, not Tallyfy: see ``airflow_provider_tallyfy.sandbox.control``."""
        response = requests.request(method, f"{self._control_url}{path}", json=body, timeout=120)
        response.raise_for_status()
        return response.json()

    def add_archived_runs(self, count: int) -> list[str]:
        """Add archived runs and forget the requests so far."""
        ids: list[str] = self.control("POST", "/runs", {"count": count, "archived": True})["ids"]
        self.control("DELETE", "/requests")
        return ids

    def count_requests(self) -> int:
        """Count the requests since ``add_archived_runs``, declined ones included."""
        return int(self.control("GET", "/requests/count")["count"])
