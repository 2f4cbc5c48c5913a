from __future__ import annotations

import pytest
import requests

from airflow_provider_tallyfy.sandbox import Behavior


def application_token(api, sandbox, **form):
    body = {"grant_type": "client_credentials", "client_id": sandbox.client_id, "scope": "*"}
    body |= {"client_secret": sandbox.client_secret, **form}
    return api.send("POST", sandbox.token_url, data=body, headers={"Authorization": ""})


@pytest.mark.usefixtures("worlds")
def test_the_api_is_served_with_and_without_its_prefix(api, tallyfy_sandbox):
    for base in (tallyfy_sandbox.base_url, tallyfy_sandbox.url):
        me = api.send("GET", f"{base}/organizations/{tallyfy_sandbox.organization_id}/me")
        assert me.json()["data"]["email"] == tallyfy_sandbox.user_email


@pytest.mark.usefixtures("worlds")
def test_requests_without_the_client_header_find_no_endpoint(api):
    answer = api("GET", "/runs", headers={"X-Tallyfy-Client": None})
    assert (answer.status_code, answer.json()["code"]) == (404, "ENDPOINT_NOT_FOUND")


def test_strict_accepts_only_the_documented_client_header(api, tallyfy_sandbox):
    assert api("GET", "/runs", headers={"X-Tallyfy-Client": "n8n"}).ok
    tallyfy_sandbox.behavior = Behavior.strict()
    assert api("GET", "/runs", headers={"X-Tallyfy-Client": "n8n"}).status_code == 404


def test_without_asking_for_json_a_404_is_a_web_page(api):
    answer = api("GET", "/nowhere", headers={"Accept": "*/*"})
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("tallyfy_sandbox", "body"),
    [
        ("lenient", {"error": True, "message": "Permission denied. error code: apsh213."}),
        ("strict", {"message": "Unauthenticated."}),
    ],
    indirect=["tallyfy_sandbox"],
)
@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer  two-spaces", "", "Basic x"])
def test_a_bad_token_is_refused(api, body, header):
    answer = api("GET", "/runs", headers={"Authorization": header})
    assert (answer.status_code, answer.json()) == (401, body)


def test_another_organization_is_forbidden_and_a_malformed_one_missing(api, tallyfy_sandbox):
    other = api.send("GET", f"{tallyfy_sandbox.base_url}/organizations/{'ab' * 16}/runs")
    assert other.status_code == 403
    assert other.json()["message"] == "You don't have application's permissions for this organization!"
    assert api.send("GET", f"{tallyfy_sandbox.base_url}/organizations/nonsense/runs").status_code == 404


@pytest.mark.usefixtures("worlds")
def test_an_unknown_path_and_an_unknown_run_get_different_errors(api):
    assert api("GET", "/processes").json()["code"] == "ENDPOINT_NOT_FOUND"
    assert api("GET", f"/runs/{'ab' * 16}").json()["code"] == "RESOURCE_NOT_FOUND"


def test_an_encoded_slash_does_not_split_a_path_segment(api, tallyfy_sandbox):
    run_id = tallyfy_sandbox.add_run()["id"]
    assert api("PUT", f"/runs/{run_id}%2Factivate").json()["code"] == "RESOURCE_NOT_FOUND"
    assert tallyfy_sandbox.requests[-1].path.endswith("%2Factivate")


def test_tokens_expire_and_can_be_revoked(api, tallyfy_sandbox):
    short = tallyfy_sandbox.issue_token(lifetime=60)
    headers = {"Authorization": f"Bearer {short}"}
    assert api("GET", "/me", headers=headers).ok
    tallyfy_sandbox.advance(61)
    assert api("GET", "/me", headers=headers).status_code == 401
    tallyfy_sandbox.revoke_token(tallyfy_sandbox.token)
    assert api("GET", "/me").status_code == 401


@pytest.mark.usefixtures("worlds")
def test_client_credentials_give_an_application_token_and_that_a_user_token(api, tallyfy_sandbox):
    answer = application_token(api, tallyfy_sandbox)
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("Bearer", 604800)
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    expected = 200 if tallyfy_sandbox.behavior.application_token_on_runs else 403
    assert api("GET", "/runs", headers=headers).status_code == expected
    path = f"{tallyfy_sandbox.base_url}/applications/{tallyfy_sandbox.organization_id}/users"
    minted = api.send("POST", f"{path}/{tallyfy_sandbox.user_email}/token", headers=headers).json()
    assert minted["expires_in"] == 7776000
    assert api("GET", "/runs", headers={"Authorization": f"Bearer {minted['access_token']}"}).status_code == 200
    assert api.send("POST", f"{path}/nobody@x.y/token", headers=headers).status_code == 404
    assert api.send("POST", f"{path}/{tallyfy_sandbox.user_email}/token").status_code == 403


