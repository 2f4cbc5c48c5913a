"""What a release consists of: the wheel, the sdist, and the README as the package index shows it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

pytest.importorskip("hatchling", reason="releases are built with the newest Airflow's tools")
ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "airflow_provider_tallyfy").is_dir():
    pytest.skip("the package's source is not here", allow_module_level=True)


def build(tree: Path, into: Path) -> tuple[Path, Path]:
    subprocess.run([sys.executable, "-m", "hatchling", "build", f"--directory={into}"], cwd=tree, check=True)
    [wheel], [sdist] = into.glob("*.whl"), into.glob("*.tar.gz")
    return wheel, sdist


def digests(files: tuple[Path, Path]) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def unpacked(dist, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(dist[1]) as sdist:
        sdist.extractall(folder, filter="data")
    [tree] = folder.iterdir()
    return tree


@pytest.fixture(scope="module")
def metadata(dist):
    with zipfile.ZipFile(dist[0]) as wheel:
        [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_string(wheel.read(name).decode())


def test_another_tree_with_other_times_and_permissions_gives_the_same_bytes(dist, tmp_path):
    tree = tmp_path / "elsewhere"
    ignored = shutil.ignore_patterns(".venv*", ".nox", ".demo", ".git", "dist", "_build", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, tree, ignore=ignored, copy_function=shutil.copyfile)
    for path in tree.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700 if path.is_dir() else 0o600)
    assert digests(build(tree, tmp_path / "dist")) == digests(dist)


def test_the_sdist_gives_the_same_wheel_and_itself(dist, unpacked, tmp_path):
    assert digests(build(unpacked, tmp_path / "dist")) == digests(dist)


def test_the_wheel_has_the_package_and_the_example_dags_and_nothing_else(dist):
    with zipfile.ZipFile(dist[0]) as wheel:
        files = {name for name in wheel.namelist() if ".dist-info/" not in name}
    examples = {f"airflow_provider_tallyfy/{path.relative_to(ROOT)}" for path in ROOT.glob("example_dags/*.*")}
    assert examples <= files
    assert {f"airflow_provider_tallyfy/{name}" for name in ("py.typed", "provider_info.py")} <= files
    assert {name.split("/")[0] for name in files} == {"airflow_provider_tallyfy"}


def test_the_tests_of_the_sdist_find_all_they_import(unpacked):
    pytest_here = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider", "tests/system"]
    done = subprocess.run(pytest_here, cwd=unpacked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_readme_of_the_index_has_no_relative_link_and_nothing_that_needs_a_checkout(metadata):
    readme = metadata.get_payload()
    assert readme.startswith("# Tallyfy for Apache Airflow\n")
    links = re.findall(r"\]\(([^)]+)\)", readme)
    assert [link for link in links if not link.startswith("https://")] == []
    assert f"/raw/v{metadata['Version']}/docs/images/" in readme
    assert "`pip install airflow-provider-tallyfy`.\n" in readme
    assert not re.search(r"\bmake [a-z]", readme)
    assert "<!--" not in readme


def test_what_the_index_links_from_the_repository_is_there(metadata):
    for link in re.findall(r"/(?:raw|blob)/[^/]+/([^)#\s]+)", metadata.get_payload()):
        assert (ROOT / link).exists(), link
