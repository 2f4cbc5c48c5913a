from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_tallyfy.sandbox import Behavior
from airflow_provider_tallyfy.sandbox.seeds import DEFAULT

strict = pytest.mark.tallyfy_sandbox(behavior="strict")


def every_page(api, query: str, per_page: int = 100) -> list[str]:
    found, number, pages = [], 1, 1
    while number <= pages:
        answer = api("GET", f"/runs?{query}&per_page={per_page}&page={number}").json()
        found += [run["id"] for run in answer["data"]]
        shape = answer["meta"]["pagination"]
        assert shape["count"] == len(answer["data"])
        number, pages = number + 1, shape["total_pages"]
    return found


@pytest.mark.usefixtures("worlds")
def test_many_pages_list_each_run_once_and_in_order(api, tallyfy_sandbox):
    ids = tallyfy_sandbox.add_runs(1_050)
    archived = ids[::7]
    for run_id in archived:
        tallyfy_sandbox.archive_run(run_id)
    live = [run_id for run_id in ids if run_id not in set(archived)]
    assert every_page(api, "sort=created_at") == live
    assert every_page(api, "sort=-created_at&status=active") == live[::-1]
    assert every_page(api, "sort=created_at&archived=only") == archived
    assert every_page(api, "sort=created_at&archived=true") == ids
    assert every_page(api, "sort=created_at&status=complete") == []
    assert len(api.names("q=Run%2077")) > 0


def test_a_page_has_ten_rows_and_describes_itself(api, tallyfy_sandbox):
    tallyfy_sandbox.add_runs(25)
    answer = api("GET", "/runs?page=2&sort=name").json()
    shape = answer["meta"]["pagination"]
    assert {key: shape[key] for key in ("total", "count", "per_page", "current_page", "total_pages")} == {
        "total": 25, "count": 10, "per_page": 10, "current_page": 2, "total_pages": 3,
    }  # fmt: skip
    assert shape["links"]["next"].endswith("page=3&sort=name")
    assert not shape["links"]["next"].startswith(tallyfy_sandbox.url)
    assert api("GET", "/runs?page=9").json()["data"] == []


def test_links_may_be_an_empty_list_or_missing(api, tallyfy_sandbox):
    tallyfy_sandbox.behavior = Behavior.strict()
    assert api("GET", "/runs").json()["meta"]["pagination"]["links"] == []
    tallyfy_sandbox.behavior = replace(Behavior.strict(), links="missing")
    assert "links" not in api("GET", "/runs").json()["meta"]["pagination"]


def test_more_than_a_hundred_rows_are_clamped_or_refused(api, tallyfy_sandbox):
    tallyfy_sandbox.add_runs(120)
    assert len(api.names("per_page=500")) == 100
    assert len(api.names("without_pagination=true")) == 120
    tallyfy_sandbox.behavior = Behavior.strict()
    assert api("GET", "/runs?per_page=500").status_code == 422
    assert len(api.names("without_pagination=true")) == 100


@pytest.mark.tallyfy_sandbox(seed=DEFAULT)
def test_filters_narrow_the_list(api, tallyfy_sandbox):
    template = tallyfy_sandbox.store.template("Vendor review")["id"]
    assert len(api.names(f"checklist_id={template}")) == len(api.names(f"blueprint_id={template}")) == 2
    assert len(api.names("status=complete")) == 3
    assert api.names("status=problem") == ["Onboarding - Initech"]
    assert len(api.names("status=archived")) == len(api.names("archived=only")) == 4
    assert len(api.names("archived=true&per_page=100")) == 11
    assert api.names("tag=priority") == ["Onboarding \ufeff- Globex"]
    assert len(api.names("untagged=true")) == 5
    assert len(api.names("owners=1001")) == 7
    assert api.names("owners=4,5") == []
    assert api.names("starred=true") == []
    assert api.names("archived=only&status=complete&sort=name") == ["Onboarding - Wonka", "Vendor review - Tyrell"]


