from __future__ import annotations

import json
import subprocess
import sys

import pytest

_MODULES = [f"airflow_provider_tallyfy.{kind}.tallyfy" for kind in ("operators", "sensors", "triggers", "links")]
_MODULES += ["airflow_provider_tallyfy.operators.bulk", "airflow_provider_tallyfy.notifications.tallyfy"]
_HOOKS = ["airflow_provider_tallyfy.hooks.tallyfy", "airflow_provider_tallyfy.hooks.tallyfy_async"]

_IMPORT_WITHOUT_HTTP = """
import importlib, json, sys
from airflow.providers.common.compat import sdk
import airflow.triggers.base, airflow_provider_tallyfy.compat
sdk.BaseOperator, sdk.BaseSensorOperator, sdk.BaseOperatorLink, sdk.BaseNotifier, sdk.XCom, sdk.conf

HTTP = ("requests", "httpx", "aiohttp", "urllib3")
for name in [name for name in sys.modules if name.split(".")[0] in HTTP]:
    del sys.modules[name]

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HTTP:
            raise ImportError(f"blocked {name}")

sys.meta_path.insert(0, Block())

def problem_of(module):
    try:
        importlib.import_module(module)
    except ImportError as error:
        return str(error)

modules, hooks = json.loads(sys.argv[1])
problems = {module: problem_of(module) for module in modules}
loaded = [name for name in sys.modules if name.startswith("airflow_provider_tallyfy.hooks.")]
problems |= {hook: problem_of(hook) for hook in hooks}
print(json.dumps({"problems": problems, "hooks": loaded}))
"""


@pytest.fixture(scope="module")
def imported() -> dict:
    """Import this package after Airflow's base classes, in a process in which no HTTP library can be imported."""
    command = [sys.executable, "-W", "ignore", "-c", _IMPORT_WITHOUT_HTTP, json.dumps([_MODULES, _HOOKS])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("module", _MODULES)
def test_imports_of_dag_files_load_no_http_library(imported, module):
    assert imported["problems"][module] is None


def test_imports_of_dag_files_load_no_hook(imported):
    assert imported["hooks"] == []


@pytest.mark.parametrize("hook", _HOOKS)
def test_an_imported_http_library_would_be_noticed(imported, hook):
    assert imported["problems"][hook].startswith("blocked")


#: What a DAG file that imports operators and sensors may load of this package.
_MOST_MODULES = 30
#: What only a running task needs.
_NOT_FOR_DAG_FILES = ("api.flows", "api.calls", "api.models", "api.inputs", "bulk", "files", "hooks", "connection")
_COUNT = """
import json, sys
import airflow_provider_tallyfy.operators.tallyfy, airflow_provider_tallyfy.sensors.tallyfy
print(json.dumps([name for name in sys.modules if name.startswith("airflow_provider_tallyfy")]))
"""


def test_imports_of_dag_files_load_few_modules():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", _COUNT], capture_output=True, text=True, check=True)
    loaded = [name.partition(".")[2] for name in json.loads(done.stdout.splitlines()[-1])]
    assert len(loaded) <= _MOST_MODULES, loaded
    heavy = [name for name in loaded if any(f"{name}.".startswith(f"{room}.") for room in _NOT_FOR_DAG_FILES)]
    assert heavy == []


_COMMANDS = """
import json, sys
import airflow.cli.cli_config
before = set(sys.modules)
from airflow_provider_tallyfy.cli.definition import get_tallyfy_cli_commands
get_tallyfy_cli_commands()
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_the_definition_of_the_commands_loads_two_modules():
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", _COMMANDS], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout.splitlines()[-1])
    known = {"airflow_provider_tallyfy", "airflow_provider_tallyfy.provider_info"}
    known |= {"airflow_provider_tallyfy.connection_extras", "airflow_provider_tallyfy.defaults"}
    assert set(loaded) - known == {"airflow_provider_tallyfy.cli", "airflow_provider_tallyfy.cli.definition"}


_IMPORT_EVERYTHING = """
import airflow, airflow_provider_tallyfy, importlib.util, pkgutil, warnings

is_installed = importlib.util.find_spec
warnings.filterwarnings("error", category=DeprecationWarning, module="airflow_provider_tallyfy")
names = [found.name for found in pkgutil.walk_packages(airflow_provider_tallyfy.__path__, "airflow_provider_tallyfy.")]
for name in names:
    if not name.endswith("__main__") and (is_installed("openlineage") or not name.endswith("lineage.facets")):
        importlib.import_module(name)
try:
    exec("import warnings; warnings.warn('old', DeprecationWarning)", {"__name__": "airflow_provider_tallyfy.any"})
except DeprecationWarning:
    print(len(names))
"""


def test_no_module_imports_what_is_deprecated():
    done = subprocess.run([sys.executable, "-c", _IMPORT_EVERYTHING], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) > 100


_WITHOUT_OPENLINEAGE = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        provider = name.startswith("airflow.providers.openlineage.") and not name.endswith("get_provider_info")
        if name.split(".")[0] == "openlineage" or provider:
            raise ModuleNotFoundError("blocked")

sys.meta_path.insert(0, Block())
from airflow.providers_manager import ProvidersManager
from airflow_provider_tallyfy.operators.tallyfy import TallyfyGetRunOperator
from airflow_provider_tallyfy.sensors.tallyfy import TallyfyTaskSensor

known = ProvidersManager()
kind = "asset" if hasattr(known, "asset_to_openlineage_converters") else "dataset"
print(getattr(known, f"{kind}_to_openlineage_converters")["tallyfy"].__name__)
try:
    TallyfyGetRunOperator(task_id="task", run_id="1").get_openlineage_facets_on_complete(None)
except ModuleNotFoundError:
    print("missing")
"""


def test_without_openlineage_everything_but_its_facets_is_there():
    command = [sys.executable, "-W", "ignore", "-c", _WITHOUT_OPENLINEAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["to_openlineage", "missing"]
