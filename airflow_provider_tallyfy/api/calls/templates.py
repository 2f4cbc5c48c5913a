"""Templates."""

from __future__ import annotations

from airflow_provider_tallyfy.api.call import Answer, Call
from airflow_provider_tallyfy.api.calls.paths import in_organization
from airflow_provider_tallyfy.api.inputs.checks import checked_id
from airflow_provider_tallyfy.api.models.template import Template, read_template


def get_template(organization_id: str, template_id: str) -> Call[Template]:
    """``GET /checklists/{id}`` (documentation page "Get template"), with its steps; an archived one is not found."""
    template_id = checked_id(template_id, "template_id")

    def parse(answer: Answer) -> Template:
        template = read_template(answer)
        if template.id != template_id:
            raise ValueError(f"it shows another template, {template.id}")
        return template

    return Call(
        action=f"read template {template_id}",
        method="GET",
        path=in_organization(organization_id, "checklists", template_id),
        parse=parse,
        query=(("with", "steps"),),
    )
