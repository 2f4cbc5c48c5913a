"""What OpenLineage is told: ids and a switch, never what people wrote. Only its provider has this module imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from airflow.providers.common.compat.openlineage.facet import Dataset, RunFacet
from airflow.providers.openlineage.extractors import ExtractorManager, OperatorLineage

from airflow_provider_tallyfy.assets import run_asset, template_asset, to_openlineage
from airflow_provider_tallyfy.connection import organization_in


@attrs.define
class TallyfyRunFacet(RunFacet):
    """The run that a task was about; names are as OpenLineage has them."""

    organizationId: str
    runId: str
    templateId: str | None = None
    changed: bool | None = None


@attrs.define
class TallyfyRunsFacet(RunFacet):
    """The runs that a bulk task was about, counted by what became of them."""

    organizationId: str
    templateId: str | None
    counts: dict[str, int]


def lineage_of(task: Any, facts: Mapping[str, Any], *, writes: bool) -> OperatorLineage[Dataset, RunFacet]:
    """
    Make the lineage of a task: the run it wrote or read, or counts of many, the template it was given, and its declared
    inlets and outlets.

    OpenLineage's provider leaves out what is declared for a task that tells anything itself.
    """
    inputs, outputs = (list(map(ExtractorManager.convert_to_ol_dataset, each)) for each in (task.inlets, task.outlets))
    run_facets: dict[str, RunFacet] = {}
    run_id, template_id = facts.get("run_id"), facts.get("template_id")
    organization_id = facts.get("organization_id") or organization_in(facts.get("url"), run_id or "")
    if organization_id and run_id:
        run_facets["tallyfy_run"] = TallyfyRunFacet(organization_id, run_id, template_id, facts.get("changed"))
        (outputs if writes else inputs).append(to_openlineage(run_asset(organization_id, run_id)))
    elif organization_id:
        run_facets["tallyfy_runs"] = TallyfyRunsFacet(organization_id, template_id, facts["counts"])
    if organization_id and template_id and getattr(task, "template_id", None):
        inputs.append(to_openlineage(template_asset(organization_id, template_id)))
    return OperatorLineage(inputs=_distinct(inputs), outputs=_distinct(outputs), run_facets=run_facets)


def _distinct(datasets: list[Dataset | None]) -> list[Dataset]:
    return list({(each.namespace, each.name): each for each in datasets if each is not None}.values())
