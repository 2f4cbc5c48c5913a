"""The way from an Airflow task to its run in the Tallyfy web app."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, Context, XCom

__all__ = ["TallyfyRunLink"]

RUN_ID_KEY = "run_id"
RUN_URL_KEY = "run_url"


class TallyfyRunLink(BaseOperatorLink):
    """Opens the run. It is there as soon as the task knows its run, so also while it waits or after it failed."""

    name = "Open run in Tallyfy"

    @property
    def xcom_key(self) -> str:
        """XCom that holds the address."""
        return RUN_URL_KEY

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """
        Return the address that the task pushed, or an empty text before it did.

        :param operator: not used; the link depends on the task instance only.
        :param ti_key: the task instance.
        """
        return XCom.get_value(key=RUN_URL_KEY, ti_key=ti_key) or ""


def name_run(context: Any, name: str) -> None:
    """Offer the run's name to ``map_index_template``, as ``run_name``."""
    context["run_name"] = name


def push_run(context: Context, run_id: str, url: str) -> None:
    """Push the XComs by which the link finds the run and other tasks chain to it (``op.output["run_id"]``)."""
    context["ti"].xcom_push(key=RUN_ID_KEY, value=run_id)
    context["ti"].xcom_push(key=RUN_URL_KEY, value=url)
