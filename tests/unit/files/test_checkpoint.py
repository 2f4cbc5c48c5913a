from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_tallyfy.files.checkpoint import Checkpoint
from tests.airflow_driver import FakeTaskInstance
from tests.task_contexts import FakeTaskStateStore

ROWS = [("a", "changed"), ("b", "unknown"), ("c", "failed"), ("d", "unchanged"), ("e", "skipped")]
IDS = [f"{number:032x}" for number in range(10_000)]


def context_of(store: FakeTaskStateStore | None = None, **ti: Any) -> dict[str, Any]:
    return {"ti": FakeTaskInstance(**ti), **({"task_state_store": store} if store is not None else {})}


def reporting(context: dict[str, Any], purpose: str, path: Path) -> Checkpoint:
    return Checkpoint(context, purpose, str(path), changed_states=("changed", "unknown"), failed_states=("failed",))


def test_a_checkpoint_keeps_ten_thousand_ids_in_values_that_airflow_accepts():
    store = FakeTaskStateStore()
    Checkpoint(context_of(store), "restore", None).save(IDS)

    assert Checkpoint(context_of(store, try_number=2), "restore", None).load().intended == set(IDS)


def test_the_last_save_replaces_earlier_ones():
    store = FakeTaskStateStore()
    checkpoint = Checkpoint(context_of(store), "restore", None)
    checkpoint.save(IDS)
    checkpoint.save(IDS[:3])

    assert checkpoint.load().intended == set(IDS[:3])
    assert len(store.values) == 2, "no chunk of the first is left behind"

    checkpoint.save([])

    assert checkpoint.load().intended == set()


def test_a_kill_between_two_writes_keeps_the_previous_save():
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
    checkpoint = Checkpoint(context_of(store), "restore", None)
    checkpoint.save(IDS[:4000])
    for writes_left in range(4):
        store.writes_left = writes_left
        with pytest.raises(Killed):
            checkpoint.save(IDS[4000:])
        assert checkpoint.load().intended == set(IDS[:4000])


def test_different_tasks_do_not_share_a_checkpoint():
    store = FakeTaskStateStore()
    Checkpoint(context_of(store), ["restore", ["a"]], None).save(["a"])

    assert Checkpoint(context_of(store), ["restore", ["b"]], None).load().intended == set()
    assert Checkpoint(context_of(store, map_index=1), ["restore", ["a"]], None).load().intended == set()


def test_later_additions_are_kept_with_the_rest():
    store = FakeTaskStateStore()
    checkpoint = Checkpoint(context_of(store), "delete", None)
    checkpoint.save(IDS[:3])
    checkpoint.add(IDS[2:5])

    assert checkpoint.load().intended == set(IDS[:5])


def test_a_store_has_all_changes_and_a_report_those_in_it(tmp_path):
    store, path = FakeTaskStateStore(), tmp_path / "report.jsonl"
    Checkpoint(context_of(store), "delete", None).save(["a"])
    stored = Checkpoint(context_of(store, try_number=2), "delete", None).load()
    job = reporting(context_of(), "delete", path).job
    path.write_text("".join(json.dumps({"id": id_, "state": state, "job": job}) + "\n" for id_, state in ROWS))
    reported = reporting(context_of(try_number=2), "delete", path).load()
    nothing = Checkpoint(context_of(try_number=2), "delete", None).load()
    first = reporting(context_of(), "delete", path).load()

    assert [name for name in "abcdez" if stored.may_have_changed(name)] == ["a"]
    assert [name for name in "abcdez" if reported.may_have_changed(name)] == ["a", "b", "d", "e", "z"]
    assert [name for name in "abcdez" if reported.is_unknown(name)] == ["d", "e", "z"]
    assert nothing.is_unknown("a")
    assert not first.may_have_changed("a")


def test_without_a_store_the_reports_of_earlier_tries_are_read(tmp_path):
    path = tmp_path / "report.jsonl"
    job = reporting(context_of(), "restore", path).job
    lines = [
        {"id": "a", "state": "changed", "job": job},
        {"id": "b", "state": "unknown", "job": job},
        {"id": "c", "state": "unchanged", "job": job},
        {"id": "d", "state": "failed", "job": job},
        {"id": "e", "state": "changed", "job": "of yesterday"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"id": "f", "sta')

    assert reporting(context_of(try_number=2), "restore", path).load().intended == {"a", "b"}
    assert reporting(context_of(try_number=1), "restore", path).load().intended == set(), (
        "a first try has none before it"
    )
    assert reporting(context_of(try_number=2), "restore", tmp_path / "none").load().intended == set()
