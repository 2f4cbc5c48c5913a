"""
The tests on every supported Airflow, with the package installed from its wheel, and what a release consists of.

``make test-matrix`` runs the tests, ``make dist`` builds a release; ``nox --list`` names all sessions.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import nox

nox.needs_version = ">=2026.4"
nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.sessions = ["test", "lowest"]

ROOT = Path(__file__).parent
INSTALLED = """
import airflow, airflow_provider_tallyfy as installed
assert airflow.__version__ == "{release}", airflow.__version__
assert "site-packages" in installed.__file__, installed.__file__
"""


@dataclass(frozen=True)
class Airflow:
    """
    A supported line of Airflow.

    :param release: its newest release.
    :param day: of the release. The constraints are the newest versions of that day: with later ones of what Airflow
        itself depends on some releases break.
    :param pythons: the oldest and the newest that this Airflow and this package support, and others worth a run.
    :param later: what has to be newer than that day.
    """

    release: str
    day: str
    pythons: tuple[str, ...]
    later: tuple[str, ...] = ()


AIRFLOWS = {
    "2.11": Airflow("2.11.2", "2026-03-14", ("3.11", "3.12")),
    "3.0": Airflow("3.0.6", "2025-08-29", ("3.11", "3.12"), ("apache-airflow-providers-common-compat", "urllib3")),
    "3.1": Airflow("3.1.8", "2026-03-11", ("3.11", "3.13")),
    "3.2": Airflow("3.2.2", "2026-05-29", ("3.11", "3.13")),
    "3.3": Airflow("3.3.2", "2026-09-17", ("3.11", "3.13", "3.14")),
}
#: By this day what may be newer was there.
LATER = "2026-03-14"


@nox.session
@nox.parametrize(
    "python,airflow",
    [nox.param(python, line, id=f"{line}-python{python}") for line, of in AIRFLOWS.items() for python in of.pythons],
)
def test(session: nox.Session, airflow: str) -> None:
    """Run the tests, or those that are named, on a line of Airflow and a Python."""
    run_tests(session, f"airflow-{airflow}", AIRFLOWS[airflow].release)


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """Run them with the lowest versions of everything that the package names."""
    run_tests(session, "lowest", "2.11.0")


@nox.session(python="3.11")
def dist(session: nox.Session) -> None:
    """Build a release into dist/, check it, and try it where nothing else is; a tag demands that all is set for it."""
    files = ROOT / "dist"
    shutil.rmtree(files, ignore_errors=True)
    session.install("--constraint=constraints/newest.txt", "--group=dist")
    session.run("hatchling", "build", f"--directory={files}")
    [wheel], [sdist] = files.glob("*.whl"), files.glob("*.tar.gz")
    session.run("twine", "check", "--strict", str(wheel), str(sdist))
    version = wheel.name.split("-")[1]
    for tag in session.posargs:
        demand_ready(session, tag, version)
    empty = Path(session.create_tmp(), "empty").resolve()
    python = str(empty / "bin" / "python")
    session.run("uv", "venv", "--quiet", "--clear", f"--python={session.python}", str(empty))
    installed = ["--constraint=constraints/newest.txt", str(wheel)]
    session.run("uv", "pip", "install", "--quiet", f"--python={python}", *installed)
    session.run("uv", "pip", "check", f"--python={python}")
    described = empty / "pyproject.toml"  # the SBOM's tool reads no version from elsewhere
    written = (ROOT / "pyproject.toml").read_text()
    described.write_text(written.replace('dynamic = ["readme", "version"]', f'version = "{version}"'))
    sbom = [f"--output-file={files}/airflow-provider-tallyfy.cdx.json", "--output-reproducible"]
    session.run("cyclonedx-py", "environment", f"--pyproject={described}", *sbom, python)
    session.run("uv", "pip", "uninstall", "--quiet", f"--python={python}", "uvicorn")  # which Airflow 3 brings
    session.chdir(empty)
    session.run(python, str(ROOT / "tests" / "packaging" / "try_installed.py"), version, external=True)


@nox.session(python=False)
def constraints(session: nox.Session) -> None:
    """Resolve constraints/ anew; those of no day are the newest there are."""
    for old in (ROOT / "constraints").iterdir():
        old.unlink()
    resolve(session, "newest", "--group=dev")
    resolve(session, "airflow-3.3-distributed", "--group=distributed")
    # the day of Airflow 2.11.0
    oldest = [
        "--exclude-newer=2025-05-20",
        *newer("apache-airflow-providers-common-compat", "urllib3"),
    ]
    resolve(session, "lowest", "--resolution=lowest-direct", *oldest)
    resolve(session, "lowest", "--group=test", *oldest)  # the tools beside what stands there
    for line, of in AIRFLOWS.items():
        pinned = f"--upgrade-package=apache-airflow=={of.release}"
        resolve(session, f"airflow-{line}", "--group=test", pinned, f"--exclude-newer={of.day}", *newer(*of.later))


def run_tests(session: nox.Session, constraints: str, release: str) -> None:
    """Install the wheel under constraints, and run the tests where the package's source is not."""
    wheels = Path(session.create_tmp(), "wheels")
    shutil.rmtree(wheels, ignore_errors=True)
    session.run("uv", "build", "--quiet", "--wheel", f"--out-dir={wheels}")
    (wheel,) = wheels.glob("*.whl")
    session.install("--constraint", f"constraints/{constraints}.txt", "--group=test", f"{wheel}[sandbox]")
    session.run("uv", "pip", "check")
    tree = wheels.with_name("tree")
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "__pycache__", "airflow_provider_tallyfy"))
    session.chdir(tree)
    session.run("python", "-c", INSTALLED.format(release=release))
    session.run("pytest", "--numprocesses=2", "--dist=loadfile", *(session.posargs or ["-m", "not system"]))


def newer(*names: str) -> list[str]:
    """Let packages be newer than the day."""
    return [f"--exclude-newer-package={name}={LATER}" for name in names]


def demand_ready(session: nox.Session, tag: str, version: str) -> None:
    """Stop unless the release is one: its tag is its version, the changelog has its day, the addresses are real."""
    if tag != f"v{version}":
        session.error(f"The tag is {tag}, but the package is {version}.")
    dated = rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$"
    if not re.search(dated, (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE):
        session.error(f"CHANGELOG.md does not say on which day {version} is released.")
    if "github.invalid/OWNER" in (ROOT / "pyproject.toml").read_text():
        session.error("The repository's address is not set: see CONTRIBUTING.md.")


def resolve(session: nox.Session, name: str, *options: str) -> None:
    """Write exact versions, without the addresses they were found at."""
    plain = ["--quiet", "--universal", "--no-header", "--no-annotate", "--no-emit-index-url", "--python-version=3.11"]
    written = ["--extra=sandbox", f"--output-file=constraints/{name}.txt"]
    session.run("uv", "pip", "compile", *plain, *written, *options, "pyproject.toml")
