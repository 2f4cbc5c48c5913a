"""Two tries of a task that asks people, whose requests interleave: one question, and one answer to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_tallyfy.compat import AIRFLOW_V_3_0_PLUS
from airflow_provider_tallyfy.hooks import requests_transport
from airflow_provider_tallyfy.operators.tallyfy import TallyfyApprovalOperator
from tests.airflow_driver import TOO_LONG, End, attempt, only_event, rebuilt
from tests.contract.operators.launching import launches
from tests.task_contexts import context_of

#: How many requests the first try sends, then the second one, before each goes on to its end.
SPLITS = [(first, second) for first in range(4) for second in range(5)]


class Turns:
    """Lets two tries, each in a thread of its own, send their requests in a given order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._changed = threading.Condition()
        self._order: list[int] = []
        self._running: set[int] = set()
        self._mine = threading.local()
        real = requests_transport.exchange

        def exchange(*how: Any) -> Any:
            with self.turn():
                return real(*how)

        monkeypatch.setattr(requests_transport, "exchange", exchange)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until it is this try's turn, and keep it so for what the block does."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._next == self._mine.number, TOO_LONG)
            if self._order:
                self._order.pop(0)
            yield
            self._changed.notify_all()

    @property
    def _next(self) -> int:
        """Which try may send the next request; after the given order the first one that still runs."""
        while self._order and self._order[0] not in self._running:
            self._order.pop(0)
        return self._order[0] if self._order else min(self._running)

    def run(self, order: list[int], *tries: Callable[[], Any]) -> list[Any]:
        """Run the tries, and return their results."""

        def run(number: int) -> Any:
            self._mine.number = number
            if not AIRFLOW_V_3_0_PLUS:  # operators execute only in the thread that imported this
                import_module("airflow.models.baseoperator").ExecutorSafeguard._sentinel.callers = {}
            try:
                return tries[number]()
            finally:
                with self._changed:
                    self._running.discard(number)
                    self._changed.notify_all()

        self._order, self._running = list(order), set(range(len(tries)))
        with ThreadPoolExecutor() as threads:
            return list(threads.map(run, range(len(tries))))


@pytest.fixture
def turns(monkeypatch) -> Turns:
    return Turns(monkeypatch)


@pytest.fixture
def question(tallyfy) -> Callable[..., TallyfyApprovalOperator]:
    people = [tallyfy.user["id"], tallyfy.add_user("sam@sandbox.example", "Sam Member")["id"]]
    return lambda: TallyfyApprovalOperator(
        task_id="task", subject="Deploy?", assignees={"users": people}, deferrable=True
    )


def live_questions(tallyfy) -> list[str]:
    return [run["id"] for run in tallyfy.runs if run["archived_at"] is None]


@pytest.mark.usefixtures("worlds")
@pytest.mark.parametrize("split", SPLITS, ids=str)
def test_two_tries_leave_one_question_and_end_with_its_answer(tallyfy, turns, question, split):
    order = [0] * split[0] + [1] * split[1]

    def ask(try_number: int) -> tuple[dict[str, Any], Any]:
        context = context_of(try_number)
        with pytest.raises(TaskDeferred) as deferred:
            question().execute(context)
        return context, deferred.value.trigger

    def go_on(context: dict[str, Any], trigger: Any) -> End:
        with turns.turn():
            event = only_event(rebuilt(trigger))
        return attempt(lambda: question().execute_complete(context, event.payload))

    waits = turns.run(order, lambda: ask(1), lambda: ask(2))
    [run_id] = live_questions(tallyfy)
    assert {context["ti"].pushed["run_id"] for context, _ in waits} == {run_id}
    assert launches(tallyfy) <= 2
    tallyfy.complete_task(run_id, tallyfy.run(run_id)["tasks"][1]["id"], True)
    first, second = turns.run(order, *(partial(go_on, *each) for each in waits))
    assert (first.error, second.error) == (None, None)
    assert first.result == second.result
    assert first.result["approved"] is True
    assert live_questions(tallyfy) == []
