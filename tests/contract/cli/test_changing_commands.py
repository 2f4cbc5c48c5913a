"""Commands that change runs: they ask first, change what they say, and say what they changed whatever ends them."""

from __future__ import annotations

import io
import json
import os
import signal

import pytest

from airflow_provider_tallyfy.bulk.executor import BulkExecutor
from tests.airflow_driver import eventually
from tests.contract.bulk.observing import archived, writes

RUN_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    """Look for what replicas do not show yet without a pause: the sandbox counts looks, not seconds."""
    monkeypatch.setattr("airflow_provider_tallyfy.api.flows.replica_lag.REPLICA_LAG_PAUSES", (0.0, 0.0))
    monkeypatch.setattr("airflow_provider_tallyfy.bulk.job._TICK", 0.001)
    monkeypatch.setattr("airflow_provider_tallyfy.bulk.job.GRACE_SECONDS", 0.3)


@pytest.fixture
def type_in(monkeypatch):
    """Let the standard input be a terminal, or a pipe, with some text in it."""

    def arrange(text: str, *, is_terminal: bool = True) -> None:
        typed = io.StringIO(text)
        monkeypatch.setattr(typed, "isatty", lambda: is_terminal, raising=False)
        monkeypatch.setattr("sys.stdin", typed)

    return arrange


def states(ended) -> dict[str, str]:
    return {row["id"]: row["state"] for row in ended.data}


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize(("verb", "is_archived"), [("archive", False), ("activate", True)])
def test_given_runs_are_changed_and_each_is_reported(tallyfy, command, verb, is_archived):
    ids = tallyfy.add_runs(3, archived=is_archived)
    already = tallyfy.add_run(archived=not is_archived)["id"]
    ended = command("runs", verb, *ids, already, "--yes", "-o", "json")
    assert states(ended) == dict.fromkeys(ids, "changed") | {already: "unchanged"}
    assert ended.code == 0
    assert ended.err == "1 unchanged, 3 changed\n"
    assert all(run["url"] == tallyfy.run_url(run["id"]) for run in ended.data)
    assert (set(ids) <= archived(tallyfy)) is not is_archived


@pytest.mark.usefixtures("worlds")
def test_filters_choose_the_runs(tallyfy, command):
    old = tallyfy.add_runs(2, created_at="40 days ago")
    tallyfy.add_runs(2)
    ended = command("runs", "archive", "--older-than", "30d", "--yes", "-o", "json")
    assert states(ended) == dict.fromkeys(old, "changed")
    assert archived(tallyfy) == set(old)
    undone = command("runs", "activate", "--older-than", "0m", "--yes", "-o", "json")
    assert states(undone) == dict.fromkeys(old, "changed")


@pytest.mark.usefixtures("worlds")
def test_a_single_run_that_does_not_exist_ends_with_5(tallyfy, command):
    ended = command("runs", "archive", RUN_ID, "--yes", "-o", "json")
    assert (ended.code, ended.out) == (5, "")
    assert not writes(tallyfy)


@pytest.mark.usefixtures("worlds")
def test_runs_that_fail_among_others_end_with_9_and_are_named(tallyfy, command):
    run_id = tallyfy.add_run()["id"]
    ended = command("runs", "archive", run_id, RUN_ID, "--yes", "-o", "json")
    assert ended.code == 9
    assert states(ended) == {run_id: "changed", RUN_ID: "failed"}
    assert f"- {RUN_ID}: Could not read run" in ended.err
    assert "Traceback" not in ended.err


def test_credentials_that_are_refused_on_the_way_end_with_3(tallyfy, command):
    ids = tallyfy.add_runs(3)
    tallyfy.faults.add(status=401, method="DELETE", times=None)
    ended = command("runs", "archive", *ids, "--yes", "-o", "json")
    assert ended.code == 3
    assert set(states(ended)) == set(ids)


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("count", [1, 3])
def test_a_dry_run_says_what_would_be_done_and_sends_no_write(tallyfy, command, count):
    ids = tallyfy.add_runs(count)
    ended = command("runs", "archive", *ids, "--dry-run", "-o", "json")
    assert ended.code == 0
    reasons = {f"dry run, would archive run {run_id} ('Run {number}')" for number, run_id in enumerate(ids, start=1)}
    assert {row["reason"] for row in ended.data} == reasons
    assert not writes(tallyfy)


