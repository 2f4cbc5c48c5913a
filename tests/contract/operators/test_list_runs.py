"""A list of runs is complete, or the task fails. It is never longer than its limit."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_tallyfy.api.errors import TallyfyResponseError
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.operators.bulk import TallyfyArchiveRunsOperator, TallyfyDeleteRunsOperator
from airflow_provider_tallyfy.operators.tallyfy import TallyfyDeleteRunOperator, TallyfyListRunsOperator
from airflow_provider_tallyfy.sandbox import Behavior
from tests.airflow_driver import attempt
from tests.task_contexts import context_of

RUN_ID = "0123456789abcdef0123456789abcdef"
TAG_ID, FOLDER_ID = "b2" * 16, "f1" * 16


def listed(**arguments: Any) -> Any:
    return TallyfyListRunsOperator(task_id="list", **arguments).execute(context_of())


def names(**arguments: Any) -> set[str]:
    return set(listed(fields="name", **arguments))


def queries(tallyfy) -> list[dict[str, str]]:
    return [dict(request.query) for request in tallyfy.requests]


@pytest.mark.usefixtures("worlds")
def test_listed_runs_are_small_dicts_that_other_operators_take(tallyfy):
    run = tallyfy.add_run(name="Acme")
    [row] = listed()
    assert row == {
        "id": run["id"],
        "name": "Acme",
        "status": "active",
        "archived_at": None,
        "completed_at": None,
        "url": tallyfy.run_url(run["id"]),
    }


@pytest.mark.usefixtures("worlds")
def test_one_field_gives_a_flat_list_and_several_give_dicts_of_them(tallyfy):
    first, second = tallyfy.add_runs(2)
    assert listed(fields="id") == [first, second]
    assert listed(fields=["name", "percent_complete"])[0].keys() == {"name", "percent_complete"}


@pytest.mark.usefixtures("worlds")
def test_every_filter_is_sent(tallyfy):
    listed(status="complete", template_id=RUN_ID, query="a b", tags=[RUN_ID, TAG_ID], owners=[7, "8"], folder=FOLDER_ID)
    assert queries(tallyfy) == [
        {
            "status": "complete",
            "checklist_id": RUN_ID,
            "q": "a b",
            "tag_ids": f"{RUN_ID},{TAG_ID}",
            "owners": "7,8",
            "folder": FOLDER_ID,
            "sort": "created_at",
            "page": "1",
            "per_page": "100",
        }
    ]
    assert "q=a%20b" in tallyfy.requests[0].raw_query


@pytest.mark.usefixtures("worlds")
def test_every_filter_filters(tallyfy):
    onboarding, vendor = tallyfy.add_template("Onboarding"), tallyfy.add_template("Vendor")
    member = tallyfy.add_user("sam@sandbox.example")["id"]
    tallyfy.add_run("Onboarding", name="plain")
    tallyfy.add_run("Onboarding", name="tagged", tags=["emea"])
    tallyfy.add_run("Onboarding", name="owned", owner_id=member)
    tallyfy.add_run("Onboarding", name="filed", folders=[FOLDER_ID])
    tallyfy.add_run("Vendor", name="vendor", status="problem")
    [emea] = tallyfy.store.tags
    assert names(tags=[emea]) == names(tags=emea) == {"tagged"}
    assert names(owners=str(member)) == names(owners=[member]) == {"owned"}
    assert names(folder=FOLDER_ID) == {"filed"}
    assert names(query="plain") == {"plain"}
    assert names(template_id=vendor["id"]) == names(status="problem") == {"vendor"}
    assert names(template_id=onboarding["id"]) == {"plain", "tagged", "owned", "filed"}


ARCHIVED = {
    ("exclude", None): {"live", "done"},
    ("include", None): {"live", "done", "archived", "done and archived"},
    ("only", None): {"archived", "done and archived"},
    ("exclude", "complete"): {"done"},
    ("include", "complete"): {"done", "done and archived"},
    ("only", "complete"): {"done and archived"},
    ("exclude", "archived"): {"archived", "done and archived"},
    ("include", "active"): {"live"},
    ("exclude", "active"): {"live"},
}

SINGLE_BEHAVIORS = {
    "lenient": Behavior.lenient(),
    "strict": Behavior.strict(),
    "status ignored": Behavior(status_filter_honored=False),
    "status hides archived": Behavior(status_hides_archived=True),
    "stored status shown": Behavior(archived_status="stored"),
    "status=archived matches nothing": Behavior(status_archived_honored=False),
}


@pytest.mark.parametrize("tallyfy_sandbox", SINGLE_BEHAVIORS.values(), indirect=True, ids=SINGLE_BEHAVIORS)
@pytest.mark.parametrize(("archived", "status"), ARCHIVED)
def test_archived_and_status_mean_the_same_in_both_behaviors(tallyfy, archived, status):
    tallyfy.add_run(name="live")
    tallyfy.add_run(name="done", status="complete")
    tallyfy.add_run(name="archived", archived=True)
    tallyfy.add_run(name="done and archived", status="complete", archived=True)
    assert names(archived=archived, status=status) == ARCHIVED[archived, status]


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("age", ["30d", "720h", timedelta(days=30)], ids=str)
@pytest.mark.parametrize(
    ("arguments", "moment"),
    [
        ({"status": "complete"}, "completed_at"),
        ({"archived": "only"}, "archived_at"),
        ({"status": "archived"}, "archived_at"),
        ({}, "created_at"),
    ],
    ids=str,
)
def test_age_counts_from_when_the_run_got_into_that_state(tallyfy, age, arguments, moment):
    start = {} if moment == "created_at" else {"created_at": "90 days ago"}
    tallyfy.add_run(name="old", **start | {moment: "31 days ago"})
    tallyfy.add_run(name="young", **start | {moment: "29 days ago"})
    assert names(older_than=age, **arguments) == {"old"}


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize(("limit", "pages"), [(None, 3), (250, 3), (200, 2), ("101", 2), (100, 1), (1, 1)])
def test_no_more_pages_are_read_than_the_limit_takes(tallyfy, limit, pages):
    run_ids = tallyfy.add_runs(250)
    assert listed(fields="id", limit=limit) == run_ids[: int(limit or 250)]
    assert [query["page"] for query in queries(tallyfy)] == [str(page) for page in range(1, pages + 1)]


@pytest.mark.usefixtures("worlds")
def test_a_run_that_moves_to_the_next_page_while_the_list_is_read_is_listed_once(tallyfy):
    run_ids = tallyfy.add_runs(150)
    rows = iter(TallyfyListRunsOperator(task_id="list", fields="id")._rows())
    first = next(rows)
    tallyfy.add_run(created_at="400 days ago")  # pushes every run one place back
    assert [first, *rows] == run_ids


@pytest.mark.usefixtures("worlds")
def test_runs_that_leave_the_list_while_it_is_read_hide_no_others(tallyfy):
    run_ids = tallyfy.add_runs(250)
    rows = iter(TallyfyListRunsOperator(task_id="list", fields="id")._rows())
    first = next(rows)
    tallyfy.archive_run(run_ids[7])  # the hundred and first moves to the page that was read already
    rest = list(rows)
    assert sorted([first, *rest]) == sorted(run_ids)
    assert [query["page"] for query in queries(tallyfy)] == ["1", "2", "1", "2", "3"]


@pytest.mark.usefixtures("worlds")
def test_a_list_that_its_reader_empties_fails_instead_of_missing_runs(tallyfy):
    tallyfy.add_runs(1000)
    rows = iter(TallyfyListRunsOperator(task_id="list", fields="id")._rows())
    end = attempt(lambda: [tallyfy.archive_run(run_id) for run_id in rows])
    assert (end.state, end.error) == ("up_for_retry", "TallyfyResponseError")
    assert "read the list to its end first" in str(end.exception)


def shown_as(tallyfy, change: Any) -> None:
    """Change how Tallyfy describes each page of its list."""
    rows = [{"id": run["id"], "name": run["name"], "status": "active"} for run in tallyfy.runs]
    for page in (1, 2, 3):
        described = {"total": len(rows), "per_page": 100, "current_page": page, "total_pages": 3}
        body = {"data": rows[100 * page - 100 : 100 * page], "meta": {"pagination": described}}
        tallyfy.faults.add("status", status=200, path=f"[?&]page={page}(&|$)", times=None, body=change(body))


def without(*names: str) -> Any:
    def change(body: dict[str, Any]) -> dict[str, Any]:
        described = body["meta"]["pagination"]
        return {**body, "meta": {"pagination": {name: described[name] for name in described if name not in names}}}

    return change


LESS_SAID = {
    "no number of pages": without("total_pages"),
    "only how many runs there are": without("total_pages", "per_page", "current_page"),
    "neither pages nor runs": without("total_pages", "total"),
    "nothing": lambda body: {"data": body["data"]},
}


@pytest.mark.parametrize("less", LESS_SAID)
def test_a_list_is_read_to_its_end_although_the_count_is_too_low(tallyfy, less):
    run_ids = tallyfy.add_runs(250)
    shown_as(tallyfy, LESS_SAID[less])
    assert listed(fields="id") == run_ids
    assert len(tallyfy.requests) == 3


FEWER_SHOWN = {
    "fewer pages than runs": lambda body: {
        **body,
        "meta": {"pagination": body["meta"]["pagination"] | {"total_pages": 1}},
    },
    "no runs, but a number of them": lambda body: {
        "data": [],
        "meta": {"pagination": body["meta"]["pagination"] | {"total_pages": 1}},
    },
    "pages of ten": lambda body: without("total_pages", "per_page")({**body, "data": body["data"][:10]}),
    "the same page whatever is asked": lambda body: {"data": [{"id": str(n), "status": "active"} for n in range(100)]},
}


@pytest.mark.parametrize("fewer", FEWER_SHOWN)
def test_a_list_with_fewer_runs_than_its_count_fails_the_task(tallyfy, tmp_path, fewer):
    tallyfy.add_runs(250)
    shown_as(tallyfy, FEWER_SHOWN[fewer])
    path = tmp_path / "runs.jsonl"
    for end in (attempt(lambda: listed(fields="id")), attempt(lambda: listed(output_path=str(path)))):
        assert (end.state, end.error) == ("up_for_retry", "TallyfyResponseError")
    assert not path.exists()


@pytest.mark.usefixtures("worlds")
def test_more_than_an_xcom_should_hold_is_refused_as_soon_as_it_is_known(tallyfy):
    tallyfy.add_runs(1000)
    end = attempt(lambda: listed(max_xcom_bytes=4096))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert "set output_path" in str(end.exception)
    assert len(tallyfy.requests) == 1
    assert len(json.dumps(listed(max_xcom_bytes=400 * 1024))) < 400 * 1024


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_long_list_is_written_as_json_lines(tallyfy, tmp_path, prefix):
    run_ids = tallyfy.add_runs(250)
    path = f"{prefix}{tmp_path}/new/folder/runs.jsonl"
    assert listed(output_path=path) == {"path": path, "count": 250}
    lines = (tmp_path / "new/folder/runs.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == run_ids


BROKEN_PAGES = {
    "not JSON": {"body": "html"},
    "no list": {"body": "null"},
    "a row that is no run": {"body": {"data": [{"id": "x"}], "meta": {"pagination": {"current_page": 2}}}},
    "the first page again": {"body": {"data": [], "meta": {"pagination": {"current_page": 1, "total_pages": 3}}}},
    "an end that is too early": {"body": {"data": [], "meta": {"pagination": {"current_page": 2, "total_pages": 3}}}},
}


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("page", BROKEN_PAGES)
def test_an_unreadable_page_fails_the_task_and_leaves_no_file(tallyfy, tmp_path, page):
    tallyfy.add_runs(250)
    tallyfy.faults.add("status", status=200, path="[?&]page=2", times=None, **BROKEN_PAGES[page])
    path = tmp_path / "runs.jsonl"
    end = attempt(lambda: listed(output_path=str(path)))
    assert (end.state, end.error) == ("up_for_retry", "TallyfyResponseError")
    assert not path.exists()


@pytest.mark.usefixtures("worlds")
def test_an_empty_list_is_a_valid_result(tallyfy):
    assert listed() == []


FILTERS = ["status", "template_id", "query", "tags", "owners", "folder", "older_than", "limit"]


def test_a_filter_of_none_counts_as_not_given(tallyfy):
    tallyfy.add_runs(2)
    assert len(listed(**dict.fromkeys(FILTERS))) == 2
    assert len(list(TallyfyHook().list_runs(**dict.fromkeys(FILTERS[:6])))) == 2


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (TallyfyDeleteRunOperator, {"run_id": RUN_ID, "confirm": "Acme", "snapshot_path": None}),
        (TallyfyDeleteRunsOperator, {"run_ids": [RUN_ID], "max_runs": 1, "confirm": "org", "snapshot_dir": None}),
    ],
)
def test_a_mapped_task_without_the_path_of_its_snapshot_deletes_nothing(tallyfy, make, arguments):
    tallyfy.add_run(id=RUN_ID, name="Acme", archived=True)
    arguments |= {"confirm": tallyfy.organization_id} if make is TallyfyDeleteRunsOperator else {}
    name = next(name for name in arguments if name.startswith("snapshot"))
    with DAG("dag", schedule=None):
        mapped = make.partial(task_id="task", **{k: v for k, v in arguments.items() if k != name}).expand(
            **{name: [None]}
        )
    end = attempt(lambda: mapped.unmap({name: None}).execute(context_of()))
    assert (end.state, end.error) == ("failed", "TallyfyValidationError")
    assert tallyfy.run(RUN_ID)


@pytest.mark.usefixtures("worlds")
def test_filters_take_names_with_one_list_for_each_kind(tallyfy):
    tallyfy.add_template("Vendor review")
    ann, folder = tallyfy.add_user("ann@x.example")["id"], tallyfy.add_folder("2026")["id"]
    tallyfy.add_run("Vendor review", name="wanted", tags=["emea"], owner_id=ann, folders=[folder])
    tallyfy.add_run("Vendor review", name="other")
    assert names(template_id="vendor  REVIEW", tags=["EMEA"], owners=["ann@x.example"], folder="2026") == {"wanted"}
    assert [request.path.rpartition("/")[2] for request in tallyfy.requests] == [
        "folders", "tags", "checklists", "users", "runs",
    ]  # fmt: skip


@pytest.mark.usefixtures("worlds")
def test_runs_with_a_tag_are_left_out_by_its_name_or_id(tallyfy):
    tallyfy.add_run(name="plain")
    tallyfy.add_run(name="kept", tags=["emea"])
    tallyfy.add_run(name="left out", tags=["emea", "Audit"])
    audit = next(tag["id"] for tag in tallyfy.store.tags.values() if tag["title"] == "Audit")
    tallyfy.clear_requests()
    assert names(exclude_tags=[audit]) == {"plain", "kept"}
    assert [query.get("with") for query in queries(tallyfy)] == ["tags"]
    assert names(tags=["emea"], exclude_tags="audit") == {"kept"}
    assert names(exclude_tags=[audit], limit=1) == {"plain"}


@pytest.mark.usefixtures("worlds")
def test_where_tags_are_not_shown_nothing_is_chosen_without_one(tallyfy):
    audit = tallyfy.add_tag("Audit")["id"]
    run_id = tallyfy.add_run(tags=[audit])["id"]
    tallyfy.behavior = tallyfy.behavior.changed({"run_tags": "hidden"})
    with pytest.raises(TallyfyResponseError, match=f"Could not tell which tags run {run_id} has"):
        listed(exclude_tags=[audit])
    with pytest.raises(TallyfyResponseError, match=f"Could not tell which tags run {run_id} has"):
        TallyfyArchiveRunsOperator(task_id="archive", exclude_tags=[audit]).execute(context_of())
    assert not tallyfy.run(run_id)["archived_at"]


@pytest.mark.usefixtures("worlds")
def test_rows_have_tags_and_the_name_of_the_template_on_request(tallyfy):
    tallyfy.add_template("Vendor")
    run_id = tallyfy.add_run("Vendor", tags=["emea", "Audit"])["id"]
    tallyfy.clear_requests()
    [row] = listed(template_id="Vendor", fields=["id", "template_name", "tags"])
    assert row == {"id": run_id, "template_name": "Vendor", "tags": ["emea", "Audit"]}
    [shown] = TallyfyHook().list_runs(template_id="Vendor", details=True)
    assert (shown["template_name"], shown["tags"]) == ("Vendor", ["emea", "Audit"])
    assert "tags" not in TallyfyHook().list_runs()[0]
