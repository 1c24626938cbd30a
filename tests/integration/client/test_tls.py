"""Encrypted connections: whom they trust, for calls and for downloads alike."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from labelmesh.labeling.v1 import projects_pb2
from labelmesh_client import ConfigurationError, DownloadError, Unavailable, connect

from tests.unit.client.server import ScriptedServer


@dataclass(frozen=True)
class Certificate:
    """A key and a certificate for 127.0.0.1 that signed itself, as PEM files."""

    key: Path
    certificate: Path


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "labelmesh test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = Certificate(tmp_path / "key.pem", tmp_path / "certificate.pem")
    files.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    files.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return files


@pytest.fixture
def server(certificate: Certificate) -> Iterator[ScriptedServer]:
    def listing(_: object, __: grpc.ServicerContext) -> projects_pb2.ListProjectsResponse:
        return projects_pb2.ListProjectsResponse(projects=[projects_pb2.Project(id="1", display_name="digits")])

    tls = grpc.ssl_server_credentials([(certificate.key.read_bytes(), certificate.certificate.read_bytes())])
    started = ScriptedServer({"ProjectService.ListProjects": listing}, tls)
    yield started
    started.stop()


def test_a_gateway_is_trusted_when_its_authority_is_and_not_otherwise(server: ScriptedServer, certificate: Certificate) -> None:
    address = f"https://127.0.0.1:{server.port}"
    with connect(address, api_key="lmk_a", ca_file=certificate.certificate) as client:
        assert [project.display_name for project in client.projects()] == ["digits"]
    with connect(address, api_key="lmk_a", patience_s=0.5) as client, pytest.raises(Unavailable):
        list(client.projects())
    assert len(server.calls) == 1


def test_plain_text_to_an_encrypted_gateway_is_an_error_and_reaches_no_method(server: ScriptedServer) -> None:
    with connect(f"http://127.0.0.1:{server.port}", api_key="lmk_a", patience_s=0.3) as client, pytest.raises(Unavailable):
        list(client.projects())
    assert server.calls == []


class Picture(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"picture")

    def log_message(self, *_: object) -> None:
        pass


def test_downloads_trust_the_same_authority(certificate: Certificate) -> None:
    web = ThreadingHTTPServer(("127.0.0.1", 0), Picture)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    web.socket = context.wrap_socket(web.socket, server_side=True)
    thread = threading.Thread(target=web.serve_forever, args=(0.05,))
    thread.start()
    address = f"https://127.0.0.1:{web.server_address[1]}"
    try:
        with connect(address, api_key="lmk_a", ca_file=certificate.certificate) as client:
            assert client.download("/objects/a.png") == b"picture"
        with connect(address, api_key="lmk_a") as client, pytest.raises(DownloadError, match="cannot be reached"):
            client.download("/objects/a.png")
    finally:
        web.shutdown()
        thread.join()
        web.server_close()


def test_a_file_that_is_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    for path in (tmp_path / "ca.pem", tmp_path / "none.pem"):
        with pytest.raises(ConfigurationError, match=path.name):
            connect("https://labels.example.org", api_key="lmk_a", ca_file=path)
