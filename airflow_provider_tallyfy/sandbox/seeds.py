"""What the sandbox holds when it is started from the command line without a seed file."""

from __future__ import annotations

from airflow_provider_tallyfy.sandbox.values import Json

_ONBOARDING: Json = {
    "title": "Customer onboarding",
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
    "kickoff": [{"label": "Vendor", "field_type": "text", "required": True}],
    "steps": ["Check certificates", "Score risks", "Decide"],
}

DEFAULT: Json = {
    "templates": [_ONBOARDING, _VENDOR],
    "tags": ["priority", "emea"],
    "runs": [
        {"template": "Customer onboarding", "name": "Onboarding - ACME Corp", "created_at": "12 days ago"},
        {
            "template": "Customer onboarding",
            "name": "Onboarding \ufeff- Globex",
            "created_at": "5 days ago",
            "tags": ["priority"],
        },
        {
            "template": "Customer onboarding",
            "name": "Onboarding - Initech",
            "created_at": "20 days ago",
            "status": "problem",
        },
        {
            "template": "Customer onboarding",
            "name": "Onboarding - Umbrella",
            "created_at": "40 days ago",
            "completed_at": "2 days ago",
        },
        {
            "template": "Customer onboarding",
            "name": "Onboarding - Soylent",
            "created_at": "150 days ago",
            "completed_at": "100 days ago",
        },
        {
            "template": "Vendor review",
            "name": "Vendor review - Northwind",
            "created_at": "160 days ago",
            "completed_at": "120 days ago",
            "tags": ["emea"],
        },
        {"template": "Vendor review", "name": "Vendor review - Contoso", "created_at": "3 days ago"},
        {
            "template": "Vendor review",
            "name": "Vendor review - Fabrikam",
            "created_at": "30 days ago",
            "archived_at": "4 days ago",
        },
        {
            "template": "Customer onboarding",
            "name": "Onboarding - Hooli",
            "created_at": "70 days ago",
            "archived_at": "10 days ago",
        },
        {
            "template": "Customer onboarding",
            "name": "Onboarding - Wonka",
            "created_at": "200 days ago",
            "completed_at": "130 days ago",
            "archived_at": "60 days ago",
        },
        {
            "template": "Vendor review",
            "name": "Vendor review - Tyrell",
            "created_at": "300 days ago",
            "completed_at": "250 days ago",
            "archived_at": "200 days ago",
        },
    ],
}
