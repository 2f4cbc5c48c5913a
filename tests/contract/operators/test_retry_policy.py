"""What Airflow makes of a failed try that has Tallyfy's retry policy."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from airflow.providers.common.compat import sdk
from airflow.providers.common.compat.sdk import DAG, AirflowOptionalProviderFeatureException

from airflow_provider_tallyfy import retry_policy
from airflow_provider_tallyfy.compat import TASKS_HAVE_RETRY_POLICIES
from airflow_provider_tallyfy.operators.tallyfy import TallyfyLaunchRunOperator
from tests.task_contexts import context_of

RUN_ID = "0123456789abcdef0123456789abcdef"

since_3_3 = pytest.mark.skipif(not TASKS_HAVE_RETRY_POLICIES, reason="Airflow < 3.3 has no retry policies")


class Supervisor:
    """Collects the messages of a task to its supervisor, and answers nothing."""

    def send(self, message):
        return None


@pytest.fixture
def run_task(monkeypatch, tallyfy):
    """Return a function that runs a task in Airflow's task runner and returns its message to the supervisor."""
    tallyfy.add_template("Onboarding", id=RUN_ID)
    import structlog
    from airflow.sdk.api.datamodels import _generated as api
    from airflow.sdk.execution_time import task_runner

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(), raising=False)
    monkeypatch.setattr(task_runner, "_prepare", lambda *args: None)  # templates would need a DAG

    def run(operator, *, should_retry=True):
        dag_run = api.DagRun.model_construct(clear_number=0, run_after=datetime.now(UTC), team_name=None)
        server = api.TIRunContext.model_construct(dag_run=dag_run, max_tries=3, should_retry=should_retry)
        ti = task_runner.RuntimeTaskInstance.model_construct(
            id=uuid4(),
            dag_id="dag",
            task_id=operator.task_id,
            run_id="manual",
            map_index=-1,
            try_number=1,
            task=operator,
        )
        ti._ti_context_from_server = server
        on_terminate = signal.getsignal(signal.SIGTERM)
        try:
            state, message, _ = task_runner.run(ti, {"ti": ti, "dag_run": dag_run}, structlog.get_logger())
        finally:
            signal.signal(signal.SIGTERM, on_terminate)
        return message, state

    return run


def launch(**arguments):
    policy = retry_policy.TallyfyRetryPolicy()
    return TallyfyLaunchRunOperator(task_id="task", template_id=RUN_ID, retry_policy=policy, retries=3, **arguments)


@since_3_3
def test_a_longer_retry_after_than_the_budget_becomes_a_retry_at_that_time(tallyfy, run_task, pauses):
    tallyfy.faults.add("status", method="POST", status=429, retry_after=3600)
    message, state = run_task(launch())
    assert state.value == "up_for_retry"
    assert message.retry_delay_seconds == 900  # what one header can ask for at most
    assert "429" in message.retry_reason
    assert pauses == []


@since_3_3
def test_a_shorter_one_is_waited_for_in_the_task(tallyfy, pauses):
    template = tallyfy.add_template("Onboarding")
    tallyfy.faults.add("status", method="POST", status=429, retry_after=7)
    result = TallyfyLaunchRunOperator(task_id="task", template_id=template["id"]).execute(context_of())
    assert result["changed"] is True
    assert 7 <= pauses[0] < 8


@since_3_3
@pytest.mark.parametrize("fault", [{"status": 503}, {"kind": "reset"}, {"status": 200, "body": "html"}], ids=str)
def test_a_transient_failure_is_retried_after_the_delay_of_the_task(tallyfy, run_task, fault):
    tallyfy.faults.add(method="POST", times=None, **fault)
    message, state = run_task(launch())
    assert state.value == "up_for_retry"
    assert message.retry_delay_seconds is None


@since_3_3
def test_retries_are_still_limited_by_the_task(tallyfy, run_task):
    tallyfy.faults.add("status", method="POST", status=429, retry_after=3600)
    _, state = run_task(launch(), should_retry=False)
    assert state.value == "failed"


@since_3_3
@pytest.mark.parametrize("status", [401, 402, 403, 404, 422])
def test_permanent_errors_fail_the_task_at_once(tallyfy, run_task, status):
    tallyfy.faults.add("status", method="POST", status=status)
    _, state = run_task(launch())
    assert state.value == "failed"


@since_3_3
def test_errors_of_other_origin_follow_the_settings_of_the_task():
    from airflow.sdk import RetryAction

    decision = retry_policy.TallyfyRetryPolicy().evaluate(KeyError("x"), 1, 3)
    assert decision.action is RetryAction.DEFAULT


@since_3_3
def test_a_dag_that_uses_it_can_be_serialized():
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    with DAG("dag", schedule=None) as dag:
        launch()
        mapped = TallyfyLaunchRunOperator.partial(
            task_id="mapped", template_id=RUN_ID, retry_policy=retry_policy.TallyfyRetryPolicy()
        )
        mapped.expand(name=["a", "b"])
    tasks = LazyDeserializedDAG.from_dag(dag).data["dag"]["tasks"]
    assert [task["__var"]["task_id"] for task in tasks] == ["task", "mapped"]
    assert tasks[0]["__var"]["has_retry_policy"] is True


@since_3_3
@pytest.mark.skipif(not hasattr(sdk, "ChainRetryPolicy"), reason="this common-compat has no chain of policies")
def test_the_policy_is_an_airflow_retry_policy_and_can_be_chained():
    from airflow.sdk import ExceptionRetryPolicy

    chain = sdk.ChainRetryPolicy([retry_policy.TallyfyRetryPolicy(), ExceptionRetryPolicy([])])
    assert chain.policies


@pytest.mark.skipif(TASKS_HAVE_RETRY_POLICIES, reason="Airflow >= 3.3 has retry policies")
def test_older_versions_say_which_airflow_is_needed():
    with pytest.raises(AirflowOptionalProviderFeatureException, match=r"needs Airflow 3\.3 or newer"):
        retry_policy.TallyfyRetryPolicy()