def test_without_a_terminal_it_refuses_to_change_anything_unasked(tallyfy, command, type_in):
    ids = tallyfy.add_runs(2)
    type_in("y\n", is_terminal=False)
    ended = command("runs", "archive", *ids)
    assert (ended.code, ended.out) == (2, "")
    assert "Add --yes." in ended.err
    assert tallyfy.requests == []


@pytest.mark.parametrize("answer", ["y\n", "YES\n"])
def test_on_a_terminal_it_asks_with_the_number_of_runs(tallyfy, command, type_in, answer):
    ids = tallyfy.add_runs(2)
    type_in(answer)
    ended = command("runs", "archive", "--query", "Run", "-o", "json")
    assert f"Archive 2 run(s) of organization {tallyfy.organization_id}? [y/N] " in ended.err
    assert states(ended) == dict.fromkeys(ids, "changed")


@pytest.mark.parametrize("answer", ["n\n", "\n", "yesterday\n"])
def test_any_other_answer_changes_nothing(tallyfy, command, type_in, answer):
    tallyfy.add_runs(2)
    type_in(answer)
    ended = command("runs", "archive", "--query", "Run")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.endswith("Nothing was changed.\n")
    assert not writes(tallyfy)


@pytest.mark.parametrize("arguments", [[], [RUN_ID, "--query", "Acme"], ["--archived", "include"]])
def test_runs_are_given_by_id_or_by_filters(tallyfy, command, arguments):
    ended = command("runs", "archive", *arguments, "--yes")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Which runs?")
    assert tallyfy.requests == []


def test_an_empty_filter_does_not_widen_what_is_changed(tallyfy, command):
    tallyfy.add_runs(2)
    ended = command("runs", "archive", "--older-than", "", "--yes")
    assert ended.code == 7
    assert tallyfy.requests == []


def test_filters_that_choose_nothing_are_a_success(command):
    ended = command("runs", "archive", "--query", "nobody", "--yes", "-o", "json")
    assert (ended.code, ended.data) == (0, [])


def test_ids_come_through_a_pipe(tallyfy, command, type_in):
    ids = tallyfy.add_runs(3)
    type_in("\n".join(ids[:2]), is_terminal=False)
    assert states(command("runs", "archive", "-", "--yes", "-o", "json")) == dict.fromkeys(ids[:2], "changed")
    type_in("", is_terminal=False)
    assert command("runs", "archive", "-", "--yes").code == 7


def test_a_read_only_connection_changes_nothing(tallyfy, command, monkeypatch):
    ids = tallyfy.add_runs(2)
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", json.dumps(tallyfy.connection(read_only=True)))
    ended = command("runs", "archive", *ids, "--yes")
    assert ended.code == 1
    assert "read_only" in ended.err
    assert not writes(tallyfy)


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order_with_what_was_changed(tallyfy, command, monkeypatch, number):
    ids = tallyfy.add_runs(60)
    outcomes = iter(range(60))
    add = BulkExecutor._add

    def interrupted(self, outcome):
        add(self, outcome)
        if next(outcomes) == 20:
            os.kill(os.getpid(), number)
            eventually(lambda: self.stopped)

    monkeypatch.setattr(BulkExecutor, "_add", interrupted)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    ended = command("runs", "archive", *ids, "--yes", "-o", "json")

    assert ended.code == 128 + number
    assert f"interrupted by {signal.Signals(number).name}" in ended.err
    changed = {run_id for run_id, state in states(ended).items() if state == "changed"}
    assert changed == archived(tallyfy)
    assert 20 < len(changed) < 60
    assert len(ended.data) == 60
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_an_interruption_before_the_first_change_says_so(tallyfy, command, monkeypatch):
    def interrupted(self, filters):
        raise KeyboardInterrupt

    monkeypatch.setattr("airflow_provider_tallyfy.hooks.tallyfy.TallyfyHook.each_run", interrupted)
    ended = command("runs", "archive", "--query", "Run", "--yes")
    assert (ended.code, ended.out, ended.err) == (130, "", "Interrupted.\n")
