"""Run DAGs in this process with ``dag.test()``, against the sandbox."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import pytest

from airflow_provider_tallyfy.sandbox.seeds import DEFAULT
from tests import dag_runs
from tests.sandbox.browser import Browser

RunDag = Callable[..., Any]


@pytest.fixture(scope="session")
def _airflow_database() -> None:
    dag_runs.prepare_database()


@pytest.fixture
def run_dag(_airflow_database: None) -> RunDag:
    """Return a function that runs a DAG with params and gives the finished DAG run."""
    return dag_runs.run_dag


@pytest.fixture
def example(run_dag: RunDag) -> RunDag:
    """Return a function that runs an example DAG by the name of its module."""
    return lambda name, **params: run_dag(import_module(f"example_dags.{name}").dag, **params)


class Person(Browser):
    """Finds runs by their name, as a person does."""

    def open_run(self, name):
        links = {text.replace("\ufeff", ""): path for text, path in self.open("/").links.items()}
        return self.open(links[name])

    def press_on(self, name, button):
        self.open_run(name)
        return self.press(button)

    def statuses(self):
        runs = {run["name"].replace("\ufeff", ""): run for run in self.sandbox.runs}
        return {name: "archived" if run["archived_at"] else run["status"] for name, run in runs.items()}

    def wait_until(self, condition):
        for _ in range(1200):
            if condition(self.statuses()):
                return
            time.sleep(0.05)
        raise AssertionError(f"Waited in vain; the runs are {self.statuses()}")


@pytest.fixture
def person(tallyfy_sandbox):
    tallyfy_sandbox.load(DEFAULT)
    return Person(tallyfy_sandbox)


@pytest.fixture
def meanwhile(person):
    """Let the person act while the test goes on; an error of theirs is one of the test."""
    with ThreadPoolExecutor(1) as other:
        acts = []

        def guarded(act):
            try:
                act()
            except BaseException:
                for run in person.sandbox.runs:  # so that no task waits for them any longer
                    person.sandbox.delete_run(run["id"])
                raise

        yield lambda act: acts.append(other.submit(guarded, act))
        for act in acts:
            act.result()
