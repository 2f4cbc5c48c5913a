"""Seeds: what a sandbox holds at the start."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from airflow_provider_tallyfy.sandbox.ids_and_times import Json

_ONBOARDING: Json = {
    "title": "Customer onboarding",
    "id": "ae0f8868dd2081c2a10f6afa79f72044",
    "kickoff": [
        {"label": "Company name", "field_type": "text", "required": True},
        {"label": "Contact email", "field_type": "email", "required": True},
        {"label": "Go-live date", "field_type": "date"},
        {"label": "Plan", "field_type": "radio", "options": ["Trial", "Paid"]},
        {"label": "Tier", "field_type": "dropdown", "options": ["Silver", "Gold", "Platinum"]},
        {"label": "Add-ons", "field_type": "multiselect", "options": ["SSO", "Audit log", "Sandbox"]},
        {"label": "First order", "field_type": "table", "columns": ["Item", "Quantity"]},
        {"label": "Notes", "field_type": "textarea"},
    ],
    "steps": [
        "Send welcome pack",
        {
            "title": "Collect documents",
            "form_fields": [{"label": "Tax number", "field_type": "text", "required": False}],
        },
        {"title": "Legal review", "task_type": "approval"},
        "Activate account",
    ],
}
_VENDOR: Json = {
    "title": "Vendor review",
    "id": "f45cd28a12b2936e43e2ac8a0dc01b2f",
    "kickoff": [{"label": "Vendor", "field_type": "text", "required": True}],
    "steps": ["Check certificates", "Score risks", "Decide"],
}

#: What the command line loads without a seed file.
DEFAULT: Json = {
    "templates": [_ONBOARDING, _VENDOR],
    "tags": ["priority", "emea"],
    "runs": [
        {
            "template": "Customer onboarding",
            "id": "13457c9c58c1da857daed3a574ffe86d",
            "name": "Onboarding - ACME Corp",
            "created_at": "12 days ago",
        },
        {
            "template": "Customer onboarding",
            "id": "c44bdfc975e78b1875c90175372678ee",
            "name": "Onboarding \ufeff- Globex",
            "created_at": "5 days ago",
            "tags": ["priority"],
        },
        {
            "template": "Customer onboarding",
            "id": "d43501b4cf45ff0586830e4e48d5eec3",
            "name": "Onboarding - Initech",
            "created_at": "20 days ago",
            "status": "problem",
        },
        {
            "template": "Customer onboarding",
            "id": "68fad5b2a7cb5c50df28fb42aed70abe",
            "name": "Onboarding - Umbrella",
            "created_at": "40 days ago",
            "completed_at": "2 days ago",
        },
        {
            "template": "Customer onboarding",
            "id": "7176c819d93bbca6e20a54bd52940a59",
            "name": "Onboarding - Soylent",
            "created_at": "150 days ago",
            "completed_at": "100 days ago",
        },
        {
            "template": "Vendor review",
            "id": "16f82d128775cdbcbdac6d9e2e075727",
            "name": "Vendor review - Northwind",
            "created_at": "160 days ago",
            "completed_at": "120 days ago",
            "tags": ["emea"],
        },
        {
            "template": "Vendor review",
            "id": "326326281e75d4101d5ea51732e48289",
            "name": "Vendor review - Contoso",
            "created_at": "3 days ago",
        },
        {
            "template": "Vendor review",
            "id": "8096fb4e743ef28a61c13788b4f32893",
            "name": "Vendor review - Fabrikam",
            "created_at": "30 days ago",
            "archived_at": "4 days ago",
        },
        {
            "template": "Customer onboarding",
            "id": "c27460eb5b3c719bb613fb83cc4e5427",
            "name": "Onboarding - Hooli",
            "created_at": "70 days ago",
            "archived_at": "10 days ago",
        },
        {
            "template": "Customer onboarding",
            "id": "b95c91a72ce69ae00eb93630d7749fca",
            "name": "Onboarding - Wonka",
            "created_at": "200 days ago",
            "completed_at": "130 days ago",
            "archived_at": "60 days ago",
        },
        {
            "template": "Vendor review",
            "id": "33827d67a00120e5cf3b1e4f9b3364dd",
            "name": "Vendor review - Tyrell",
            "created_at": "300 days ago",
            "completed_at": "250 days ago",
            "archived_at": "200 days ago",
        },
    ],
}


class SeedError(ValueError):
    """A seed is invalid; the message says why."""


def read_seed(path: str) -> Any:
    """Read a seed file."""
    try:
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise SeedError(f"it cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise SeedError(f"it is not JSON ({error})") from None


def load(seed: Any, loaders: Mapping[str, Callable[[Any], object]]) -> None:
    """Add everything a seed names, in the order of the loaders: each adds one thing of its kind."""
    known = ", ".join(loaders)
    if not isinstance(seed, dict):
        raise SeedError(f"it is not an object with {known}")
    if unknown := sorted(seed.keys() - loaders.keys()):
        raise SeedError(f"it has unknown keys: {', '.join(unknown)}. Known: {known}")
    for kind, add in loaders.items():
        things = seed.get(kind, [])
        if not isinstance(things, list):
            raise SeedError(f"its {kind} are not a list")
        for number, thing in enumerate(things):
            _load_one(f"{kind}[{number}]", thing, text=kind == "tags", add=add)


def _load_one(place: str, thing: Any, *, text: bool, add: Callable[[Any], object]) -> None:
    if not isinstance(thing, str if text else dict):
        raise SeedError(f"its {place} is not {'text' if text else 'an object'}")
    try:
        add(thing)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SeedError(f"its {place} cannot be added: {error.args[0]}") from error
