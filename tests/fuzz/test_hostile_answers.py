"""
No answer of a server causes a raw exception, a false success, endless requests or a leak.

A few hundred examples by default. ``make fuzz`` runs 20,000 with a seed that it prints; ``FUZZ_SEED`` repeats one.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from airflow_provider_tallyfy.api.errors import TallyfyError
from airflow_provider_tallyfy.hooks import httpx_transport, requests_transport
from airflow_provider_tallyfy.hooks import tallyfy as sync_hook
from airflow_provider_tallyfy.hooks.tallyfy import TallyfyHook
from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook
from airflow_provider_tallyfy.operators import bulk, tallyfy
from airflow_provider_tallyfy.operators._base import TallyfyOperator
from airflow_provider_tallyfy.triggers import tallyfy as triggers
from airflow_provider_tallyfy.triggers._waits import TallyfyWaitTrigger
from tests.fuzz import subjects
from tests.fuzz.hostile import MOST_REQUESTS, HostileTallyfy
from tests.fuzz.mutations import PLANS, forms_of
from tests.fuzz.subjects import METHODS, ONLY_SYNC, OPERATORS, TRIGGERS, WITHOUT_QUESTIONS, AsyncFace, Case
from tests.masked_secrets import forget_masked_secrets

_COUNT = int(os.environ.get("FUZZ_COUNT", "200"))
_SEED = os.environ.get("FUZZ_SEED")
_LONGEST = 12_000

SUBJECTS: list[tuple[str, str]] = [
    *(("requests", name) for name in METHODS),
    *(("httpx", name) for name in METHODS if name not in ONLY_SYNC),
    *(("operator", name) for name in OPERATORS),
    *(("trigger", name) for name in TRIGGERS),
]


class Recorder(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__(level=0)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    recorder, log = Recorder(), logging.getLogger("airflow_provider_tallyfy")
    level = log.level
    log.addHandler(recorder)
    log.setLevel(logging.DEBUG)
    with pytest.MonkeyPatch.context() as patched:
        for kind in (TallyfyHook, TallyfyOperator, TallyfyWaitTrigger):
            patched.setattr(kind, "log", log, raising=False)
        yield recorder
    log.removeHandler(recorder)
    log.setLevel(level)


@pytest.fixture(autouse=True, scope="module")
def _no_pauses() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("airflow_provider_tallyfy.api.flows.replica_lag.REPLICA_LAG_PAUSES", (0.0,))
        patched.setattr(sync_hook, "mask_secret", lambda secret: None)
        yield


def _run(kind: str, name: str, case: Case) -> tuple[Any, bool]:
    """Run it. Return the result, and whether Tallyfy showed it."""
    if kind == "operator":
        make, check = OPERATORS[name]
        result = subjects.execute(make(case))
        return result, check(case)(result)
    if kind == "trigger":
        event = subjects.event_of(lambda: TRIGGERS[name](case))
        is_reached = event["outcome"] == "reached" and name.startswith("TallyfyRun")
        return event, not is_reached or case.server.showed_complete(case.complete)
    act, shown = METHODS[name]
    hook = TallyfyHook() if kind == "requests" else AsyncFace(case.server)
    result = act(hook, case)
    return result, shown(case)(result)


def _assert_clean(text: str, token: str) -> None:
    leaks = [form for form in forms_of(token) if form[4:-4] in text]
    assert not leaks, text
    assert len(text) <= _LONGEST, len(text)
    assert all(line.isprintable() and not line.startswith("[2026-11-26]") for line in text.split("\n")), repr(text)


def _assert_storable(value: Any) -> None:
    """Whether every Airflow can store a result: UTF-8, finite numbers of 64 bits."""
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    assert all(abs(number) < 2**63 for number in _integers(value))


def _integers(value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _integers(item)


def _try(
    kind: str, name: str, server: HostileTallyfy, recorder: Recorder, patched: pytest.MonkeyPatch
) -> TallyfyError | None:
    patched.setattr(requests_transport, "exchange", server.exchange)
    patched.setattr(
        httpx_transport.Transport,
        "exchange",
        lambda transport, call, token: server.exchange_async(transport._settings, call, token),
    )
    patched.setenv("AIRFLOW_CONN_TALLYFY_DEFAULT", server.connection())
    if kind == "trigger":
        patched.setattr(TallyfyAsyncHook, "connect", lambda conn_id: server.connect())
        patched.setattr("airflow_provider_tallyfy.triggers._waits.time", subjects.virtual_clock())
    recorder.lines.clear()
    forget_masked_secrets()  # each example has a token of its own
    failure: TallyfyError | None = None
    with tempfile.TemporaryDirectory() as folder:
        try:
            result, was_shown = _run(kind, name, Case(server, folder))
        except TallyfyError as error:
            failure = error
            said = [str(error), error.code or "", error.request_id or "", *error.fields]
            said += [text for texts in error.fields.values() for text in texts]
        else:
            said = []
            assert was_shown, result
            _assert_storable(result)
            if kind != "operator" or name != "TallyfyExportRunOperator":
                assert server.token not in json.dumps(result)
    for text in [*said, *recorder.lines]:
        _assert_clean(text, server.token)
    assert server.largest <= 2_000_000
    assert len(server.calls) <= MOST_REQUESTS
    return failure


def _examples(test: Callable[..., None]) -> Callable[..., None]:
    # A plan is short enough to be read as it is, and shrinking one takes minutes.
    checks, phases = list(HealthCheck), [Phase.generate]
    chosen = settings(max_examples=_COUNT, database=None, suppress_health_check=checks, phases=phases)
    if _SEED is None:
        return settings(chosen, derandomize=True)(test)
    return seed(int(_SEED))(chosen(test))


@_examples
@given(st.sampled_from(SUBJECTS), st.sampled_from(["lenient", "strict"]), PLANS)
def test_no_hostile_answer_breaks_anything(recorder, subject, behavior, plan):
    mutations, everywhere = plan
    server = HostileTallyfy(behavior, mutations, everywhere=everywhere)
    with pytest.MonkeyPatch.context() as patched:
        _try(*subject, server, recorder, patched)


@pytest.mark.parametrize("subject", SUBJECTS, ids="-".join)
@pytest.mark.parametrize("behavior", ["lenient", "strict"])
def test_every_subject_works_while_answers_are_good(recorder, monkeypatch, subject, behavior):
    server = HostileTallyfy(behavior, [], everywhere=False)
    assert _try(*subject, server, recorder, monkeypatch) is None
    assert server.calls
    assert not [answer for answer in server.received if getattr(answer, "status", 0) >= 500]


def _public(kind: type) -> set[str]:
    modules = ("airflow_provider_tallyfy.",)
    return {
        name
        for base in kind.__mro__
        if base.__module__.startswith(modules)
        for name, member in vars(base).items()
        if not name.startswith("_") and callable(getattr(member, "__func__", member))
    }


def test_every_public_class_and_method_is_tested():
    assert _public(TallyfyHook) == METHODS.keys() | WITHOUT_QUESTIONS
    public = {name: getattr(module, name) for module in (tallyfy, bulk) for name in module.__all__}
    assert {name for name, kind in public.items() if not inspect.isabstract(kind)} == OPERATORS.keys()
    assert {name for name in triggers.__all__ if name not in ("TallyfyRunEventTrigger",)} == TRIGGERS.keys()
