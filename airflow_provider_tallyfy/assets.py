"""Tallyfy's templates and runs as Airflow assets (Airflow 2: datasets)."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from airflow.providers.common.compat.assets import Asset

__all__ = ["run_asset", "template_asset"]

SCHEME = "tallyfy"

_KINDS = ("templates", "runs")


def template_asset(organization_id: str, template_id: str, **settings: Any) -> Asset:
    """
    Make the asset of a template: an outlet of tasks that launch or complete its runs, an inlet of those that use them.

    :param organization_id: the organization.
    :param template_id: the template.
    :param settings: further arguments of ``Asset``.
    """
    return Asset(uri=_uri(organization_id, "templates", template_id), **settings)


def run_asset(organization_id: str, run_id: str, **settings: Any) -> Asset:
    """
    Make the asset of a run.

    :param organization_id: the organization.
    :param run_id: the run.
    :param settings: further arguments of ``Asset``.
    """
    return Asset(uri=_uri(organization_id, "runs", run_id), **settings)


def sanitize_uri(parts: SplitResult) -> SplitResult:
    """
    Check and normalize ``tallyfy://<organization>/templates/<id>`` and ``tallyfy://<organization>/runs/<id>``.

    :param parts: the URI.
    :raises ValueError: if it is neither.
    """
    segments = [segment for segment in parts.path.split("/") if segment]
    if not parts.netloc or len(segments) != 2 or segments[0] not in _KINDS or parts.query or parts.fragment:
        raise ValueError(
            f"{parts.geturl()!r} is not a Tallyfy URI.\nUse tallyfy://<organization>/templates/<id> or .../runs/<id>."
        )
    return parts._replace(scheme=SCHEME, netloc=parts.netloc.lower(), path=f"/{segments[0]}/{segments[1]}")


def to_openlineage(asset: Asset, lineage_context: Any = None) -> Any:
    """
    Make the dataset of OpenLineage that stands for a template or a run: its name is the path of the URI.

    :param asset: the asset.
    :param lineage_context: not used.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset

    parts = urlsplit(asset.uri)
    return Dataset(namespace=f"{SCHEME}://{parts.netloc}", name=parts.path.strip("/"))


def _uri(organization_id: str, kind: str, thing_id: str) -> str:
    return f"{SCHEME}://{quote(organization_id, safe='')}/{kind}/{quote(thing_id, safe='')}"
