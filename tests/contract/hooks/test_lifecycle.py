"""Restoring and archiving are right in every behavior that the documentation allows, with the fewest requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_tallyfy.api import flows
from airflow_provider_tallyfy.api.errors import (
    TallyfyConfigurationError,
    TallyfyNotFoundError,
    TallyfyPermissionError,
    TallyfyResponseError,
    TallyfyServerError,
)
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.sandbox import Behavior

RUN_ID = "0123456789abcdef0123456789abcdef"
TEMPLATE_ID = "fedcba9876543210fedcba9876543210"
NAME = "Onboarding: ACME & Söhne (2026) #7"
RUN = f"/runs/{RUN_ID}"

#: Each question about restoring and archiving that the documentation leaves open, with every answer.
OPEN_QUESTIONS: list[dict[str, Any]] = [
    {"archived_visible_to_get": True},
    {"archived_visible_to_get": False},
    {"archived_status": "archived"},
    {"archived_status": "stored"},
    {"repeat_archive": 200},
    {"repeat_archive": 404},
    {"repeat_activate": 200},
    {"repeat_activate": 404},
    {"repeat_activate": 422},
    {"archive_answers_body": True},
    {"archive_answers_body": False},
    {"activate_answers_body": True},
    {"activate_answers_body": False},
]
_PRESETS = {"lenient": Behavior.lenient(), "strict": Behavior.strict()}
WORLDS = _PRESETS | {
    f"{name}, but {field}={value}": replace(preset, **{field: value})
    for name, preset in _PRESETS.items()
    for change in OPEN_QUESTIONS
    for field, value in change.items()
    if getattr(preset, field) != value
}
STATES: dict[str, dict[str, Any] | None] = {
    "active": {},
    "unheard-of": {"status": "brand-new"},
    "archived": {"archived": True},
    "archived when complete": {"status": "complete", "archived": True},
    "missing": None,
}
#: How the write itself can fail, once.
TROUBLE: dict[str, dict[str, Any]] = {
    "reset before it was applied": {"kind": "reset"},
    "reset after it was applied": {"kind": "reset", "applied": True},
    "500 after it was applied": {"status": 500, "applied": True},
    "truncated answer": {"kind": "truncated"},
    "404 after it was applied": {"status": 404, "applied": True},
    "422 after it was applied": {"status": 422, "applied": True},
}

#: Both drivers run the same flows, so the second one need not be tested in every behavior.
IN_ALL_WORLDS = pytest.mark.parametrize(
    ("tallyfy_sandbox", "client"),
    [
        *(pytest.param(world, "requests", id=name) for name, world in WORLDS.items()),
        *(pytest.param(world, "httpx", id=f"{name} over httpx") for name, world in _PRESETS.items()),
    ],
    indirect=True,
)
IN_BOTH_WORLDS = pytest.mark.parametrize("tallyfy_sandbox", _PRESETS.values(), ids=_PRESETS, indirect=True)


@pytest.fixture
def given(tallyfy):
    """Put the run into a state, among other live and archived runs."""

    def put(state: str, **fields: Any) -> None:
        template = tallyfy.add_template("Onboarding", id=TEMPLATE_ID)
        tallyfy.add_run(template["id"], name="Another")
        tallyfy.add_run(template["id"], name="Another", archived=True)
        if STATES[state] is not None:
            tallyfy.add_run(template["id"], id=RUN_ID, **{"name": NAME, **STATES[state], **fields})

    return put


def activate(tallyfy, client) -> Any:
    return client.execute(flows.activate_run(tallyfy.organization_id, RUN_ID))


def archive(tallyfy, client) -> Any:
    return client.execute(flows.archive_run(tallyfy.organization_id, RUN_ID))


ACTIONS = {"activate": activate, "archive": archive}
WRITES = {"activate": "PUT", "archive": "DELETE"}
BOTH_ACTIONS = pytest.mark.parametrize("action", ACTIONS)


def asked(tallyfy) -> list[str]:
    """The requests, in short."""
    below = f"/api/organizations/{tallyfy.organization_id}"
    kinds = {f"{below}{RUN}": "run", f"{below}{RUN}/activate": "run", f"{below}/runs": "list"}
    return [f"{request.method} {kinds[request.path]}" for request in tallyfy.requests]


def is_archived(tallyfy) -> bool:
    return tallyfy.run(RUN_ID)["archived_at"] is not None


def fewest_to_activate(world: Behavior, state: str) -> list[str]:
    if state == "missing":
        return ["GET run", "PUT run", "GET run"]
    if "archived" not in state:
        return ["GET run"]
    return ["GET run", "PUT run"] + ([] if world.activate_answers_body else ["GET run"])


def fewest_to_archive(world: Behavior, state: str) -> list[str]:
    search = [] if world.archived_visible_to_get else ["GET list"]
    if state == "missing":
        return ["GET run", "GET list"]
    if "archived" in state:
        return ["GET run", *search]
    return ["GET run", "DELETE run"] + ([] if world.archive_answers_body else ["GET run", *search])


FEWEST = {"activate": fewest_to_activate, "archive": fewest_to_archive}


@IN_ALL_WORLDS
@BOTH_ACTIONS
@pytest.mark.parametrize("state", STATES)
def test_a_run_gets_into_the_requested_state_and_the_result_says_whether_it_changed(
    tallyfy, client, given, action, state
):
    given(state)
    if state == "missing":
        with pytest.raises(TallyfyNotFoundError, match=RUN_ID):
            ACTIONS[action](tallyfy, client)
    else:
        before = tallyfy.run(RUN_ID)
        change = ACTIONS[action](tallyfy, client)
        wanted = action == "archive"
        assert change.run.id == RUN_ID
        assert change.run.is_archived is is_archived(tallyfy) is wanted
        assert change.changed is ((before["archived_at"] is not None) != wanted)
        assert tallyfy.run(RUN_ID)["status"] == before["status"]
    assert asked(tallyfy) == FEWEST[action](tallyfy.behavior, state)


@IN_ALL_WORLDS
@BOTH_ACTIONS
@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.usefixtures("naps")
def test_a_failed_write_does_not_hide_the_state_of_the_run(tallyfy, client, given, trouble, action):
    given("active" if action == "archive" else "archived")
    tallyfy.faults.add(**TROUBLE[trouble], method=WRITES[action])
    change = ACTIONS[action](tallyfy, client)
    assert change.changed
    assert change.run.is_archived is is_archived(tallyfy) is (action == "archive")
    assert asked(tallyfy).count(f"{WRITES[action]} run") <= 2


@IN_BOTH_WORLDS
@BOTH_ACTIONS
@pytest.mark.parametrize("body", ["", {"data": {"id": RUN_ID, "status": "active", "archived_at": None}}, "null"])
@pytest.mark.usefixtures("naps")
def test_success_is_not_believed_unless_the_run_is_shown_to_be_there(tallyfy, client, given, action, body):
    before = "active" if action == "archive" else "archived"
    given(before)
    if body and action == "activate" and body != "null":
        body = {"data": body["data"] | {"archived_at": "2026-01-01T00:00:00Z"}}
    tallyfy.faults.add(status=200, body=body, content_type="application/json", method=WRITES[action], times=None)
    with pytest.raises(TallyfyResponseError, match=rf"^Could not (restore|archive) run {RUN_ID}\.\n"):
        ACTIONS[action](tallyfy, client)
    assert is_archived(tallyfy) is (before == "archived")
    assert asked(tallyfy).count(f"{WRITES[action]} run") == 1
    assert len(asked(tallyfy)) <= 12


@IN_BOTH_WORLDS
@BOTH_ACTIONS
def test_another_look_corrects_a_misleading_answer(tallyfy, client, naps, given, action):
    given("active" if action == "archive" else "archived")
    shown = {"id": RUN_ID, "status": "active", "archived_at": None if action == "archive" else "2026-01-01T00:00:00Z"}
    tallyfy.faults.add(status=200, body={"data": shown}, method=WRITES[action], applied=True)
    change = ACTIONS[action](tallyfy, client)
    assert (change.changed, change.run.is_archived, naps) == (True, action == "archive", [])


@IN_BOTH_WORLDS
@BOTH_ACTIONS
def test_a_replica_that_lags_behind_is_given_time(tallyfy, client, naps, given, action):
    given("active" if action == "archive" else "archived")
    stale = {"id": RUN_ID, "status": "active", "archived_at": None if action == "archive" else "2026-01-01T00:00:00Z"}
    tallyfy.faults.add(status=204, body="", method=WRITES[action], applied=True)
    tallyfy.faults.add(status=200, body={"data": stale}, method="GET", path=RUN_ID, after=1)
    change = ACTIONS[action](tallyfy, client)
    assert (change.changed, change.run.is_archived, naps) == (True, action == "archive", [1.0])


@BOTH_ACTIONS
def test_an_answer_about_another_run_is_an_error(tallyfy, client, given, action):
    given("active" if action == "archive" else "archived")
    other = {"data": {"id": "another", "status": "active", "archived_at": None}}
    tallyfy.faults.add(status=200, body=other, method=WRITES[action])
    with pytest.raises(TallyfyResponseError, match="it shows another run, another"):
        ACTIONS[action](tallyfy, client)


@IN_BOTH_WORLDS
@BOTH_ACTIONS
def test_a_user_without_rights_gets_an_error_and_nothing_changes(tallyfy, client, given, action):
    given("active" if action == "archive" else "archived")
    tallyfy.user_role = "light"
    with pytest.raises(TallyfyPermissionError, match=r"role that allows this \(not light\)"):
        ACTIONS[action](tallyfy, client)
    assert is_archived(tallyfy) is (action == "activate")


@BOTH_ACTIONS
def test_a_write_that_keeps_failing_is_a_server_error_in_the_end(tallyfy, client, naps, given, action):
    given("active" if action == "archive" else "archived")
    tallyfy.faults.add(status=503, method=WRITES[action], times=None)
    with pytest.raises(TallyfyServerError, match=r"Tried \d+ times"):
        ACTIONS[action](tallyfy, client)


@IN_BOTH_WORLDS
def test_a_refusal_is_no_success_while_the_run_is_in_the_old_state(tallyfy, client, given):
    given("active")
    tallyfy.faults.add(status=404, method="DELETE")
    with pytest.raises(TallyfyNotFoundError):
        archive(tallyfy, client)
    assert not is_archived(tallyfy)


@pytest.mark.parametrize("tallyfy_sandbox", ["strict"], indirect=True)
@pytest.mark.parametrize(("name", "searches"), [(NAME, 1), ("Onboarding\ufeff - \ufeffACME", 2)])
def test_a_search_for_an_archived_run_is_widened_only_after_it_found_nothing(tallyfy, client, given, name, searches):
    given("active", name=name)
    tallyfy.add_runs(150, TEMPLATE_ID, name="Older", archived=True)
    tallyfy.behavior = tallyfy.behavior.changed({"q": "substring"})
    archive(tallyfy, client)
    lists = [dict(request.query) for request in tallyfy.requests if request.path.endswith("/runs")]
    assert {query["archived"] for query in lists} == {"only"}
    assert {query["checklist_id"] for query in lists} == {TEMPLATE_ID}
    assert [query.get("q") for query in lists if query["page"] == "1"] == [
        name.replace("\ufeff", ""),
        None,
    ][:searches]


@pytest.mark.parametrize("tallyfy_sandbox", ["strict"], indirect=True)
@pytest.mark.parametrize("name", ["None", "null", "  "])
def test_an_archived_run_is_found_whatever_its_name_looks_like(tallyfy, client, given, name):
    given("active", name=name)
    assert archive(tallyfy, client).run.is_archived


@pytest.mark.parametrize("tallyfy_sandbox", ["strict"], indirect=True)
def test_the_search_for_an_archived_run_goes_from_the_newest_to_the_first_hit(tallyfy, client):
    run_ids = tallyfy.add_runs(350, archived=True)
    change = client.execute(flows.archive_run(tallyfy.organization_id, run_ids[120]))
    assert not change.changed
    pages = [dict(request.query)["page"] for request in tallyfy.requests[1:]]
    assert pages == ["1", "2", "3"]


@IN_BOTH_WORLDS
@pytest.mark.parametrize("state", STATES)
def test_reading_a_run_finds_it_archived_or_not(tallyfy, client, given, state):
    given(state)
    find = flows.find_run(tallyfy.organization_id, RUN_ID)
    if state == "missing":
        with pytest.raises(TallyfyNotFoundError, match=rf"^Could not read run {RUN_ID}\.\nTallyfy answered 404"):
            client.execute(find)
    else:
        run = client.execute(find)
        assert (run.id, run.is_archived) == (RUN_ID, is_archived(tallyfy))
    hidden = not tallyfy.behavior.archived_visible_to_get
    searched = state == "missing" or ("archived" in state and hidden)
    assert asked(tallyfy) == ["GET run", *(["GET list"] if searched else [])]


@IN_BOTH_WORLDS
def test_a_dry_run_reads_and_stops_before_the_first_write(tallyfy, given):
    given("active")
    with TallyfyHook() as hook:
        planned = hook.first_write(flows.archive_run(hook.organization_id, RUN_ID))
        assert planned is not None
        assert (planned.method, planned.path) == ("DELETE", f"/organizations/{hook.organization_id}{RUN}")
        assert hook.first_write(flows.activate_run(hook.organization_id, RUN_ID)) is None
        assert not is_archived(tallyfy)
        assert hook.archive_run(RUN_ID)["changed"]


@IN_BOTH_WORLDS
def test_a_read_only_connection_reads_plans_and_refuses_to_write(tallyfy, client, given, monkeypatch):
    given("active")
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(read_only=True))
    assert not activate(tallyfy, client).changed
    with pytest.raises(
        TallyfyConfigurationError, match=r"is read-only \(extra read_only is true\)\.\nDELETE .* not sent"
    ):
        archive(tallyfy, client)
    with TallyfyHook() as hook:
        assert hook.first_write(flows.archive_run(hook.organization_id, RUN_ID)) is not None
    assert {request.method for request in tallyfy.requests} == {"GET"}


@pytest.mark.parametrize("credentials", ["token", "client_credentials"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_the_session_of_a_read_only_connection_refuses_to_write(tallyfy, given, monkeypatch, credentials, method):
    given("active")
    connection = tallyfy.connection_json(read_only=True, auth=credentials)
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", connection)
    with TallyfyHook() as hook:
        session, url = hook.get_conn(), f"{hook.settings.base_url}/organizations/{hook.organization_id}{RUN}"
        assert session.get(url).ok
        with pytest.raises(TallyfyConfigurationError, match=rf"\n{method} \S*{RUN} was not sent") as refused:
            session.request(method, f"{url}?secret=1", json={"name": "x"})
        assert hook.get_run(RUN_ID)["name"] == NAME
    assert isinstance(refused.value, AirflowFailException)
    assert "secret" not in str(refused.value)
    asked = [request.method for request in tallyfy.requests if "oauth" not in request.path]
    assert asked == ["GET", "GET"]
