from __future__ import annotations

import pytest

from airflow_provider_tallyfy.api.errors import (
    PermanentTallyfyError,
    TallyfyAuthError,
    TallyfyError,
    TallyfyNotFoundError,
    TallyfyResponseError,
    TallyfyServerError,
    TallyfyValidationError,
)
from airflow_provider_tallyfy.api.models.run import Run
from airflow_provider_tallyfy.waits.goals import RunGoal
from airflow_provider_tallyfy.waits.probes import Key, Observation
from airflow_provider_tallyfy.waits.progress import WaitProgress
from airflow_provider_tallyfy.waits.results import Outcome, WaitResult

DESCRIBED = {"id": "r1", "status": "complete"}
ENDINGS = [
    WaitResult(Outcome.REACHED, "done", result=DESCRIBED),
    WaitResult(Outcome.FAILED, "archived", result=DESCRIBED),
    WaitResult(Outcome.MISSING, "missing", error="TallyfyNotFoundError"),
    WaitResult(Outcome.TIMED_OUT, "too late"),
    WaitResult(Outcome.ERROR, "no token", error="TallyfyAuthError"),
]


def run(status: str = "active") -> Run:
    return Run.from_json({"id": "r1", "name": "Onboarding", "status": status})


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.outcome.value)
def test_a_wait_result_survives_as_plain_json(ending):
    event = ending.to_event()
    assert type(event["outcome"]) is str
    assert WaitResult.from_event(event) == ending


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        "complete",
        [],
        {"status": "success"},
        {"outcome": "complete", "message": ""},
        {"outcome": "waiting", "message": "still"},
        {"outcome": ["reached"], "message": "", "result": DESCRIBED},
        {"outcome": "reached", "message": "without a run"},
        {"outcome": "failed", "message": 5},
        {"outcome": "failed"},
        {"outcome": "failed", "message": "", "verdict": "fine"},
        {"outcome": "error", "message": "", "error": "re"},
        {"outcome": "error", "message": "", "error": "clipped"},
        {"outcome": "error", "message": "", "error": "NoSuchError"},
        {"outcome": "error", "message": "", "error": 5},
    ],
)
def test_an_event_outside_the_closed_set_is_an_error_and_never_green(event):
    with pytest.raises(TallyfyResponseError, match="Do triggerer and workers run the same version"):
        WaitResult.from_event(event)


def test_a_wait_result_restores_the_error_that_broke_the_wait():
    error = WaitResult(Outcome.ERROR, "no token", error="TallyfyAuthError").to_error()
    assert (type(error), str(error)) == (TallyfyAuthError, "no token")
    assert type(WaitResult(Outcome.ERROR, "unknown").to_error()) is PermanentTallyfyError


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"run_id": " "}, "run_id"),
        ({"target": "completed"}, "target_status='completed' is not a status"),
        ({"target": ()}, "names no status to wait for"),
        ({"target": ""}, "target_status"),
        ({"failure": ["archived", "cancelled"]}, "failure_status='cancelled' is not a status"),
        ({"missing": "ignore"}, "is neither 'fail' nor 'wait'"),
    ],
)
def test_a_wait_for_an_unknown_status_is_refused(arguments, problem):
    with pytest.raises(TallyfyValidationError, match=problem):
        RunGoal.checked(**{"run_id": "r1", "target": "complete", "failure": (), "missing": "fail", **arguments})


def test_a_wait_takes_one_status_or_several_each_once():
    wait = RunGoal.checked("r1", "complete", ["archived", "problem", "archived"], "wait")
    assert (wait.target, wait.failure) == (("complete",), ("archived", "problem"))


class Progress(WaitProgress):
    """The progress of a wait for one run, look by look."""

    def saw(self, seen: Run | None) -> WaitResult | None:
        self.accept(Key("run", "r1"), Observation(seen))
        return self.result()

    def stumbled(self, error: TallyfyError) -> WaitResult | None:
        self.accept(Key("run", "r1"), Observation(error=error))
        return self.result()


def watched(max_poll_failures: int | None = None) -> tuple[Progress, list[str]]:
    logged: list[str] = []
    goal = RunGoal.checked("r1", "complete", ["archived"], "fail")
    return Progress(goal, "org", "https://web/{}".format, max_poll_failures, logged.append), logged


def test_a_change_is_logged_once_however_often_it_is_seen():
    log, logged = watched()
    for _ in range(3):
        assert log.saw(run()) is None
    for number in range(3):
        assert log.stumbled(TallyfyServerError(f"down (request id {number})", status=503)) is None
    assert log.stumbled(TallyfyServerError("down", status=502)) is None
    for _ in range(3):
        assert log.saw(run("problem")) is None
    assert [line.partition("\n")[0] for line in logged] == [
        "Run r1 ('Onboarding') is active.",
        "Cannot see run r1 at the moment, still waiting.",
        "Cannot see run r1 at the moment, still waiting.",
        "Run r1 ('Onboarding') is problem.",
    ]


def test_transient_failures_in_a_row_are_counted_and_a_success_resets_the_count():
    log, _ = watched(max_poll_failures=2)
    trouble = TallyfyServerError("down")
    assert [log.stumbled(trouble), log.stumbled(trouble)] == [None, None]
    assert log.saw(run()) is None
    assert [log.stumbled(trouble), log.stumbled(trouble)] == [None, None]
    ending = log.stumbled(trouble)
    assert ending == WaitResult(
        Outcome.ERROR, "down\nGave up after 3 failed looks in a row.", error="TallyfyServerError"
    )


def test_without_a_limit_transient_failures_never_end_a_wait_and_permanent_ones_do():
    log, _ = watched(max_poll_failures=None)
    assert all(log.stumbled(TallyfyServerError("down")) is None for _ in range(1000))
    assert log.stumbled(TallyfyAuthError("no token")) == WaitResult(Outcome.ERROR, "no token", error="TallyfyAuthError")


def test_a_message_names_the_run_and_the_goal_and_where_to_look():
    log, _ = watched()
    ending = log.saw(run("complete"))
    assert ending is not None
    assert (
        ending.message
        == "Run r1 ('Onboarding') is complete.\nThe task waited for run r1 to be complete.\nhttps://web/r1"
    )
    assert ending.result == run("complete").describe("https://web/r1")
    log, _ = watched()
    missing = log.saw(None)
    assert missing is not None
    assert (missing.outcome, missing.error) == (Outcome.MISSING, TallyfyNotFoundError.__name__)
