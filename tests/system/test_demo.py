"""The demo ends as it should, on a real scheduler and triggerer."""

from __future__ import annotations

from airflow_provider_tallyfy.sandbox.seeds import DEFAULT
from demo.scenarios import run_scenarios


def test_the_examples_do_in_tallyfy_what_the_demonstration_promises(system, capsys):
    system.tallyfy.load(DEFAULT)
    assert run_scenarios(system.tallyfy, system.airflow) == []
    assert "wait_for_people" in capsys.readouterr().out
