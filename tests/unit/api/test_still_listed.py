"""A deleted run is gone when no list shows it. A list that changes while it is read proves nothing."""

from __future__ import annotations

from airflow_provider_tallyfy.api import flows
from airflow_provider_tallyfy.api.call import Pause
from airflow_provider_tallyfy.api.models.envelope import Page

PER_PAGE = 100


def looked_for(run_id: str, archive: list[str], leave_after_first_page: int) -> tuple[set[str], int]:
    """Drive the flow over an archive that runs leave during the first reading, and count the readings."""
    flow = flows.still_listed("o" * 32, [run_id])
    step, readings = next(flow), 0
    try:
        while True:
            if isinstance(step, Pause):
                step = flow.send(None)
                continue
            number = int(dict(step.query)["page"])
            readings += number == 1
            ids = archive[(number - 1) * PER_PAGE : number * PER_PAGE]
            rows = tuple({"id": listed, "status": "archived", "name": "Run"} for listed in ids)
            page = Page(rows, number, -(-len(archive) // PER_PAGE), len(archive))
            del archive[:leave_after_first_page]
            leave_after_first_page = 0
            step = flow.send(page)
    except StopIteration as end:
        return end.value, readings


def test_a_run_that_moves_to_an_earlier_page_is_still_found():
    archive = [f"{number:032x}" for number in range(250)]
    run_id = archive[110]
    shown, _ = looked_for(run_id, archive, leave_after_first_page=20)
    assert shown == {run_id}


def test_a_run_that_is_gone_takes_a_second_look_only_if_the_list_moved():
    archive = [f"{number:032x}" for number in range(250)]
    assert looked_for("f" * 32, list(archive), leave_after_first_page=0) == (set(), 1)
    assert looked_for("f" * 32, list(archive), leave_after_first_page=20) == (set(), 2)
