"""A sandbox that is stopped and started again has what it had."""

from __future__ import annotations

import pytest

from airflow_provider_tallyfy.sandbox import Sandbox
from airflow_provider_tallyfy.sandbox.seeds import DEFAULT
from tests.sandbox.conftest import Api


def contents(sandbox):
    known = (sandbox.organization_id, sandbox.token, sandbox.client_id, sandbox.client_secret, sandbox.user_email)
    return known, sandbox.runs, sandbox.store.contents(), sandbox.credentials.tokens


def test_a_stopped_sandbox_goes_on_where_it_was(tmp_path):
    path = tmp_path / "new folder" / "sandbox.json"
    with Sandbox(seed=DEFAULT, saved=path) as sandbox:
        first, second = sandbox.runs[0]["id"], sandbox.runs[1]["id"]
        sandbox.archive_run(first)
        sandbox.add_problem(second)
        sandbox.issue_token(lifetime=60)
        sandbox.advance(5)
        Api(sandbox)("POST", "/tasks", json={"title": "By hand"})
        before = contents(sandbox)
    with Sandbox("strict", saved=path) as again:
        assert contents(again) == before
        api = Api(again)
        assert api("PUT", f"/runs/{first}/activate").ok
        again.resolve_problems(second)
        again.add_run(name="New")
        api("POST", "/tasks", json={"title": "By hand, too"})
    with Sandbox(saved=path) as third:
        assert [run["status"] for run in third.runs[:2]] == ["active", "active"]
        assert [run["name"] for run in third.runs[-3:]] == ["By hand", "New", "By hand, too"]
        assert len({run["checklist_id"] for run in third.runs[-3:]}) == 2
        numbers = [run["increment_id"] for run in third.runs]
        assert len(set(numbers)) == len(numbers)


def test_a_scripted_completion_is_kept(tmp_path):
    path = tmp_path / "sandbox.json"
    with Sandbox(saved=path) as sandbox:
        run = sandbox.add_run(complete_after=10)
    with Sandbox(saved=path) as again:
        again.advance(11)
        assert again.run(run["id"])["status"] == "complete"


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", '{"store": {"users": []}}'])
def test_a_file_that_holds_no_sandbox_is_named(tmp_path, text):
    path = tmp_path / "sandbox.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"sandbox\.json holds no saved sandbox .* Delete it to begin anew\."):
        Sandbox(saved=path)
    assert path.read_text() == text
