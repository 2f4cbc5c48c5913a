"""The notifier tells people once, over either library, and never makes a task's state worse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_tallyfy.compat import AIRFLOW_V_3_1_PLUS
from airflow_provider_tallyfy.hooks import driver
from airflow_provider_tallyfy.notifications import _notifier
from airflow_provider_tallyfy.notifications.tallyfy import TallyfyNotifier
from tests.contract.clients import Naps
from tests.task_contexts import context_of

DAG_RUN = {"dag_id": "load", "dag_run_id": "manual", "run_after": "2026-01-01T00:00:00Z"}
LOST = {
    "the connection breaks": {"kind": "reset"},
    "500": {"status": 500},
    "a page": {"status": 200, "body": "html"},
}


def call(notifier: TallyfyNotifier, context: dict[str, Any]) -> None:
    notifier(context)


def call_async(notifier: TallyfyNotifier, context: dict[str, Any]) -> None:
    """Call it as a triggerer does; older versions have none of this, and no deadlines."""

    async def awaited() -> None:
        if AIRFLOW_V_3_1_PLUS:
            notifier.context = context
            await notifier
        else:
            await notifier.async_notify(context)

    asyncio.run(awaited())


@pytest.fixture(params=[call, call_async], ids=["requests", "httpx"])
def tell(request) -> Callable[[TallyfyNotifier, dict[str, Any]], None]:
    return request.param


@pytest.fixture(autouse=True)
def naps(monkeypatch) -> Naps:
    naps = Naps().install(monkeypatch)
    monkeypatch.setattr(_notifier, "time", vars(driver)["time"])
    return naps


@pytest.fixture
def logged(caplog, capfd) -> Callable[[], str]:
    """Return a function that gives what was logged, wherever this Airflow sends it."""
    caplog.set_level("INFO")
    return lambda: caplog.text + capfd.readouterr().out


@pytest.fixture
def run(tallyfy) -> dict[str, Any]:
    return tallyfy.add_run(name="Acme")


@pytest.fixture
def template(tallyfy) -> dict[str, Any]:
    return tallyfy.add_template("Incident", kickoff=[{"label": "What failed", "required": True}])


def failed(try_number: int = 1, **ti: Any) -> dict[str, Any]:
    """Make the context of a callback; its DAG is only looked at for how it renders templates."""
    context = {"dag": None, **context_of(try_number, **ti)}
    context["ti"].start_date = datetime.now(UTC)
    return context


def comments(tallyfy, run: dict[str, Any]) -> list[str]:
    return [thread["content"].splitlines()[0] for thread in tallyfy.run(run["id"])["threads"]]


def launched(tallyfy) -> list[dict[str, Any]]:
    return [run for run in tallyfy.runs if not run["archived_at"]]


@pytest.mark.usefixtures("worlds")
def test_a_comment_has_the_rendered_words_and_a_marker_and_the_log_has_the_address(tallyfy, run, tell, logged):
    notifier = TallyfyNotifier(run_id="{{ id }}", content="{{ ti.task_id }} failed in {{ run_id }}.")
    context = {**failed(), "id": run["id"], "run_id": "manual__1"}
    tell(notifier, context)
    [thread] = tallyfy.run(run["id"])["threads"]
    assert thread["content"].startswith("task failed in manual__1.\n[airflow:")
    assert f"Told people in Tallyfy: {tallyfy.url}" in logged()
    assert context["run_id"] == "manual__1", "the next callback has the same context"


@pytest.mark.usefixtures("worlds")
def test_a_problem_holds_the_run(tallyfy, run, tell):
    tell(TallyfyNotifier(run_id=run["id"], content="No data.", problem="{{ true }}"), failed())
    assert comments(tallyfy, run) == ["No data."]
    assert tallyfy.run(run["id"])["status"] == "issue"


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("called", ["id", "title"])
def test_a_run_is_launched_with_rendered_values(tallyfy, template, tell, called):
    notifier = TallyfyNotifier(
        template_id=template[called],
        name="{{ ti.task_id }} failed",
        kickoff={"What failed": "{{ ti.dag_id }}"},
        content="Look at the log.",
    )
    tell(notifier, failed())
    [run] = launched(tallyfy)
    assert (run["name"], run["summary"].splitlines()[0]) == ("task failed", "Look at the log.")
    assert list(run["prerun"].values()) == ["dag"]


@pytest.mark.usefixtures("worlds")
def test_what_is_called_again_for_the_same_try_tells_once_and_another_task_or_try_tells_again(tallyfy, run, tell):
    notifier = TallyfyNotifier(run_id=run["id"], content="{{ ti.map_index }} failed.")
    same = TallyfyNotifier(run_id=run["id"], content="{{ ti.map_index }} failed.")
    for each in (notifier, notifier, same):
        tell(each, failed(map_index=0))
    tell(notifier, failed(map_index=1))
    tell(notifier, failed(2, map_index=1))
    tell(TallyfyNotifier(run_id=run["id"], content="And another."), failed(map_index=0))
    assert comments(tallyfy, run) == ["0 failed.", "1 failed.", "1 failed.", "And another."]


@pytest.mark.usefixtures("worlds")
def test_a_launch_is_made_once_for_each_try(tallyfy, template, tell):
    notifier = TallyfyNotifier(template_id=template["id"], kickoff={"What failed": "x"}, content="Look.")
    for _ in range(3):
        tell(notifier, failed())
    assert len(launched(tallyfy)) == 1
    tell(notifier, failed(2))
    assert len(launched(tallyfy)) == 2


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer_does_not_tell_twice(tallyfy, run, template, tell, fault):
    tallyfy.faults.add(method="POST", applied=True, times=2, **LOST[fault])
    for _ in range(2):
        tell(TallyfyNotifier(run_id=run["id"], content="No data."), failed())
        tell(TallyfyNotifier(template_id=template["id"], kickoff={"What failed": "x"}, content="Look."), failed())
    assert comments(tallyfy, run) == ["No data."]
    assert len(launched(tallyfy)) == 2  # with the run of the comment


@pytest.mark.usefixtures("worlds")
def test_an_outage_is_borne_as_long_as_there_is_time_and_logged_then(tallyfy, run, tell, naps, logged):
    notifier = TallyfyNotifier(run_id=run["id"], content="No data.", time_budget=8)
    tallyfy.faults.add(status=503, times=None)
    tell(notifier, failed())
    assert sum(naps) <= 8
    assert len(tallyfy.requests) > 1
    text = logged()
    assert "Nobody was told in Tallyfy." in text
    assert "503" in text
    assert "Traceback" not in text
    tallyfy.faults.clear()
    naps.clear()
    tallyfy.faults.add(status=503, times=2)
    tell(notifier, failed())
    assert comments(tallyfy, run) == ["No data."]


def test_no_request_starts_after_the_time_is_over(tallyfy, run, tell, naps, logged):
    tallyfy.behavior = replace(tallyfy.behavior, run_comments="activity")
    naps.listener = lambda seconds: naps.append(60)  # the first pause takes a minute
    tell(TallyfyNotifier(run_id=run["id"], content="No data."), failed())
    assert tallyfy.requests
    assert {request.method for request in tallyfy.requests} == {"GET"}
    assert "The time for it was over." in logged()
    assert comments(tallyfy, run) == []


def test_an_answer_is_not_awaited_longer_than_the_time(tallyfy, run, tell, monkeypatch, logged):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(timeout=3600))
    tallyfy.faults.add("hang", times=None)
    tell(TallyfyNotifier(run_id=run["id"], content="No data.", time_budget=0.2), failed())
    tallyfy.faults.clear()
    assert "Nobody was told in Tallyfy." in logged()


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no words": ({"content": "{{ none }}"}, "content"),
    "no run": ({"run_id": "{{ none }}"}, "run_id"),
    "a missing run": ({"run_id": "f" * 32}, "404"),
    "a bad template": ({"content": "{{ 1 / 0 }}"}, "division by zero"),
    "a bad flag": ({"problem": "perhaps"}, "problem"),
    "a bad time": ({"time_budget": -1}, "time_budget"),
    "a missing connection": ({"tallyfy_conn_id": "elsewhere"}, "The Airflow connection 'elsewhere' is not defined"),
}


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_logged_and_raises_nothing(tallyfy, run, tell, logged, mistake):
    arguments, said = MISTAKES[mistake]
    tell(TallyfyNotifier(**{"run_id": run["id"], "content": "No data.", **arguments}), failed())
    text = logged()
    assert "Nobody was told in Tallyfy." in text
    assert said in text
    assert not [request for request in tallyfy.requests if request.method == "POST"]


@pytest.mark.usefixtures("worlds")
def test_a_wrong_token_is_logged_and_is_not_in_the_log(tallyfy, run, tell, logged, monkeypatch):
    wrong = tallyfy.connection()
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json().replace(wrong["password"], "w" * 40))
    tell(TallyfyNotifier(run_id=run["id"], content="No data."), failed())
    text = logged()
    assert "401" in text
    assert "w" * 40 not in text


def test_a_read_only_connection_tells_nobody(tallyfy, run, tell, logged, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(read_only=True))
    tell(TallyfyNotifier(run_id=run["id"], content="No data."), failed())
    assert "read-only" in logged()
    assert comments(tallyfy, run) == []


@pytest.mark.usefixtures("worlds")
def test_a_deadline_and_a_dag_run_are_told_once_each(tallyfy, run, tell):
    notifier = TallyfyNotifier(run_id=run["id"], content="{{ (dag_run or dag).dag_id }} is late.")
    first, second = ({"dag": None, "dag_run": DAG_RUN, "deadline": {"id": each}} for each in ("one", "two"))

    class Dag:
        dag_id = "all"

        def get_template_env(self, **_: Any) -> Any:
            from jinja2.sandbox import SandboxedEnvironment

            return SandboxedEnvironment()

        render_template_as_native_obj = False

    whole = {"dag": Dag(), "run_id": "manual", "reason": "task_failure"}
    for context in (first, first, second, whole, whole):
        tell(notifier, dict(context))
    assert comments(tallyfy, run) == ["load is late.", "load is late.", "all is late."]


@pytest.mark.parametrize("given", [{}, {"run_id": "a", "template_id": "b"}], ids=["neither", "both"])
def test_what_a_notifier_is_for_is_said_when_it_is_made(given):
    with pytest.raises(ValueError, match="either run_id or template_id"):
        TallyfyNotifier(content="x", **given)
