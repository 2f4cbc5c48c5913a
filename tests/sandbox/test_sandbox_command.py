"""An invalid command line fails with one line that says what is wrong."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

from airflow_provider_tallyfy.sandbox import Sandbox, __main__


@pytest.fixture
def complaint(capsys, monkeypatch):
    """Start the sandbox with invalid arguments, and return its message."""
    monkeypatch.setattr(__main__, "_serve", lambda sandbox: pytest.fail("it would have served"))

    def start(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            __main__.main(arguments)
        assert ended.value.code == 2
        return capsys.readouterr().err.splitlines()[-1].partition(": error: ")[2]

    return start


@pytest.mark.parametrize(
    ("seed", "words"),
    [
        (b"{not json", "it is not JSON (Expecting property name"),
        (b"\xff\xfe", "it is not JSON"),
        ([], "it is not an object with templates, tags, runs"),
        ({"run": []}, "it has unknown keys: run. Known: templates, tags, runs"),
        ({"runs": {"name": "x"}}, "its runs are not a list"),
        ({"runs": ["x"]}, "its runs[0] is not an object"),
        ({"tags": ["vip", 5]}, "its tags[1] is not text"),
        ({"runs": [{}, {"bogus": 1}]}, "its runs[1] cannot be added: A run has no field bogus"),
        ({"runs": [{"template": "Nowhere"}]}, "its runs[0] cannot be added: There is no template 'Nowhere'"),
        ({"runs": [{"created_at": "lately"}]}, "its runs[0] cannot be added: Invalid isoformat string: 'lately'"),
        ({"templates": [{"title": 5}]}, "its templates[0] cannot be added: "),
    ],
)
def test_an_invalid_seed_is_refused(complaint, tmp_path, seed, words):
    path = tmp_path / "seed.json"
    path.write_bytes(seed if isinstance(seed, bytes) else json.dumps(seed).encode())
    assert complaint("--port", "0", "--seed", str(path)).startswith(f"--seed {path}: {words}")


def test_a_missing_seed_file_is_refused(complaint, tmp_path):
    path = tmp_path / "seed.json"
    assert complaint("--seed", str(path)) == f"--seed {path}: it cannot be read (No such file or directory)"


@pytest.mark.parametrize("port", ["99999", "-1", "http"])
def test_an_invalid_port_is_refused(complaint, port):
    assert complaint("--port", port) == f"argument --port: {port!r} is not a number from 0 to 65535"


def test_a_port_in_use_is_refused(complaint):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert complaint("--port", str(port)) == f"cannot listen on 127.0.0.1:{port}: Address already in use"


def test_a_host_of_another_machine_is_refused(complaint):
    assert complaint("--host", "192.0.2.1").startswith("cannot listen on 192.0.2.1:8765: ")


def test_the_fixture_refuses_a_seed_with_unknown_keys():
    with pytest.raises(ValueError, match="unknown keys: process"):
        Sandbox(seed={"process": []})


def test_without_what_its_extra_brings_it_says_so_in_one_sentence():
    program = f"import runpy, sys; sys.modules['uvicorn'] = None; runpy.run_module({__main__.__package__!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    sentence = 'The sandbox needs uvicorn: pip install "airflow-provider-tallyfy[sandbox]".\n'
    assert (done.returncode, done.stdout, done.stderr) == (1, "", sentence)