def test_the_token_endpoint_takes_forms_and_known_clients_only(api, tallyfy_sandbox):
    body = {"grant_type": "client_credentials", "client_id": "1", "client_secret": "x"}
    assert api.send("POST", tallyfy_sandbox.token_url, json=body).status_code == 400
    wrong = application_token(api, tallyfy_sandbox, client_secret="wrong")
    assert (wrong.status_code, wrong.json()) == (401, {"error": "invalid_client"})
    assert application_token(api, tallyfy_sandbox, grant_type="password").status_code == 400
    basic = {"grant_type": "client_credentials"}
    auth = (tallyfy_sandbox.client_id, tallyfy_sandbox.client_secret)
    url = f"{tallyfy_sandbox.base_url}/oauth/token"
    assert requests.post(url, data=basic, auth=auth, timeout=10).status_code == 200


def test_an_unreadable_token_request_is_refused(api, tallyfy_sandbox):
    url, form = tallyfy_sandbox.token_url, {"Content-Type": "application/x-www-form-urlencoded"}
    garbled = api.send("POST", url, data=b"\xff\xfe=1", headers=form)
    assert (garbled.status_code, garbled.json()["error"]) == (400, "invalid_request")
    for credentials in ("x", "/w==", "\xe4"):
        headers = {"Authorization": f"Basic {credentials}".encode("latin-1")}
        answer = api.send("POST", url, data={"grant_type": "client_credentials"}, headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})


def test_an_unsupported_method_gets_a_json_error(api, tallyfy_sandbox):
    for answer in (api("PATCH", "/runs"), api("POST", "/runs/x"), api.send("GET", tallyfy_sandbox.token_url)):
        assert (answer.status_code, answer.json()["code"]) == (405, "METHOD_NOT_ALLOWED")


def test_a_connection_can_ask_for_client_credentials(tallyfy_sandbox):
    connection = tallyfy_sandbox.connection(auth="client_credentials", user_email=tallyfy_sandbox.user_email)
    assert (connection["login"], connection["password"]) == (tallyfy_sandbox.client_id, tallyfy_sandbox.client_secret)
    assert connection["extra"]["token_url"] == tallyfy_sandbox.token_url


def test_the_lifetime_of_application_tokens_can_be_shortened(api, tallyfy_sandbox):
    tallyfy_sandbox.credentials.application_lifetime = 5
    answer = application_token(api, tallyfy_sandbox).json()
    assert answer["expires_in"] == 5
    tallyfy_sandbox.advance(6)
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    assert api("GET", "/runs", headers=headers).status_code == 401


def test_requests_are_recorded_as_they_were_sent(api, tallyfy_sandbox):
    api("POST", "/runs?a=b%20c&a=d+e", json={"checklist_id": "x"})
    request = tallyfy_sandbox.requests[-1]
    assert (request.method, request.raw_query) == ("POST", "a=b%20c&a=d+e")
    assert request.query == [("a", "b c"), ("a", "d+e")]
    assert request.path == f"/api/organizations/{tallyfy_sandbox.organization_id}/runs"
    assert request.headers["x-tallyfy-client"] == "APIClient"
    assert request.json() == {"checklist_id": "x"}
    tallyfy_sandbox.clear_requests()
    assert tallyfy_sandbox.requests == []


def test_connections_are_counted(api, tallyfy_sandbox):
    assert tallyfy_sandbox.connections_opened == 0
    for _ in range(5):
        api("GET", "/me")
    assert (tallyfy_sandbox.connections_opened, tallyfy_sandbox.open_connections) == (1, 1)


@pytest.mark.usefixtures("worlds")
def test_the_activity_feed_has_one_element_arrays(api, tallyfy_sandbox):
    run_id = tallyfy_sandbox.add_run(created_at="10 days ago")["id"]
    tallyfy_sandbox.add_run()
    api("DELETE", f"/runs/{run_id}")
    api("PUT", f"/runs/{run_id}/activate")
    feed = f"/activity-feeds?entity_type=run&entity_id={run_id}"
    rows = api.data(feed)
    assert [row["verb"] for row in rows] == [["unarchived"], ["archived"], ["created"]]
    assert {row["parentable_id"] for row in rows} == {run_id}
    iso = tallyfy_sandbox.behavior.activity_timestamps == "iso"
    assert len(rows[0]["created_at"]) == (20 if iso else 19)
    assert [row["verb"] for row in api.data(f"{feed}&sort=created_at&per_page=1&page=2")] == [["archived"]]
    assert len(api.data(f"{feed}&verb=archived")) == 1
    today = rows[0]["created_at"][:10]
    assert len(api.data(f"{feed}&created_after={today}")) == 2
    assert api("GET", f"{feed}&verb=executed").status_code == 422


def test_tags_are_put_on_by_id_and_taken_off_by_association(api, tallyfy_sandbox):
    run_id = tallyfy_sandbox.add_run()["id"]
    tag = api("POST", "/tags", json={"title": "vip"}).json()["data"]
    body = {"subject_id": run_id, "subject_type": "Run", "tag_id": tag["id"], "tag_type": "public"}
    link = api("POST", "/checklists/tags", json=body).json()["data"]
    assert api.names(f"tag_ids={tag['id']}")
    assert api("DELETE", f"/checklists/tags/{tag['id']}").status_code == 404
    assert api("DELETE", f"/checklists/tags/{link['id']}").ok
    assert api.names(f"tag_ids={tag['id']}") == []
    tallyfy_sandbox.archive_run(run_id)
    assert api("POST", "/checklists/tags", json=body).json()["errors"] == {"subject_id": ["Subject not found"]}