def test_problem_also_finds_issues(api, tallyfy_sandbox):
    tallyfy_sandbox.add_run(name="A", status="problem")
    tallyfy_sandbox.add_run(name="B", status="issue")
    assert api.names("status=problem") == ["A", "B"]
    assert api.names("status=issue") == ["B"]


def test_a_behavior_chooses_how_status_filters_work(api, tallyfy_sandbox):
    tallyfy_sandbox.add_run(name="live")
    tallyfy_sandbox.add_run(name="gone", archived=True)
    assert api.names("status=completed") == ["live"]
    assert api.names("archived=true&status=active") == ["live", "gone"]
    tallyfy_sandbox.behavior = Behavior.strict()
    assert api("GET", "/runs?status=completed").status_code == 422
    assert api.names("status=archived") == []
    assert api.names("archived=true&status=active") == ["live"]
    tallyfy_sandbox.behavior = replace(Behavior.strict(), status_filter_honored=False)
    assert api.names("status=complete") == ["live"]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("substring", {"cme": "Acme Corp"}),
        ("name_and_summary", {"cme": "Acme Corp", "marker": "Acme Corp"}),
        ("prefix", {"acme": "Acme Corp"}),
        ("words", {"corp%20ACME": "Acme Corp"}),
    ],
)
def test_the_search_text_is_compared_as_the_behavior_says(api, tallyfy_sandbox, q, found):
    tallyfy_sandbox.behavior = replace(Behavior.lenient(), q=q)
    tallyfy_sandbox.add_run(name="Acme Corp", summary="with a marker")
    for text in ("cme", "marker", "acme", "corp%20ACME", "elsewhere"):
        expected = [found[text]] if text in found else []
        if text == "acme":
            expected = ["Acme Corp"]
        assert api.names(f"q={text}") == expected, text


def test_a_plus_in_the_query_is_not_a_space(api, tallyfy_sandbox):
    tallyfy_sandbox.add_run(name="Acme Corp")
    tallyfy_sandbox.add_run(name="C++ review")
    assert api.names("q=Acme%20Corp") == ["Acme Corp"]
    assert api.names("q=Acme+Corp") == []
    assert api.names("q=c++%20review") == ["C++ review"]


@strict
def test_a_launched_run_appears_only_after_some_list_requests(api, tallyfy_sandbox):
    template = tallyfy_sandbox.add_template("T")
    run = api("POST", "/runs", json={"checklist_id": template["id"], "name": "new"}).json()["data"]
    assert [api.names(), api.names(), api.names()] == [[], [], ["new"]]
    assert api.data(f"/runs/{run['id']}")["name"] == "new"


def test_includes_arrive_wrapped(api, tallyfy_sandbox):
    run = tallyfy_sandbox.add_run(tags=["vip"])
    names = "tasks,tasks.threads,tags,next_task,checklist,ko_form_fields,form_fields,assets"
    shown = api("GET", f"/runs/{run['id']}?with={names}").json()["data"]
    assert [task["threads"] for task in shown["tasks"]["data"]] == [{"data": []}] * 3
    assert shown["tags"]["data"][0]["title"] == "vip"
    assert shown["next_task"]["data"]["id"] == run["tasks"][0]["id"]
    assert shown["checklist"]["data"]["id"] == run["checklist_id"]
    tallyfy_sandbox.complete_run(run["id"])
    assert api("GET", f"/runs/{run['id']}?with=next_task").json()["data"]["next_task"] == {"data": []}


@strict
def test_the_next_task_arrives_as_a_list_of_one(api, tallyfy_sandbox):
    run = tallyfy_sandbox.add_run()
    shown = api.data(f"/runs/{run['id']}?with=next_task")
    assert [task["id"] for task in shown["next_task"]["data"]] == [run["tasks"][0]["id"]]
