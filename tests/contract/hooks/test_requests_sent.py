"""What reaches Tallyfy, byte by byte, with both libraries."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from airflow import __version__ as airflow_version

from airflow_provider_tallyfy import __version__
from airflow_provider_tallyfy.api import calls, flows
from airflow_provider_tallyfy.api.errors import TallyfyNotFoundError, TallyfyValidationError
from airflow_provider_tallyfy.api.inputs.queries import RunQuery
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from tests.airflow_driver import eventually

STRANGE_IDS = ["a?b", "a#b", "a;b", "a%2Fb", "a%2e%2e", "a+b&c=d", "é", "....", "a:b@c", "{x}"]


@pytest.mark.usefixtures("worlds")
def test_every_request_carries_the_documented_headers(tallyfy, client):
    run = tallyfy.add_run()
    client.execute(flows.archive_run(tallyfy.organization_id, run["id"]))
    assert len(tallyfy.requests) >= 2
    for request in tallyfy.requests:
        assert request.headers["authorization"] == f"Bearer {tallyfy.token}"
        assert request.headers["accept"] == "application/json"
        assert request.headers["x-tallyfy-client"] == "APIClient"
        user_agent = f"airflow-provider-tallyfy/{__version__} apache-airflow/{airflow_version}"
        assert request.headers["user-agent"] == user_agent


def test_only_requests_with_a_body_have_a_content_type(tallyfy, client):
    run, template = tallyfy.add_run(), tallyfy.add_template()
    client.execute(calls.get_run(tallyfy.organization_id, run["id"]))
    client.execute(calls.activate_run(tallyfy.organization_id, run["id"]))
    client.execute(calls.launch_run(tallyfy.organization_id, {"checklist_id": template["id"]}))
    kinds = [(request.method, request.headers.get("content-type"), bool(request.body)) for request in tallyfy.requests]
    assert kinds == [("GET", None, False), ("PUT", None, False), ("POST", "application/json", True)]


def test_twenty_calls_open_one_tcp_connection(tallyfy, client):
    run_ids = tallyfy.add_runs(20)
    for run_id in run_ids:
        client.execute(calls.get_run(tallyfy.organization_id, run_id))
    assert (len(tallyfy.requests), tallyfy.connections_opened) == (20, 1)
    client.close()
    assert eventually(lambda: tallyfy.open_connections == 0)


def test_a_query_spells_a_space_as_percent_20(tallyfy, client):
    tallyfy.add_run(name="Q1 + Q2 & more=50% / Ümlaut #1")
    query = RunQuery(query="Q1 + Q2 & more=50% / Ümlaut #1")
    page = client.execute(calls.list_runs(tallyfy.organization_id, query, 1))
    assert [row["name"] for row in page.rows] == [query.query]
    assert "q=Q1%20%2B%20Q2%20%26%20more%3D50%25%20%2F%20%C3%9Cmlaut%20%231&" in tallyfy.requests[0].raw_query


@pytest.mark.parametrize("run_id", STRANGE_IDS)
def test_an_id_of_any_characters_is_one_segment_of_the_path(tallyfy, client, run_id):
    tallyfy.add_run(id=run_id)
    assert client.execute(calls.get_run(tallyfy.organization_id, run_id)).id == run_id
    assert tallyfy.requests[0].path.count("/") == f"/api/organizations/{tallyfy.organization_id}/runs/x".count("/")
    with pytest.raises(TallyfyNotFoundError):
        client.execute(calls.get_run(tallyfy.organization_id, f"{run_id}."))


@pytest.mark.parametrize("run_id", ["", " ", "..", "a/b", "../me", "a\nb", None])
def test_nothing_is_sent_for_an_id_that_could_change_the_path(tallyfy, run_id):
    with TallyfyHook() as hook:
        for ask in (hook.get_run, hook.archive_run, hook.activate_run, hook.run_url):
            with pytest.raises(TallyfyValidationError, match="run_id"):
                ask(run_id)
    assert tallyfy.requests == []


@pytest.mark.parametrize("organization_id", [" ", "..", "a/b", "a\nb"])
def test_nothing_is_sent_for_an_organization_id_that_could_change_the_path(tallyfy, organization_id):
    with (
        pytest.raises(TallyfyValidationError, match="organization_id"),
        TallyfyHook(organization_id=organization_id) as h,
    ):
        h.get_run("r1")
    assert tallyfy.requests == []


def test_the_session_sends_the_headers_and_token_that_tallyfy_needs(tallyfy):
    run = tallyfy.add_run(name="Onboarding")
    with TallyfyHook() as hook:
        url = f"{hook.settings.base_url}/organizations/{hook.organization_id}/runs/{run['id']}"
        names = [hook.get_conn().get(url).json()["data"]["name"] for _ in range(3)]
        hook.get_run(run["id"])
        assert hook.get_conn() is hook.get_conn()
    assert names == ["Onboarding"] * 3
    assert len({tuple(sorted(request.headers.items())) for request in tallyfy.requests}) == 1
    assert tallyfy.connections_opened == 1
    assert eventually(lambda: tallyfy.open_connections == 0)


def test_the_session_sends_what_no_method_sends(tallyfy):
    # [START howto_hook_session]
    with TallyfyHook() as hook:
        tags = f"{hook.base_url}/organizations/{hook.organization_id}/tags"
        answer = hook.get_conn().post(tags, json={"title": "Audited"})
        answer.raise_for_status()
    # [END howto_hook_session]
    assert [tag["title"] for tag in TallyfyHook().list_tags()] == ["Audited"]


def test_a_closed_hook_opens_again_when_it_is_used(tallyfy):
    run = tallyfy.add_run()
    hook = TallyfyHook()
    for _ in range(2):
        with hook:
            hook.get_run(run["id"])
    hook.close()
    hook.close()
    assert eventually(lambda: tallyfy.open_connections == 0)
    assert tallyfy.connections_opened == 2


def test_threads_share_one_session_and_one_token(tallyfy, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(auth="client_credentials"))
    run_ids = tallyfy.add_runs(40)
    tallyfy.latency = 0.01
    with TallyfyHook() as hook, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(hook.get_run, run_ids))
    assert [run["id"] for run in found] == run_ids
    assert [request.path for request in tallyfy.requests].count("/oauth/token") == 1
    assert tallyfy.connections_opened <= 8


def test_a_list_reads_its_pages_one_after_the_other_and_only_when_they_are_needed(tallyfy):
    tallyfy.add_runs(250)
    with TallyfyHook() as hook:
        assert len(hook.list_runs(limit=7)) == 7
        assert len(tallyfy.requests) == 1
        tallyfy.clear_requests()
        names = [run["name"] for run in hook.list_runs()]
    assert names == [f"Run {number}" for number in range(1, 251)]
    assert [dict(request.query)["page"] for request in tallyfy.requests] == ["1", "2", "3"]
    assert {dict(request.query)["per_page"] for request in tallyfy.requests} == {"100"}


@pytest.mark.usefixtures("worlds")
def test_a_list_holds_only_what_was_asked_for_in_either_world(tallyfy):
    live, archived = tallyfy.add_run(), tallyfy.add_run(archived=True)
    done = tallyfy.add_run(status="complete")
    with TallyfyHook() as hook:
        assert [run["id"] for run in hook.list_runs()] == [live["id"], done["id"]]
        assert [run["id"] for run in hook.list_runs(status="archived")] == [archived["id"]]
        assert [run["id"] for run in hook.list_runs(status="complete")] == [done["id"]]
        assert {run["id"] for run in hook.list_runs(archived="include")} == {live["id"], archived["id"], done["id"]}
        with pytest.raises(TallyfyValidationError, match="status='completed' is not a status"):
            hook.list_runs(status="completed")
