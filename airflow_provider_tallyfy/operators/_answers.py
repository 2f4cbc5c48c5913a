"""The operator that reads what people answered."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID, MAX_XCOM_BYTES
from airflow_provider_tallyfy.operators._base import TallyfyRunOperator

if TYPE_CHECKING:
    from airflow_provider_tallyfy.api.models.answers import Answers

_RUNS_AT_A_TIME = 8


class TallyfyGetAnswersOperator(TallyfyRunOperator):
    """
    Read what people answered in the forms of one run or of many, as plain values by label.

    Fields of the kick-off form and of all tasks are there. Those of the same label are told apart by their step, as in
    ``Notes (Legal review)``. Text and numbers are as they are, dates ISO 8601 text, options text, tables lists of rows,
    people have ``id``, ``name`` and ``email``, files ``name`` and ``url``. A field that is empty or hidden is ``None``.

    For ``run_id`` the result is ``{"run_id", "run_name", "answers", "hidden"}``: ``hidden`` has the labels of the
    fields that a rule of the template hides. Both are XComs as well, so ``op.output["answers"]`` chains tasks. For
    ``run_ids`` it is a list of flat rows, ready for pandas and ``.expand``: ``run_id``, ``run_name``, and each answer
    under its label.

    .. seealso:: :ref:`howto/operator:TallyfyGetAnswersOperator`

    :param run_id: the run (templated). Give either this or ``run_ids``.
    :param run_ids: many runs (templated): a list of ids, or of dicts with an ``id``; an XCom of such a list; text with
        ids between commas or lines; or ``{"path": ...}``, a file of JSON lines. An empty list gives no rows.
    :param fields: only these fields, under these names (templated): labels, aliases or ids, as a list, or text with
        commas between them. A name that a run does not know fails the task with the nearest ones. By default all.
    :param output_path: write the rows to this file (templated): as CSV if its name ends with ``.csv``, otherwise as
        JSON lines; a local path, or a URL that ``ObjectStoragePath`` knows. The result is then ``{"path", "count"}``.
        If a run cannot be read, an earlier file stays as it is. By default the result has the answers.
    :param max_xcom_bytes: the number of bytes that the XCom may have. A longer result fails the task. Default:
        ``49152``.
    :param organization_id: id of the organization (templated). By default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :raises TallyfyValidationError: if an argument is invalid, a field is unknown, or the result is too long for an
        XCom.
    :raises TallyfyNotFoundError: if there is no such run, or it is archived and Tallyfy does not show its tasks.
    :raises TallyfyError: if anything else failed, in one of its kinds.
    """

    template_fields: Sequence[str] = ("run_ids", "fields", "output_path", *TallyfyRunOperator.template_fields)

    def __init__(
        self,
        *,
        run_id: str | None = None,
        run_ids: Any = None,
        fields: Sequence[str] | str | None = None,
        output_path: str | os.PathLike[str] | None = None,
        max_xcom_bytes: int = MAX_XCOM_BYTES,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            run_id=run_id,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            **kwargs,
        )
        self.run_ids = run_ids
        self.fields = fields
        self.output_path = output_path
        self.max_xcom_bytes = max_xcom_bytes

    def execute(self, context: Context) -> Any:
        """Read the answers."""
        from airflow_provider_tallyfy.api.outputs import answers_result, answers_row
        from airflow_provider_tallyfy.files.storage import checked_path_if_given, rows_for_xcom, write_table

        path = checked_path_if_given(self.output_path, "output_path")
        names = self._names()
        is_many = self._was_given("run_ids")
        describe = answers_row if is_many or path else answers_result
        with self.hook, closing(self._read(context, is_many=is_many)) as found:  # an error must not leave its thread
            rows = (describe(answers, names) for answers in found)
            if path:
                count = write_table(path, rows)
                self.log.info("Wrote the answers of %d runs to %s", count, path)
                return {"path": path, "count": count}
            results = rows_for_xcom(rows, self.max_xcom_bytes, "Ask for fewer fields or runs,")
        self.log.info("Read the answers of %d runs.", len(results))
        if is_many:
            return results
        [result] = results
        for key in ("answers", "hidden"):
            context["ti"].xcom_push(key=key, value=result[key])
        return result

    def _names(self) -> tuple[str, ...] | None:
        from airflow_provider_tallyfy.api.inputs.checks import listed
        from airflow_provider_tallyfy.api.inputs.problems import invalid

        if not self._was_given("fields"):
            return None
        names = listed(self.fields, "fields")
        if not names:
            raise invalid("fields", self.fields, "is empty", "Leave it out for all fields.")
        return names

    def _read(self, context: Context, *, is_many: bool) -> Generator[Answers]:
        from airflow_provider_tallyfy.api import flows
        from airflow_provider_tallyfy.api.inputs.problems import invalid
        from airflow_provider_tallyfy.bulk.reading import read_in_order
        from airflow_provider_tallyfy.files.ids_and_rows import read_run_ids

        organization_id = self.hook.organization_id
        if not is_many:
            yield self.hook.execute(flows.get_answers(organization_id, self._push_run_link(context)))
            return
        if self._was_given("run_id") or self.run_ids is None:
            problem = "is given together with run_id" if self.run_ids is not None else "is missing"
            raise invalid("run_ids", self.run_ids, problem, "Give one of run_id and run_ids.")
        directory: dict[tuple[str, str], tuple[str | None, str | None]] = {}
        each = (flows.get_answers(organization_id, run_id, directory) for run_id in read_run_ids(self.run_ids))
        yield from read_in_order(self.hook, each, _RUNS_AT_A_TIME)
