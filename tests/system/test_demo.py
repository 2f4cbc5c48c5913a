"""The demo ends as it should, on a real scheduler and triggerer."""

from __future__ import annotations

from airflow_provider_tallyfy.sandbox.seeds import DEFAULT
from demo.__main__ import tell


def test_the_examples_do_in_tallyfy_what_the_demonstration_promises(system, capsys):
    system.tallyfy.load(DEFAULT)
    assert tell(system.tallyfy, system.airflow) == []
    assert "wait_for_people" in capsys.readouterr().out
