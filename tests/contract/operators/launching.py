"""Launches of runs and projects, and the runs that they leave."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_tallyfy.operators.tallyfy import (
    TallyfyLaunchProjectOperator,
    TallyfyLaunchRunOperator,
)


def template_run(tallyfy, **arguments: Any) -> TallyfyLaunchRunOperator:
    known = [template["id"] for template in tallyfy.store.templates.values() if template["title"] == "Onboarding"]
    template_id = known[0] if known else tallyfy.add_template("Onboarding")["id"]
    return TallyfyLaunchRunOperator(**{"task_id": "task", "template_id": template_id, "name": "Acme"} | arguments)


def project(tallyfy, **arguments: Any) -> TallyfyLaunchProjectOperator:
    owners = {"users": [tallyfy.user["id"]]}
    return TallyfyLaunchProjectOperator(**{"task_id": "task", "title": "Acme", "owners": owners} | arguments)


both_kinds = pytest.mark.parametrize("launcher", [template_run, project])


def live_runs(tallyfy) -> list[str]:
    return [run["id"] for run in tallyfy.runs if run["name"] == "Acme" and run["archived_at"] is None]


def launches(tallyfy) -> int:
    return sum(r.method == "POST" and r.path.endswith(("/runs", "/tasks")) for r in tallyfy.requests)


def asked(tallyfy) -> list[str]:
    ends = ["template" if "/checklists/" in r.path else r.path.rpartition("/")[2] for r in tallyfy.requests]
    return [f"{request.method} {end}" for request, end in zip(tallyfy.requests, ends, strict=True)]
