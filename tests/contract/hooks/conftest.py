from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.contract.clients import CLIENTS, AsyncClient, Naps, SyncClient
from tests.contract.hooks.wire import answer, wire


@pytest.fixture(params=CLIENTS)
def client(request, tallyfy) -> Iterator[SyncClient | AsyncClient]:
    """Each driver in turn, connected to the sandbox."""
    client = CLIENTS[request.param]()
    yield client
    client.close()


@pytest.fixture
def naps(monkeypatch) -> Naps:
    """Replace the pauses of clients."""
    return Naps().install(monkeypatch)


@pytest.fixture
def logged(caplog, capfd) -> Callable[[], str]:
    """Everything that was logged or printed so far, at any level; Airflow 3 logs past Python's own logging."""
    caplog.set_level(0)

    def text() -> str:
        printed = capfd.readouterr()
        return printed.out + printed.err + caplog.text

    return text


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> str:
    """A self-signed certificate of 127.0.0.1, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, today, today + timedelta(days=1))
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = builder.add_extension(x509.BasicConstraints(True, None), True).add_extension(here, False)
    made = builder.sign(key, hashes.SHA256())
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    with path.open("ab") as file:
        file.write(key.private_bytes(serialization.Encoding.PEM, *plain))
    return str(path)


@pytest.fixture
def tls(certificate) -> Callable[[socket.socket], socket.socket]:
    """Wraps a server's side of a connection in TLS, with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return lambda raw: context.wrap_socket(raw, server_side=True)


@pytest.fixture
def tls_server(tls):
    user = answer(b'{"data": {"id": 7}}')
    with wire(lambda connection: connection.sendall(user), wrap=tls) as port:
        yield f"https://127.0.0.1:{port}"
