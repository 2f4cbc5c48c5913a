"""
Whether the installed package works where it and what it requires is all there is.

``make dist`` runs this with the version that must be there, in an environment without pytest and without uvicorn.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import warnings
from importlib import import_module
from importlib.metadata import entry_points, version
from pathlib import Path

[expected] = sys.argv[1:]
os.environ["AIRFLOW_HOME"] = str(Path.cwd() / "airflow")
warnings.simplefilter("ignore")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "ignore", *arguments], capture_output=True, text=True, check=False)


package = import_module("airflow_provider_tallyfy")
folder = Path(package.__file__ or "").parent
assert folder.is_relative_to(sys.prefix), folder
assert package.__version__ == version("airflow-provider-tallyfy") == expected

[entry_point] = [
    point for point in entry_points(group="apache_airflow_provider") if point.dist and "tallyfy" in point.dist.name
]
info = entry_point.load()()
modules = [name for kind in ("hooks", "operators", "sensors", "triggers") for name in info[kind][0]["python-modules"]]
for name in modules:
    import_module(name)

examples = sorted(folder.glob("example_dags/*.py"))
assert examples
for example in examples:
    runpy.run_path(str(example))

done = run("-m", "airflow_provider_tallyfy", "--help")
assert (done.returncode, "check" in done.stdout) == (0, True), done

done = run("-m", "airflow_provider_tallyfy.sandbox", "--help")
assert done.returncode == 1, done
assert done.stderr == 'The sandbox needs uvicorn: pip install "airflow-provider-tallyfy[sandbox]".\n', done

print(f"{expected} works: {len(modules)} modules, {len(examples)} example DAGs, both commands.")  # noqa: T201
