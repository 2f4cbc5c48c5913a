"""What a repository and a registry show of the package agrees with the package."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from airflow_provider_tallyfy import __version__, get_provider_info

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / ".github").is_dir():
    pytest.skip("this is not a checkout", allow_module_level=True)

URLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
REGISTRY = yaml.safe_load((ROOT / ".airflow-registry.yaml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FILES = [
    *WORKFLOWS,
    *(ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"),
    *(ROOT / name for name in ("pyproject.toml", "SECURITY.md", ".airflow-registry.yaml", "README.md")),
    ROOT / "airflow_provider_tallyfy" / "provider_info.py",
    *(ROOT / "docs").glob("*.md"),
]


def test_all_files_mean_the_same_repository():
    addresses = {
        address
        for path in FILES
        for address in re.findall(r"https://[^/\s]+/[^/\s]+/airflow-provider-tallyfy", path.read_text())
    }
    addresses.discard("https://pypi.org/project/airflow-provider-tallyfy")
    assert addresses == {URLS["Source"]}
    [integration] = get_provider_info()["integrations"]
    assert all(url.startswith(URLS["Source"]) for url in (integration["logo"], *integration["how-to-guide"]))


def test_what_these_addresses_name_is_in_the_repository():
    [integration] = get_provider_info()["integrations"]
    urls = [integration["logo"], *integration["how-to-guide"], REGISTRY["logo"], REGISTRY["docs-url"], *URLS.values()]
    paths = [url.split("/main/")[1] for url in urls if "/main/" in url]
    assert len(paths) == 6
    assert [path for path in paths if not (ROOT / path).is_file()] == []


def test_the_registry_lists_every_operator_sensor_and_hook():
    listed = {entry["module"] for kind in ("operators", "sensors", "hooks", "other") for entry in REGISTRY[kind]}
    public = {
        f"airflow_provider_tallyfy.{module}.{name}"
        for module in ("operators.tallyfy", "operators.bulk", "sensors.tallyfy")
        for name in import_module(f"airflow_provider_tallyfy.{module}").__all__
        if name != "TallyfyBulkOperator"
    }
    assert public <= listed
    for path in listed:
        module, _, name = path.rpartition(".")
        assert getattr(import_module(module), name)


def test_the_changelog_begins_with_this_version():
    [first, *_] = re.findall(r"^## (\S+) - (?:unreleased|\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert first == __version__


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_its_commit_and_says_its_version(path):
    for used in re.findall(r"uses: (.+)", path.read_text()):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_do_nothing_but_what_a_job_says(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        writes = {scope for scope, access in job["permissions"].items() if access == "write"}
        allowed = {"attest": {"id-token", "attestations"}, "publish": {"id-token"}, "page": {"contents"}}
        assert writes == (allowed.get(name, set()) if path.stem == "release" else set()), name


def test_the_targets_that_workflows_make_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    made = {target for path in WORKFLOWS for target in re.findall(r"run: make ([a-z-]+)", path.read_text())}
    ci = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert made | set(ci["jobs"]["make"]["strategy"]["matrix"]["target"]) <= targets


def test_the_same_action_has_the_same_version_everywhere():
    used = {line for path in WORKFLOWS for line in re.findall(r"uses: (.+)", path.read_text())}
    assert len(used) == len({line.split("@")[0] for line in used})
