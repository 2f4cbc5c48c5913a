"""
What a thousand deferred waits cost: ``python -m benchmarks.waiting``; ``--write`` puts the table into the docs.

Each row is a process with one event loop, as a triggerer is, in which the triggers of one provider wait for the same
runs of the same sandbox (in another process): 1,500 active runs, 600 requests allowed a minute, runs finishing evenly
over a minute. The peers are optional: ``uv pip install apache-airflow-providers-http
apache-airflow-providers-databricks`` into the environment that runs this.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import math
import os
import random
import resource
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.waiting_server import ACTIVE_RUNS, REQUESTS_PER_MINUTE

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
WATCHED = 1000
COLUMNS = (
    "waits", "requests a round", "connections", "failed", "not noticed", "p50 (s)", "p99 (s)", "CPU ms per wait",
    "KiB per wait", "longest stall (ms)",
)  # fmt: skip


_HOOK: list[asyncio.Future[Any]] = []

# -- the rows ----------------------------------------------------------------------------------------------------


def bare(run_id: str, number: int, interval: float) -> Any:
    """Airflow's own trigger and nothing in it: what every wait costs at least."""
    from airflow.triggers.base import BaseTrigger

    class BareTrigger(BaseTrigger):
        def serialize(self) -> tuple[str, dict[str, Any]]:
            return "", {}

        async def run(self) -> AsyncIterator[Any]:
            await asyncio.sleep(3600)
            yield None

    return BareTrigger()  # type: ignore[no-untyped-call]


def ours(run_id: str, number: int, interval: float) -> Any:
    from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunStatusTrigger

    seen = json.loads(os.environ["BENCHMARK_SEEN"])
    return TallyfyRunStatusTrigger(
        run_id=run_id,
        target_status=["complete"],
        failure_status=["archived"],
        organization_id=None,
        tallyfy_conn_id="tallyfy_default",
        poll_interval=interval,
        newer_than=seen,
    )


def one_look_per_wait(run_id: str, number: int, interval: float) -> Any:
    """Our client without the watcher: every wait asks for its own run."""
    from airflow.triggers.base import BaseTrigger, TriggerEvent

    from airflow_provider_tallyfy.api import calls
    from airflow_provider_tallyfy.api.errors import TallyfyRateLimitError
    from airflow_provider_tallyfy.hooks.tallyfy_async import TallyfyAsyncHook

    class OneLookTrigger(BaseTrigger):
        def serialize(self) -> tuple[str, dict[str, Any]]:
            return "", {}

        async def run(self) -> AsyncIterator[Any]:
            hook = await _connected(TallyfyAsyncHook.connect)
            while True:
                pause = interval * random.uniform(0.9, 1.1)
                try:
                    run = await hook.execute(calls.get_run(hook.organization_id(None), run_id), retry_budget=0)
                except TallyfyRateLimitError as error:
                    pause = max(pause, error.retry_after or 0.0)
                else:
                    if run.has_status("complete"):
                        yield TriggerEvent({"outcome": "reached"})
                        return
                await asyncio.sleep(pause)

    return OneLookTrigger()  # type: ignore[no-untyped-call]


async def _connected(connect: Callable[[str], Any]) -> Any:
    """Give the one hook that all waits share."""
    if not _HOOK:
        _HOOK.append(asyncio.ensure_future(connect("tallyfy_default")))
    return await _HOOK[0]


def http_sensor(run_id: str, number: int, interval: float) -> Any:
    from airflow.providers.http.triggers.http import HttpSensorTrigger

    return HttpSensorTrigger(endpoint=f"done/{run_id}", http_conn_id="peer_http", poke_interval=interval)


def databricks(run_id: str, number: int, interval: float) -> Any:
    from airflow.providers.databricks.triggers.databricks import DatabricksExecutionTrigger

    job_run = ACTIVE_RUNS - WATCHED + number  # the server numbers all runs, and the last of them are waited for
    return DatabricksExecutionTrigger(
        run_id=job_run, databricks_conn_id="peer_databricks", run_page_url="", polling_period_seconds=int(interval)
    )


ROWS: dict[str, tuple[str, Callable[[str, int, float], Any], str]] = {
    "ours": ("this provider", ours, "airflow_provider_tallyfy"),
    "one-look": ("this provider's client, one GET per wait", one_look_per_wait, "airflow_provider_tallyfy"),
    "http": ("`HttpSensor(deferrable=True)`", http_sensor, "airflow.providers.http"),
    "databricks": ("Databricks' run trigger", databricks, "airflow.providers.databricks"),
    "bare": ("a trigger that does nothing", bare, "airflow"),
}


