"""A dry run of a bulk operator returns exactly the requests that would be sent, and writes nothing."""

from __future__ import annotations

import pytest

from airflow_provider_tallyfy.operators.bulk import (
    TallyfyActivateRunsOperator,
    TallyfyArchiveRunsOperator,
    TallyfyDeleteRunsOperator,
    TallyfyLaunchRunsOperator,
)
from tests.airflow_driver import attempt
from tests.contract.bulk.observing import Log, report, writes


def archive(run_ids, **options):
    return TallyfyArchiveRunsOperator(task_id="archive", run_ids=run_ids, **options)


@pytest.mark.usefixtures("worlds")
def test_a_deletion_that_archives_first_plans_both_writes_of_each_run(tallyfy, tries):
    live, gone = tallyfy.add_runs(3), tallyfy.add_runs(2, archived=True)

    def delete(**options):
        keys = {"max_runs": 5, "confirm": tallyfy.organization_id, "archive_first": True, "max_concurrency": 1}
        return TallyfyDeleteRunsOperator(task_id="delete", run_ids=[*live, *gone], **keys, **options)

    plan = delete(dry_run=True).execute(tries.next())
    assert not writes(tallyfy)
    tallyfy.clear_requests()
    delete().execute(tries.next())

    sent = [request for request in tallyfy.requests if request.method != "GET"]
    assert [(request["method"], request["path"]) for request in plan["requests"]] == [
        (request.method, request.path.removeprefix("/api")) for request in sent
    ]
    assert plan["effect"].startswith(
        f"archive run {live[0]} ('Run 1'); permanently delete run {live[0]}; archive run {live[1]} ('Run 2');"
    )
    assert plan["counts"]["skipped"] == 5


@pytest.mark.usefixtures("worlds")
def test_the_log_has_every_request_and_the_result_counts_those_it_omits(tallyfy, tries, monkeypatch):
    log = Log()
    monkeypatch.setattr(TallyfyArchiveRunsOperator, "log", log)
    ids = tallyfy.add_runs(45)

    plan = archive(ids, dry_run=True).execute(tries.next())

    logged = {line.split("/runs/")[1].split()[0] for line in log.lines if "not sent: DELETE" in line}
    assert logged == set(ids)
    assert len(plan["requests"]) == 20
    assert plan["effect"].endswith("; and 25 more requests, all of them in the log")


def test_the_result_has_all_requests_of_a_run_or_none(tallyfy, tries):
    ids = [*tallyfy.add_runs(1, archived=True), *tallyfy.add_runs(24)]
    keys = {"max_runs": 25, "confirm": tallyfy.organization_id, "archive_first": True, "max_concurrency": 1}

    plan = TallyfyDeleteRunsOperator(task_id="delete", run_ids=ids, dry_run=True, **keys).execute(tries.next())

    assert plan["requests"][-1]["path"].endswith(f"/runs/{ids[19]}/delete")
    assert len(plan["requests"]) == 1 + 19 * 2
    assert plan["effect"].endswith("; and 10 more requests, all of them in the log")


@pytest.mark.usefixtures("worlds")
def test_a_dry_run_keeps_the_report_for_retries_and_undos(tallyfy, tries, tries_without_store, tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", tallyfy.connection_json(retry_budget=0))
    ids, path, log = tallyfy.add_runs(4), tmp_path / "report.jsonl", Log()
    tallyfy.faults.add("status", method="DELETE", path=ids[2], status=503)
    attempt(lambda: archive(ids, report_path=str(path)).execute(tries_without_store.next()))
    before = path.read_text()
    monkeypatch.setattr(TallyfyArchiveRunsOperator, "log", log)

    plan = archive(ids, report_path=str(path), dry_run=True).execute(tries_without_store.next())
    left = path.read_text()
    end = attempt(lambda: archive(ids, report_path=str(path)).execute(tries_without_store.next()))

    assert left == before
    assert "report_path" not in plan
    assert f"Dry run, no report is written: {path} stays as it is." in log.lines
    assert sorted(end.result["changed"]) == sorted(ids), "the retry remembers what the first try changed"
    assert {line["state"] for line in report(path)} == {"changed"}


def test_a_dry_run_writes_no_report(tallyfy, tries, tmp_path):
    path = tmp_path / "new folder" / "report.jsonl"

    TallyfyActivateRunsOperator(
        task_id="restore", run_ids=tallyfy.add_runs(2, archived=True), report_path=str(path), dry_run="true"
    ).execute(tries.next())

    assert not path.parent.exists()


@pytest.mark.usefixtures("worlds")
def test_plans_and_reports_show_the_names_of_runs_and_templates(tallyfy, tries, tmp_path):
    run_id, path = tallyfy.add_run(name="Acme")["id"], tmp_path / "report.jsonl"
    archive = TallyfyArchiveRunsOperator(task_id="archive", run_ids=[run_id], report_path=path, dry_run=True)
    assert archive.execute(tries.next())["effect"] == f"archive run {run_id} ('Acme')"
    launch = TallyfyLaunchRunsOperator(task_id="launch", template_id="Vendor", rows=[{}], dry_run=True)
    template = tallyfy.add_template("Vendor")["id"]
    assert launch.execute(tries.next())["effect"] == f"launch a run of template {template} ('Vendor')"
    TallyfyArchiveRunsOperator(task_id="archive", run_ids=[run_id], report_path=path).execute(tries.next())
    [line] = report(path)
    assert (line["id"], line["state"], line["name"]) == (run_id, "changed", "Acme")
