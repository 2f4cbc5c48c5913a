"""A stand-in for the triggerer's two processes, with Airflow's own state stores."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterable
from typing import Any

from airflow_provider_tallyfy.triggers.tallyfy import TallyfyRunEventTrigger
from tests.virtual_time import VirtualTallyfy

INTERVAL = 60
ONE, OTHER = "one", "other"


class Supervisor:
    """
    The triggerer's two processes: one runs a trigger, the other answers it in order and writes to the database.

    :param tallyfy: the Tallyfy that the trigger watches.
    """

    def __init__(self, tallyfy: VirtualTallyfy) -> None:
        self.tallyfy = tallyfy
        self.kept: dict[tuple[str, str], str] = {}
        self.fired: list[dict[str, Any]] = []
        self.stuck_until = 0.0
        self.broken: set[str] = set()
        self.asked: list[str] = []
        self._requests: deque[tuple[Any, asyncio.Future[Any]]] = deque()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, assets: Iterable[str] = (ONE,), **arguments: Any) -> None:
        from airflow.sdk import Asset
        from airflow.sdk.execution_time.context import AssetStateStoreAccessors

        trigger = TallyfyRunEventTrigger(**{"poll_interval": INTERVAL, **arguments})
        trigger.asset_state_store = AssetStateStoreAccessors(inlets=[Asset(name) for name in assets])
        events: deque[Any] = deque()
        work = (self._run(trigger, events), self._ship(events), self._supervise())
        self._tasks += [asyncio.create_task(each) for each in work]

    async def kill(self) -> None:
        crashes = [task.exception() for task in self._tasks if task.done() and not task.cancelled()]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._requests.clear()
        assert crashes == []

    async def asend(self, message: Any) -> Any:
        answer = asyncio.get_running_loop().create_future()
        self._requests.append((message, answer))
        return await answer

    async def _run(self, trigger: TallyfyRunEventTrigger, events: deque[Any]) -> None:
        async for event in trigger.run():
            events.append(json.loads(json.dumps(event.payload)))

    async def _ship(self, events: deque[Any]) -> None:
        while True:
            shipped = list(events)
            events.clear()
            await self.asend(shipped)
            await asyncio.sleep(1)

    async def _supervise(self) -> None:
        while True:
            await asyncio.sleep(0.25)
            received = []
            while self._requests and asyncio.get_running_loop().time() >= self.stuck_until:
                message, answer = self._requests.popleft()
                if isinstance(message, list):
                    received += message
                try:
                    answer.set_result(self._answer(message))
                except Exception as error:  # noqa: BLE001 - it is for whoever asked
                    answer.set_exception(error)
            await asyncio.sleep(0.25)
            self.fired += received

    def _answer(self, message: Any) -> Any:
        from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
        from airflow.sdk.execution_time.comms import AssetStateStoreResult, ErrorResponse

        if isinstance(message, list):
            return None
        self.asked.append(type(message).__name__)
        if message.name in self.broken:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))
        place = (message.name, message.key)
        if type(message).__name__.startswith("Set"):
            self.kept[place] = json.dumps(message.value)
            return None
        if place not in self.kept:
            return ErrorResponse(error=ErrorType.ASSET_STORE_NOT_FOUND)
        return AssetStateStoreResult(value=json.loads(self.kept[place]))

    def times_fired(self, run_id: str) -> int:
        return sum(event["run"]["id"] == run_id for event in self.fired)


async def until_told(airflow: Supervisor, run_id: str) -> None:
    async with asyncio.timeout(10 * INTERVAL):
        while not airflow.times_fired(run_id):  # noqa: ASYNC110 - virtual time costs nothing
            await asyncio.sleep(0.25)