# -- the process of a row ----------------------------------------------------------------------------------------


async def measure(make: Callable[[str, int, float], Any], run_ids: list[str], interval: float) -> None:
    """Let triggers wait until standard input is closed, and print what happens, one JSON object a line."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(stop.set)), daemon=True).start()
    warm_up = asyncio.create_task(_wait(make(run_ids[0], 0, interval), -1))
    await asyncio.sleep(2)  # imports and the like are not what a wait costs
    gc.collect()
    memory = _memory()
    waits = [warm_up]
    for number, run_id in enumerate(run_ids):
        waits.append(asyncio.create_task(_wait(make(run_id, number, interval), number)))
        if number % 50 == 49:
            await asyncio.sleep(0.2)  # a triggerer takes fifty at a time
    await asyncio.sleep(interval * 1.5)
    gc.collect()
    _tell(ready=True, memory=_memory() - memory)
    stall, cpu = asyncio.create_task(_watch_stalls(stop)), _cpu()
    await stop.wait()
    _tell(cpu=_cpu() - cpu, stall=await stall)
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


async def _wait(trigger: Any, number: int) -> None:
    try:
        async for event in trigger.run():
            payload = event.payload
            good = not isinstance(payload, dict) or payload.get("outcome", "reached") == "reached"
            _tell(number=number, at=time.time(), good=good)
            return
    except Exception as error:  # noqa: BLE001 - whatever fails a peer's wait is counted
        _tell(number=number, at=time.time(), good=False, error=str(error)[:200])


async def _watch_stalls(stop: asyncio.Event) -> float:
    loop, longest = asyncio.get_running_loop(), 0.0
    while not stop.is_set():
        before = loop.time()
        await asyncio.sleep(0.005)
        longest = max(longest, loop.time() - before - 0.005)
    return longest


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _tell(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


# -- the process that compares them ------------------------------------------------------------------------------


def run_row(name: str, waits: int, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one row."""
    with process([sys.executable, "-m", "benchmarks.waiting_server", str(ACTIVE_RUNS)], {}) as server:
        known = json.loads(server.stdout.readline())
        environment = connections(known)
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.waiting", "--row", name]
        command += ["--waits", str(waits), "--interval", str(options.interval)]
        with process(command, environment) as row:
            row.stdin.write(json.dumps(known["runs"]) + "\n")
            row.stdin.flush()
            return _observe(row, known, waits, options)


def _observe(row: Any, known: dict[str, Any], waits: int, options: argparse.Namespace) -> dict[str, Any]:
    told: list[dict[str, Any]] = []
    ready = threading.Event()

    def listen() -> None:
        for line in row.stdout:
            if line.startswith("{"):
                told.append(json.loads(line))
                if "ready" in told[-1]:
                    ready.set()

    listener = threading.Thread(target=listen)
    listener.start()
    if not ready.wait(300):
        raise SystemExit(f"The row did not get ready:\n{told[-3:]}")
    counted, begun = control(known, "GET", "/requests/count")["count"], time.time()
    finished = _finish(known, options.spread)
    while time.time() < begun + options.spread + options.limit and _heard(told) < waits:
        time.sleep(0.5)
    rounds = (time.time() - begun) / options.interval
    requests = control(known, "GET", "/requests/count")["count"] - counted
    controls = len(finished) + 3  # this process's own connections, one a request
    connections = control(known, "GET", "/connections")["opened"] - controls
    row.stdin.close()
    listener.join(60)
    return _summary(told, known, finished, waits) | {"requests": requests / rounds, "connections": connections}


def _heard(told: list[dict[str, Any]]) -> int:
    return sum(fact.get("number", -1) >= 0 for fact in list(told))


def _finish(known: dict[str, Any], spread: float) -> dict[str, float]:
    """Complete the runs that are waited for, evenly, and tell when each of them was."""
    begun, finished = time.time(), {}
    watched = known["runs"][-WATCHED:]
    for number, run_id in enumerate(watched):
        time.sleep(max(0.0, begun + spread * number / len(watched) - time.time()))
        control(known, "POST", f"/runs/{run_id}/complete")
        finished[run_id] = time.time()
    return finished


