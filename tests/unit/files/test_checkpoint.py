from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_tallyfy.files.checkpoint import Memory
from tests.airflow_driver import FakeTaskInstance
from tests.task_contexts import FakeTaskStateStore

ROWS = [("a", "changed"), ("b", "unknown"), ("c", "failed"), ("d", "unchanged"), ("e", "skipped")]
IDS = [f"{number:032x}" for number in range(10_000)]


def context_of(store: FakeTaskStateStore | None = None, **ti: Any) -> dict[str, Any]:
    return {"ti": FakeTaskInstance(**ti), **({"task_state_store": store} if store is not None else {})}


def test_it_keeps_ten_thousand_ids_in_values_that_airflow_accepts():
    store = FakeTaskStateStore()
    Memory(context_of(store), "restore", None).remember(IDS)

    assert Memory(context_of(store, try_number=2), "restore", None).recall().meant == set(IDS)


def test_what_is_remembered_last_takes_the_place_of_the_rest():
    store = FakeTaskStateStore()
    memory = Memory(context_of(store), "restore", None)
    memory.remember(IDS)
    memory.remember(IDS[:3])

    assert memory.recall().meant == set(IDS[:3])
    assert len(store.values) == 2, "no chunk of the first is left behind"

    memory.remember([])

    assert memory.recall().meant == set()


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
        assert memory.recall().meant == set(IDS[:4000])


def test_jobs_do_not_share_a_memory():
    store = FakeTaskStateStore()
    Memory(context_of(store), ["restore", ["a"]], None).remember(["a"])

    assert Memory(context_of(store), ["restore", ["b"]], None).recall().meant == set()
    assert Memory(context_of(store, map_index=1), ["restore", ["a"]], None).recall().meant == set()


def test_what_is_added_later_is_remembered_with_the_rest():
    store = FakeTaskStateStore()
    memory = Memory(context_of(store), "delete", None)
    memory.remember(IDS[:3])
    memory.remember_also(IDS[2:5])

    assert memory.recall().meant == set(IDS[:5])


def test_a_store_knows_everything_a_report_what_it_says_and_the_first_try_has_no_past(tmp_path):
    store, path = FakeTaskStateStore(), tmp_path / "report.jsonl"
    Memory(context_of(store), "delete", None).remember(["a"])
    stored = Memory(context_of(store, try_number=2), "delete", None).recall()
    job = Memory(context_of(), "delete", str(path)).job
    path.write_text("".join(json.dumps({"id": id_, "state": state, "job": job}) + "\n" for id_, state in ROWS))
    reported = Memory(context_of(try_number=2), "delete", str(path)).recall()
    nothing = Memory(context_of(try_number=2), "delete", None).recall()
    first = Memory(context_of(), "delete", str(path)).recall()

    assert [name for name in "abcdez" if stored.may_have_changed(name)] == ["a"]
    assert [name for name in "abcdez" if reported.may_have_changed(name)] == ["a", "b", "d", "e", "z"]
    assert [name for name in "abcdez" if reported.is_silent_about(name)] == ["d", "e", "z"]
    assert nothing.is_silent_about("a")
    assert not first.may_have_changed("a")


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

    assert Memory(context_of(try_number=2), "restore", str(path)).recall().meant == {"a", "b"}
    assert Memory(context_of(try_number=1), "restore", str(path)).recall().meant == set(), "the first try has no past"
    assert Memory(context_of(try_number=2), "restore", str(tmp_path / "none")).recall().meant == set()
