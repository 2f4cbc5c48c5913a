"""The operator that asks people to approve or reject."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, Context, conf

from airflow_provider_tallyfy.compat import BranchMixIn, skip
from airflow_provider_tallyfy.defaults import DEFAULT_CONN_ID
from airflow_provider_tallyfy.links.tallyfy import RUN_ID_KEY
from airflow_provider_tallyfy.operators._launch import TallyfyLaunchOnceOperator

if TYPE_CHECKING:
    from airflow_provider_tallyfy.api.call import Flow
    from airflow_provider_tallyfy.api.flows import LaunchKey
    from airflow_provider_tallyfy.api.models.run import RunChange
    from airflow_provider_tallyfy.waits.approvals import ApprovalGoal
    from airflow_provider_tallyfy.waits.deadline import Deadline
    from airflow_provider_tallyfy.waits.results import WaitResult

# When Tallyfy shows a question as overdue that may wait for ever.
_WEEK = timedelta(days=7).total_seconds()

# Arguments of Airflow's human-in-the-loop operators that this one does not have, and what to do instead.
_INSTEAD = {
    "options": "People approve or reject. For other answers launch a run with a form, and read it.",
    "multiple": "People approve or reject, which exclude each other.",
    "params": "Put a form into a template and give template_id; params_input has its answers.",
    "notifiers": "Tallyfy tells the assignees. For others use on_execute_callback.",
    "assigned_users": "Give assignees, who are people of Tallyfy.",
}


class TallyfyApprovalOperator(TallyfyLaunchOnceOperator, BranchMixIn):
    """
    Ask people in Tallyfy to approve or reject, and go on as they decide.

    The question is a run of its own with an approval for each of the ``assignees``, or a run of a template with an
    approval among its steps (``template_id``, ``approval_task``). There is one question per task instance, whatever
    happens to the task: a retry and a cleared task adopt it.

    The operator takes the arguments of Airflow's ``ApprovalOperator`` and, with ``options_mapping``, of its
    ``HITLBranchOperator``, and ends as they do: if people reject, the tasks downstream are skipped. Arguments of theirs
    that it does not have are refused by name.

    The result is a small dict: ``chosen_options`` (``["Approve"]`` or ``["Reject"]``), ``params_input`` (the answers in
    the forms of the template's run, by label), ``responded_at`` (ISO 8601 text), ``responded_by_user`` (``id`` and
    ``name``), ``approved``, ``run_id`` and ``url``. The last two are ``None`` or empty for a decision of nobody.

    .. seealso:: :ref:`howto/operator:TallyfyApprovalOperator`

    :param subject: the question (templated): title of the task and name of its run, at most 550 characters.
    :param body: what people need to know to decide (templated): the summary. The launch's marker is added to it.
    :param assignees: who is asked (templated): ``{"users": [...], "guests": [...], "groups": [...]}``, or some of
        these: users by e-mail address, name or id, groups by name or id. With ``template_id`` the template says who.
    :param quorum: ``"any"`` (default): the first decision counts, and then the question is archived. ``"all"``:
        everybody must approve, and any rejection rejects.
    :param template_id: title or id of a template to ask by (templated).
    :param kickoff: values of its kick-off form by field label, alias or id (templated).
    :param approval_task: alias or title of the approval among its steps (templated).
    :param on_skipped: what it means if a rule of the template skips the approval: ``"Approve"``, ``"Reject"``, or
        ``None`` (default) to fail.
    :param response_timeout: how long people have: a timedelta, or seconds. It begins anew with each try. By default,
        as with Airflow's operators, the task's ``execution_timeout``, or for ever.
    :param defaults: what counts if nobody decides in time: ``"Approve"``, ``"Reject"``, or ``None`` (default) to fail.
    :param fail_on_reject: whether a rejection fails the task. Default: ``False``.
    :param ignore_downstream_trigger_rules: whether a rejection skips all tasks downstream, whatever their trigger
        rules. Otherwise it skips those directly downstream. Default: ``False``.
    :param options_mapping: task ids by decision, to branch instead: ``{"Approve": "deploy", "Reject": "roll_back"}``.
    :param relaunch_on_clear: whether clearing the task asks anew. Otherwise a cleared task adopts the first question.
        Default: ``False``.
    :param poll_interval: pause between two looks: seconds above zero, or a timedelta. Default: ``60`` seconds.
    :param max_poll_failures: how many looks in a row may fail; ``None`` for any number. Default: ``100``.
    :param deferrable: wait in the triggerer, without a worker. Default: Airflow's ``[operators] default_deferrable``,
        which is ``False``.
    :param dry_run: log and return the requests instead of sending them (templated, as the field ``simulate``). Nobody
        has approved then, so the tasks downstream are skipped. Default: ``False``.
    :param organization_id: id of the organization (templated). By default the connection's.
    :param tallyfy_conn_id: the Airflow connection (templated). Default: ``tallyfy_default``.
    :raises TallyfyValidationError: with what is wrong with the arguments. Nobody was asked then.
    :raises TallyfyUnknownOutcomeError: if nobody can tell yet whether people were asked. A retry looks again.
    :raises TallyfyResponseError: if Tallyfy does not say what people decided.
    :raises TallyfyError: if anything else failed, in one of its kinds.
    """

    inherits_from_skipmixin = True

    APPROVE = "Approve"
    REJECT = "Reject"

    template_fields: Sequence[str] = (
        "subject",
        "body",
        "assignees",
        "template_id",
        "kickoff",
        "approval_task",
        *TallyfyLaunchOnceOperator.template_fields,
    )
    template_fields_renderers = {"assignees": "json", "kickoff": "json"}  # noqa: RUF012

    def __init__(
        self,
        *,
        subject: str,
        body: str | None = None,
        assignees: Mapping[str, Sequence[Any]] | str | None = None,
        quorum: str = "any",
        template_id: str | None = None,
        kickoff: Mapping[str, Any] | str | None = None,
        approval_task: str | None = None,
        on_skipped: str | None = None,
        response_timeout: timedelta | float | None = None,
        defaults: str | Sequence[str] | None = None,
        fail_on_reject: bool = False,
        ignore_downstream_trigger_rules: bool = False,
        options_mapping: Mapping[str, str] | None = None,
        relaunch_on_clear: bool = False,
        poll_interval: timedelta | float = 60,
        max_poll_failures: int | None = 100,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        dry_run: bool | str = False,
        organization_id: str | None = None,
        tallyfy_conn_id: str = DEFAULT_CONN_ID,
        **kwargs: Any,
    ) -> None:
        self._refuse_others(self._named - {"params"})
        super().__init__(
            relaunch_on_clear=relaunch_on_clear,
            poll_interval=poll_interval,
            max_poll_failures=max_poll_failures,
            deferrable=deferrable,
            dry_run=dry_run,
            organization_id=organization_id,
            tallyfy_conn_id=tallyfy_conn_id,
            **kwargs,
        )
        inherited = self.dag.params.keys() if self.has_dag() else ()  # type: ignore[no-untyped-call]
        if self.params.keys() - inherited:
            self._refuse_others({"params"})
        self.subject = subject
        self.body = body
        self.assignees: Any = assignees
        self.quorum = quorum
        self.template_id = template_id
        self.kickoff = kickoff
        self.approval_task = approval_task
        self.on_skipped = on_skipped
        self.response_timeout = response_timeout
        if response_timeout is None:  # Airflow would end the task before the default counts
            self.response_timeout, self.execution_timeout = self.execution_timeout, None
        self.defaults = defaults
        self.fail_on_reject = fail_on_reject
        self.ignore_downstream_trigger_rules = ignore_downstream_trigger_rules
        self.options_mapping = options_mapping

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask, or adopt the question of an earlier try, and wait for the decision."""
        return self._go_on(context, super().execute(context))

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """Resume the task after the trigger's wait."""
        from airflow_provider_tallyfy.waits.results import WaitResult

        ti = context["ti"]
        run_id = ti.xcom_pull(task_ids=ti.task_id, key=RUN_ID_KEY, map_indexes=ti.map_index)
        with self.hook:
            self._note(run_id=run_id, url=self.hook.run_url(run_id))
            result = self._result(run_id, WaitResult.from_event(event), self._new_deadline())
        return self._go_on(context, result)

    @staticmethod
    def _refuse_others(names: Iterable[str]) -> None:
        for name in sorted(_INSTEAD.keys() & names):
            from airflow_provider_tallyfy.api.errors import TallyfyValidationError

            raise TallyfyValidationError(f"TallyfyApprovalOperator takes no {name}.\n{_INSTEAD[name]}")

    @property
    def _has_template(self) -> bool:
        return self._was_given("template_id")

    @property
    def _scope(self) -> str:
        """The template, or all projects."""
        from airflow_provider_tallyfy.api.flows import PROJECTS
        from airflow_provider_tallyfy.api.inputs.checks import checked_id

        if not self._has_template:
            return PROJECTS
        return checked_id(self.hook.with_ids({"template_id": self.template_id})["template_id"], "template_id")

    @property
    def _timeout(self) -> float:
        from airflow_provider_tallyfy.api.inputs.checks import checked_seconds

        given = self.response_timeout
        return float("inf") if given is None else checked_seconds(given, "response_timeout", least=0)

    def _check(self) -> None:
        from airflow_provider_tallyfy.api.inputs.checks import checked_text, free_text
        from airflow_provider_tallyfy.api.inputs.problems import Problems

        problems = Problems()
        problems.collect(super()._check)
        problems.collect(self._check_times, "response_timeout")
        problems.collect(checked_text, self.subject, "subject")
        if self.body is not None:
            problems.collect(free_text, self.body, "body")
        problems.collect(self._people)
        problems.collect(self._check_mapping)
        for name in ("fail_on_reject", "ignore_downstream_trigger_rules"):
            problems.collect(self._is_set, name)
        for name in ("on_skipped", "defaults"):
            problems.collect(self._choice, name)
        problems.raise_all("Nobody was asked.")

    def _people(self) -> dict[str, list[Any]]:
        """Check who is asked; nobody if the template says who."""
        from airflow_provider_tallyfy.api.inputs.checks import checked_text
        from airflow_provider_tallyfy.api.inputs.people import checked_people
        from airflow_provider_tallyfy.api.inputs.problems import invalid

        if self.quorum not in ("any", "all"):
            raise invalid("quorum", self.quorum, "is neither 'any' nor 'all'")
        if self._has_template:
            checked_text(self.approval_task, "approval_task")
            if self._was_given("assignees"):
                raise invalid("assignees", self.assignees, "is given together with template_id, which says who")
            if self.quorum == "all":
                raise invalid("quorum", self.quorum, "is given together with template_id, which has one approval")
            return {}
        for name in ("kickoff", "approval_task"):
            if self._was_given(name):
                raise invalid(name, getattr(self, name), "is given without template_id")
        people = checked_people(self.hook.with_ids({"assignees": self.assignees})["assignees"], "assignees")
        if not any(people.values()):
            raise invalid("assignees", self.assignees, "is empty")
        return people

    def _is_set(self, name: str) -> bool:
        from airflow_provider_tallyfy.api.inputs.checks import checked_flag

        return checked_flag(getattr(self, name), name)

    def _choice(self, name: str) -> bool | None:
        """Read which decision an argument means."""
        from airflow_provider_tallyfy.api.inputs.problems import invalid

        value = getattr(self, name)
        for choice, meaning in ((None, None), (self.APPROVE, True), (self.REJECT, False)):
            if value in (choice, [choice]):
                return meaning
        raise invalid(name, value, f"is neither {self.APPROVE!r} nor {self.REJECT!r}")

    def _check_mapping(self) -> None:
        from airflow_provider_tallyfy.api.inputs.problems import invalid

        mapping = self.options_mapping
        if mapping is None:
            return
        for other in ("fail_on_reject", "ignore_downstream_trigger_rules"):
            if self._is_set(other):
                raise invalid("options_mapping", mapping, f"is given together with {other}")
        is_mapping = isinstance(mapping, Mapping) and bool(mapping) and mapping.keys() <= {self.APPROVE, self.REJECT}
        if not is_mapping or not all(isinstance(task_id, str) for task_id in mapping.values()):
            problem = f"does not give task ids for {self.APPROVE!r} and {self.REJECT!r}"
            raise invalid("options_mapping", mapping, problem)

    def _launch(self, organization_id: str, key: LaunchKey) -> Flow[RunChange]:
        """Ask."""
        from airflow_provider_tallyfy.api import flows
        from airflow_provider_tallyfy.api.flows import ApprovalRequest, ProjectRequest
        from airflow_provider_tallyfy.waits.deadline import LONGEST_WAIT

        if self._has_template:
            fields = {"name": self.subject, "summary": self.body}
            request = ApprovalRequest(self._scope, self.kickoff, None, fields, str(self.approval_task))
            return flows.launch_run(organization_id, request, key)
        seconds = _WEEK if self.response_timeout is None else min(self._timeout, LONGEST_WAIT.total_seconds())
        due = datetime.now(UTC) + timedelta(seconds=seconds)
        project = ProjectRequest(self.subject, self._people(), due, "approval", self.body)
        return flows.launch_project(organization_id, project.body(), key)

    def _goal(self, run_id: str) -> ApprovalGoal:
        from airflow_provider_tallyfy.waits.approvals import ApprovalGoal

        people = self._people()
        # How many members a group has, only its tasks show.
        known = sum(len({*people.get(kind, ())}) for kind in ("users", "guests")) if self.quorum == "all" else 1
        return ApprovalGoal.of(
            run_id,
            str(self.approval_task) if self._has_template else "",
            needs_all=self.quorum == "all",
            least=max(1, known),
            skipped_means=self._choice("on_skipped"),
        )

    def _follow(self, context: Context, change: RunChange) -> dict[str, Any]:
        from airflow_provider_tallyfy.api import flows

        run, deadline = change.run, self._new_deadline()
        is_restored = run.is_archived and not self._has_template
        if is_restored:  # an earlier try was killed after the decision, or the task was cleared
            self.hook.execute(flows.activate_run(self.hook.organization_id, run.id, run))
        return self._result(run.id, self._wait(self._goal(run.id), deadline), deadline, is_restored=is_restored)

    def _result(
        self, run_id: str, waited: WaitResult, deadline: Deadline, *, is_restored: bool = False
    ) -> dict[str, Any]:
        """Make the result of the decision, and leave nobody with a question that is decided."""
        from airflow_provider_tallyfy.api import flows
        from airflow_provider_tallyfy.api.models.run import format_time
        from airflow_provider_tallyfy.api.text import quoted
        from airflow_provider_tallyfy.waits.results import Outcome

        organization_id, default = self.hook.organization_id, self._choice("defaults")
        if waited.outcome in (Outcome.FAILED, Outcome.ERROR) and not self._has_template:
            waited = self._look_again(run_id, waited)
        if waited.outcome is Outcome.TIMED_OUT and deadline.is_own and default is not None:
            now = format_time(datetime.now(UTC))
            decision: Any = {"approved": default, "responded_at": now, "responder": None, "is_open": True}
        else:
            decision = waited.finish(deadline)
        answers: Mapping[str, Any] = {}
        if self._has_template:
            answers = self.hook.execute(flows.get_answers(organization_id, run_id)).by_label
        elif decision["is_open"] or is_restored:
            self._archive(run_id)
        user = None
        if decision["responder"]:
            kind, person = decision["responder"]
            name, email = self.hook.execute(flows.look_up_person(organization_id, kind, person))
            user = {"id": person, "name": name or email or person}
        option = self.APPROVE if decision["approved"] else self.REJECT
        self.log.info("%s: %s (%s)", self.subject, option, quoted(user["name"]) if user else "nobody decided")
        return {
            "chosen_options": [option],
            "params_input": dict(answers),
            "responded_at": decision["responded_at"],
            "responded_by_user": user,
            "approved": decision["approved"],
            "run_id": run_id,
            "url": self.hook.run_url(run_id),
        }

    def _look_again(self, run_id: str, waited: WaitResult) -> WaitResult:
        """Judge a question that is archived anew: an overlapping try may have seen the decision, and archived it."""
        from airflow_provider_tallyfy.api import flows
        from airflow_provider_tallyfy.waits.worker import Poller

        if not self.hook.execute(flows.activate_run(self.hook.organization_id, run_id)).changed:
            return waited
        shown = Poller(self.hook, self._goal(run_id), 0, self.log.info).look()
        self._archive(run_id)
        return shown or waited

    def _archive(self, run_id: str) -> None:
        from airflow_provider_tallyfy.api import flows
        from airflow_provider_tallyfy.api.errors import TallyfyError

        try:
            self.hook.execute(flows.archive_run(self.hook.organization_id, run_id))
        except TallyfyError as error:
            self.log.warning("The question could not be archived.\n%s", error)

    def _go_on(self, context: Context, result: dict[str, Any]) -> dict[str, Any]:
        """Let the tasks downstream run that are to run after this decision; after a dry run none are."""
        is_approved = result.get("approved")
        if is_approved is False and self._is_set("fail_on_reject"):
            raise AirflowFailException(f"Rejected in Tallyfy: {self.subject}\n{result['url']}")
        if (is_approved and not self.options_mapping) or not self.downstream_task_ids:
            return result
        if self.do_xcom_push:
            context["ti"].xcom_push(key="return_value", value=result)  # Airflow 3 skips tasks by an exception
        if self.options_mapping and is_approved is not None:
            [option] = result["chosen_options"]
            self.do_branch(context, [self.options_mapping.get(option, option)])
        else:
            task: Any = context["task"]
            is_thorough = self._is_set("ignore_downstream_trigger_rules")
            find = task.get_flat_relatives if is_thorough else task.get_direct_relatives
            skip(self, context, [each for each in find(upstream=False) if not each.is_teardown])
        return result
