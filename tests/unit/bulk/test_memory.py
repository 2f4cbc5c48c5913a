from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_tallyfy.bulk.memory import Memory
from tests.airflow_driver import FakeTaskInstance
from tests.task_contexts import FakeTaskStateStore

IDS = [f"{number:032x}" for number in range(10_000)]


def context_of(store: FakeTaskStateStore | None = None, **ti: Any) -> dict[str, Any]:
    return {"ti": FakeTaskInstance(**ti), **({"task_state_store": store} if store is not None else {})}


def test_it_keeps_ten_thousand_ids_in_values_that_airflow_accepts():
    store = FakeTaskStateStore()
    Memory(context_of(store), "restore", None).remember(IDS)

    assert Memory(context_of(store, try_number=2), "restore", None).recall() == set(IDS)


def test_what_is_remembered_last_takes_the_place_of_the_rest():
    store = FakeTaskStateStore()
    memory = Memory(context_of(store), "restore", None)
    memory.remember(IDS)
    memory.remember(IDS[:3])

    assert memory.recall() == set(IDS[:3])
    assert len(store.values) == 2, "no chunk of the first is left behind"

    memory.remember([])

    assert memory.recall() == set()


def test_a_kill_between_two_writes_leaves_what_was_remembered_before():
    class Killed(BaseException):
        pass

    class Store(FakeTaskStateStore):
        writes_left = 100

        def set(self, key: str, value: Any, **kwargs: Any) -> None:
            if not self.writes_left:
                raise Killed
            self.writes_left -= 1
            super().set(key, value, **kwargs)

    store = Store()
    memory = Memory(context_of(store), "restore", None)
    memory.remember(IDS[:4000])
    for writes_left in range(4):
        store.writes_left = writes_left
        with pytest.raises(Killed):
            memory.remember(IDS[4000:])
        assert memory.recall() == set(IDS[:4000])


def test_jobs_do_not_share_a_memory():
    store = FakeTaskStateStore()
    Memory(context_of(store), ["restore", ["a"]], None).remember(["a"])

    assert Memory(context_of(store), ["restore", ["b"]], None).recall() == set()
    assert Memory(context_of(store, map_index=1), ["restore", ["a"]], None).recall() == set()


def test_without_a_store_the_report_of_the_try_before_is_the_memory(tmp_path):
    path = tmp_path / "report.jsonl"
    job = Memory(context_of(), "restore", str(path)).job
    lines = [
        {"id": "a", "state": "changed", "job": job},
        {"id": "b", "state": "unknown", "job": job},
        {"id": "c", "state": "unchanged", "job": job},
        {"id": "d", "state": "failed", "job": job},
        {"id": "e", "state": "changed", "job": "of yesterday"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"id": "f", "sta')

    assert Memory(context_of(try_number=2), "restore", str(path)).recall() == {"a", "b"}
    assert Memory(context_of(try_number=1), "restore", str(path)).recall() == set(), "the first try has no past"
    assert Memory(context_of(try_number=2), "restore", str(tmp_path / "none")).recall() == set()
