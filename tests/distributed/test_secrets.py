"""No secret of a connection stands anywhere that Airflow writes to; runs after all other tests here."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet

from tests.distributed.waits import MODES, MODES_DAG_ID, Waits, are_waiting

BULK_DAG_ID = "system_bulk_archive"

#: Where an error of Tallyfy comes to stand.
REPEATED = {"database dump", "home/logs", "report"}
#: Where the id of a DAG run stands (in Redis in base64), or the template of a wait (in encrypted triggers).
EVERYWHERE = {"database dump", "home/logs", "postgresql", "redis", "trigger"}


def forms(secret: str) -> Iterator[bytes]:
    """Give a secret as text, hexadecimal, and base64 wherever it begins in what was encoded."""
    plain = secret.encode()
    yield plain
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(b"\0" * offset + plain)
            yield encoded[-(-offset * 4 // 3) : -4]  # without what its neighbors have a part in


def holders(secrets, texts) -> list[str]:
    looked_for = {form for secret in secrets for form in forms(secret)}
    return sorted(name for name, text in texts if any(form in text for form in looked_for))


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError, IsADirectoryError):  # servers remove files meanwhile
            yield str(path.relative_to(folder)), path.read_bytes()


def trigger_arguments(cluster) -> Iterator[tuple[str, bytes]]:
    """Give what triggers hold; Airflow encrypts only those of waits that begin in the triggerer."""
    keys = Fernet(cluster.airflow.fernet_key)
    for number, text in cluster.database.query("SELECT id, kwargs FROM trigger"):
        yield f"trigger {number}", text.encode() if text.startswith("{") else keys.decrypt(text)


def places(names: list[str]) -> set[str]:
    """Return the kinds of places that these are."""
    return {re.match(r"home/logs|[a-z]+( dump)?", name)[0] for name in names}


def test_every_form_of_a_secret_is_found():
    secret = "eyJ0eXAiOiJKV1QiLCJhbGciOi"
    for text in (secret.encode(), secret.encode().hex().encode()):
        assert holders([secret], [("a", b"x" + text + b"x")]) == ["a"]
    for before in (b"", b"a", b"ab", b"abc"):
        assert holders([secret], [("a", base64.b64encode(before + secret.encode() + b"after"))]) == ["a"]
    assert holders([secret], [("a", secret[:-1].encode())]) == []


def test_no_secret_stands_anywhere(cluster, record_property):
    airflow, tallyfy = cluster.airflow, cluster.tallyfy
    for connection_id in MODES:
        cluster.connect(connection_id, tallyfy.client_secret, auth="client_credentials")
    airflow.wait_for_dags([MODES_DAG_ID, BULK_DAG_ID])
    run_id = tallyfy.add_run()["id"]
    modes = airflow.trigger(MODES_DAG_ID, {"run_id": run_id})
    tallyfy.add_runs(3, name="Onboarding")
    tallyfy.faults.add("echo_authorization", method="DELETE", status=403, times=None)
    bulk = airflow.trigger(BULK_DAG_ID, {"report": str(cluster.folder / "report.jsonl")})
    waits = Waits(cluster, 50)
    waits.wait_until_looked_at()
    airflow.wait_for_task_states(MODES_DAG_ID, modes, are_waiting)
    assert airflow.wait_for_dag_run(BULK_DAG_ID, bulk) == "failed"
    echo = tallyfy.faults.add("echo_authorization", times=None)
    airflow.wait_for("Tallyfy has repeated what it was sent", lambda: echo.hits >= 10)

    cluster.note_secrets()
    assert any(secret.startswith("application-") for secret in cluster.secrets), "a token was fetched"
    dump = ("database dump", cluster.database.dump().encode())
    texts = [dump, *trigger_arguments(cluster), *files(cluster.folder)]
    assert places(holders(["Bearer ***"], texts)) >= REPEATED, "what Tallyfy repeats is masked"
    assert places(holders([modes, "params.run_ids[0]"], texts)) >= EVERYWHERE, "what is no secret is found"
    assert holders(cluster.secrets, texts) == []
    size = sum(len(text) for _, text in texts) // 2**20
    record_property(
        "looked for secrets in", f"{len(texts)} files and triggers, {size} MB; {len(cluster.secrets)} secrets"
    )

    tallyfy.faults.clear()
    waits.complete()
    waits.wait_for_end()
    assert waits.states() == {("success", 1): 50}
    tallyfy.complete_run(run_id)
    assert airflow.wait_for_dag_run(MODES_DAG_ID, modes) == "success"
