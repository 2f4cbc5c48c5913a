"""
What it costs a DAG file to import this provider's operators and sensors, beside other providers.

Run ``python -m benchmarks.imports``; it prints Markdown. Every import is timed in a process of its own, after Airflow's
own, so a row is what the module adds to that. ``--rounds`` sets how often; the rounds of all modules take turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec

AIRFLOW = "airflow.sdk"
BASH = "airflow.providers.standard.operators.bash"
OURS = ["airflow_provider_tallyfy.operators.tallyfy", "airflow_provider_tallyfy.sensors.tallyfy"]
PEERS = [
    BASH,
    "airflow.providers.http.operators.http",
    "airflow.providers.dbt.cloud.operators.dbt",
]
CHILD = """
from importlib import import_module
from sys import modules
from time import process_time
began = process_time()
import_module({airflow!r})
between, known = process_time(), set(modules)
import_module({module!r})
print(between - began, process_time() - between, len(set(modules) - known))
"""


def measure(module: str, home: str) -> tuple[float, float, int]:
    """Give the CPU seconds of importing Airflow, and of the module after it, and how many modules that loads."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONDONTWRITEBYTECODE": "",  # modules are compiled once, as after an installation with pip
    }
    child = [sys.executable, "-W", "ignore", "-c", CHILD.format(airflow=AIRFLOW, module=module)]
    done = subprocess.run(child, env=environment, capture_output=True, text=True, check=True, timeout=120)
    airflow, own, modules = done.stdout.split()[-3:]
    return float(airflow), float(own), int(modules)


def is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def main() -> None:
    command = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("--rounds", type=int, default=7, help="how often to import each (default: %(default)s)")
    rounds = command.parse_args().rounds
    missing = [module for module in PEERS if not is_installed(module)]
    modules = [module for module in [*OURS, *PEERS] if module not in missing]
    with tempfile.TemporaryDirectory() as home:
        for module in modules:
            measure(module, home)  # compiles it
        measured: dict[str, list[tuple[float, float, int]]] = {module: [] for module in modules}
        for _ in range(rounds):
            for module in modules:
                measured[module].append(measure(module, home))
    airflow = statistics.median(each[0] for rows in measured.values() for each in rows)
    own = {module: statistics.median(each[1] for each in rows) for module, rows in measured.items()}
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; `{AIRFLOW}` alone: {airflow * 1000:.0f} ms of CPU\n")
    print("| module | CPU ms after Airflow's | times bash's | modules loaded |\n| --- | ---: | ---: | ---: |")
    for module in modules:
        ratio = f"{own[module] / own[BASH]:.1f}" if BASH in own else "-"
        print(f"| `{module}` | {own[module] * 1000:.0f} | {ratio} | {measured[module][0][2]} |")
    for module in missing:
        print(f"| `{module}` | not installed | | |")


if __name__ == "__main__":
    main()
