"""The loop thread of a bulk job, when it cannot start."""

from __future__ import annotations

import asyncio
import errno

import pytest

from airflow_provider_tallyfy.bulk.loop_thread import LoopThread
from airflow_provider_tallyfy.connection import TallyfySettings


def test_an_event_loop_that_cannot_start_fails_the_task(monkeypatch):
    def too_many() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(asyncio.events, "new_event_loop", too_many)
    with (
        pytest.raises(OSError, match="Too many open files"),
        LoopThread(TallyfySettings("http://127.0.0.1:9", "token")),
    ):
        pytest.fail("there is no loop to work on")