def _summary(
    told: list[dict[str, Any]], known: dict[str, Any], finished: dict[str, float], waits: int
) -> dict[str, Any]:
    watched = known["runs"][-WATCHED:]
    events = [fact for fact in told if fact.get("number", -1) >= 0]
    good = [fact for fact in events if fact["good"]]
    delays = sorted(fact["at"] - finished[watched[fact["number"] % len(watched)]] for fact in good) or [float("nan")]
    end = next((fact for fact in told if "cpu" in fact), {"cpu": float("nan"), "stall": float("nan")})
    return {
        "waits": waits,
        "failed": len(events) - len(good),
        "missed": waits - len(events),
        "p50": delays[len(delays) // 2],
        "p99": delays[int(len(delays) * 0.99)],
        "cpu": end["cpu"] / waits * 1000,
        "memory": next(fact["memory"] for fact in told if "memory" in fact) / waits / 1024,
        "stall": end["stall"] * 1000,
    }


def connections(known: dict[str, Any]) -> dict[str, str]:
    plain = {"host": "127.0.0.1", "port": known["port"], "schema": "http"}
    return {
        "AIRFLOW_CONN_TALLYFY_DEFAULT": json.dumps(known["connection"]),
        "AIRFLOW_CONN_PEER_HTTP": json.dumps({"conn_type": "http", **plain}),
        "AIRFLOW_CONN_PEER_DATABRICKS": json.dumps({"conn_type": "databricks", "password": "x", **plain}),
        "BENCHMARK_SEEN": json.dumps(time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + 1))),
    }


def control(known: dict[str, Any], method: str, path: str) -> Any:
    request = urllib.request.Request(f"{known['url']}/_sandbox{path}", method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def process(command: list[str], environment: dict[str, str]) -> Any:
    quiet = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "CRITICAL", "AIRFLOW__CORE__UNIT_TEST_MODE": "True"}
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | quiet | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def table(rows: list[tuple[str, dict[str, Any]]], options: argparse.Namespace) -> str:
    """Render the results."""
    intro = (
        f"{ACTIVE_RUNS:,} active runs, {REQUESTS_PER_MINUTE} requests a minute allowed, a look every "
        f"{options.interval:.0f} s, 1,000 runs finishing evenly over {options.spread:.0f} s, observed for "
        f"{options.limit:.0f} s more. Delays are from the completion in Tallyfy to the trigger's event."
    )
    cells = [
        (
            ROWS[name][0], f"{row['waits']:,}", f"{row['requests']:.1f}", f"{row['connections']:,}", str(row["failed"]),
            str(row["missed"]), _seconds(row["p50"]), _seconds(row["p99"]), f"{row['cpu']:.1f}", f"{row['memory']:.1f}",
            f"{row['stall']:.0f}",
        )
        for name, row in rows
    ]  # fmt: skip
    return f"{intro}\n\n{table_of(('', *COLUMNS), cells)}\n\nMeasured with `python -m benchmarks.waiting`.\n"


def _seconds(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"


def table_of(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(section: str, text: str) -> None:
    """Put a section into the documentation, in place of the last one."""
    page = PAGE.read_text() if PAGE.exists() else "# Benchmarks\n"
    before, _, rest = page.partition(f"\n## {section}\n")
    _, divider, after = rest.partition("\n## ")
    PAGE.write_text(f"{before.rstrip()}\n\n## {section}\n\n{text}{divider}{after}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting", description=__doc__)
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between two looks (%(default)s)")
    parser.add_argument("--spread", type=float, default=60.0, help="seconds in which the runs finish (%(default)s)")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds to observe after that (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), help="rows to measure")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--waits", type=int, default=1000, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        logging.disable(logging.CRITICAL)
        watched = json.loads(sys.stdin.readline())[-WATCHED:]
        run_ids = [watched[number % len(watched)] for number in range(options.waits)]
        asyncio.run(measure(ROWS[options.row][1], run_ids, options.interval))
        return
    rows = []
    for name in options.only:
        if not _is_installed(ROWS[name][2]):
            print(f"Left out {ROWS[name][0]}: {ROWS[name][2]} is not installed (see --help).", file=sys.stderr)
            continue
        for waits in (1000, 5000) if name == "ours" else (1000,):
            rows.append((name, run_row(name, waits, options)))
            print(name, waits, {key: round(value, 1) for key, value in rows[-1][1].items()}, file=sys.stderr)
    text = table(rows, options)
    print(text)
    if options.write:
        write("Waiting", text)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    main()
