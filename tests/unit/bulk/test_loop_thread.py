"""The loop thread of a bulk job, when it cannot start."""

from __future__ import annotations

import asyncio
import errno

import pytest

from airflow_provider_tallyfy.bulk.loop_thread import LoopThread
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook


def test_an_event_loop_that_cannot_start_fails_the_task(monkeypatch):
    def too_many() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    connection = '{"conn_type": "tallyfy", "host": "http://127.0.0.1:9", "password": "token"}'
    monkeypatch.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", connection)
    monkeypatch.setattr(asyncio.events, "new_event_loop", too_many)
    with pytest.raises(OSError, match="Too many open files"), LoopThread(TallyfyHook()):
        pytest.fail("there is no loop to work on")
