"""Services prove to one another who they are, and go on doing so when their certificates are replaced under way."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_health.v1 import health_pb2, health_pb2_grpc
from labelmesh_chassis.certificates import CertificateFiles
from labelmesh_chassis.errors import MeshError, PermissionDenied, Unavailable
from labelmesh_chassis.identity import JwksKeySource
from labelmesh_chassis.ops import OpsReply, OpsServer
from prometheus_client import CollectorRegistry

from tests.integration.chassis.service import Caller, Service, priorities, settings, until
from tests.support.certificates import Authority

LOOPBACK = ["127.0.0.1"]
Serve = Callable[..., Service]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def serve(authority: Authority) -> Iterator[Serve]:
    """Starts services that have a certificate for `server`."""
    started: list[Service] = []

    def start(does: dict[str, Any] | None = None, **overrides: Any) -> Service:
        certificate, key = authority.issue("server", addresses=LOOPBACK)
        told = settings(tls_certificate=certificate, tls_private_key=key, tls_ca=authority.ca, **overrides)
        started.append(Service(told, **(does or {})))
        return started[-1]

    yield start
    for service in started:
        service.stop()


@pytest.fixture
def call(authority: Authority) -> Iterator[Callable[..., Caller]]:
    """Callers with a certificate that the authority, or another one, has issued."""
    opened: list[Caller] = []

    def make(service: Service, *arguments: Any, by: Authority = authority, **names: Any) -> Caller:
        files = CertificateFiles(*by.issue(*arguments, **names), authority.ca)
        opened.append(Caller(service.target, certificates=files))
        return opened[-1]

    yield make
    for caller in opened:
        caller.close()


def test_a_certified_caller_is_served(serve: Serve, call: Callable[..., Caller]) -> None:
    call(serve(), "anybody").get()


def test_nobody_is_served_without_a_certificate_of_the_authority(
    serve: Serve, call: Callable[..., Caller], authority: Authority, tmp_path: Path
) -> None:
    service = serve()
    other = Authority(tmp_path / "other")
    roots = authority.ca.read_bytes()
    foreign = [path.read_bytes() for path in other.issue("gateway")]
    outdated = [path.read_bytes() for path in authority.issue("old", lifetime=timedelta(seconds=-10))]
    channels = {
        "plaintext": grpc.insecure_channel(service.target),
        "no certificate": grpc.secure_channel(service.target, grpc.ssl_channel_credentials(roots)),
        "another authority's": grpc.secure_channel(service.target, grpc.ssl_channel_credentials(roots, foreign[1], foreign[0])),
        "outdated": grpc.secure_channel(service.target, grpc.ssl_channel_credentials(roots, outdated[1], outdated[0])),
    }
    for kind, channel in channels.items():
        caller = Caller(service.target, channel)
        with pytest.raises(grpc.RpcError) as caught:
            caller.get(timeout=5)
        failed: Any = caught.value
        assert failed.code() is grpc.StatusCode.UNAVAILABLE, kind
        caller.close()


def test_a_server_without_a_certificate_of_the_authority_is_called_by_nobody(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    service = serve()
    own = authority.issue("caller")
    other = Authority(tmp_path / "other")
    caller = Caller(service.target, certificates=CertificateFiles(*own, other.ca))
    with pytest.raises(Unavailable):
        caller.get(timeout=2)
    caller.close()


@pytest.mark.parametrize(
    ("issued", "may"),
    [
        ({"dns_names": ["gateway"]}, True),
        ({"dns_names": ["other", "gateway.labelmesh.svc.cluster.local"]}, True),
        ({"dns_names": ["other"], "uri": "spiffe://labelmesh/inference"}, True),
        ({"dns_names": ["augment.labelmesh.svc"]}, True),
        ({"dns_names": ["augment"]}, False),
        ({"dns_names": ["other"]}, False),
        ({"dns_names": ["my-gateway", "gateway-2.labelmesh.svc", "svc.gateway"]}, False),
        ({"dns_names": [], "uri": "gateway://gateway.labelmesh/gateway"}, False),
        ({"dns_names": [], "uri": "spiffe://labelmesh/inference/more"}, False),
        ({"dns_names": []}, False),
    ],
)
def test_only_callers_with_an_allowed_name_are_served(serve: Serve, call: Callable[..., Caller], issued: dict[str, Any], may: bool) -> None:
    allowed = ("gateway", "spiffe://labelmesh/inference", "augment.labelmesh.svc")
    # The common name says nothing.
    caller = call(serve(tls_callers=allowed), "gateway", **issued)
    if may:
        caller.get()
        return
    with pytest.raises(PermissionDenied) as caught:
        caller.get()
    assert caught.value.reason == "CALLER_NOT_ALLOWED"
    with pytest.raises(PermissionDenied):
        caller.send(iter([priorities()]))
    health: Any = health_pb2_grpc.HealthStub(caller.channel)
    assert health.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING


def test_calls_go_on_over_a_rotation_and_past_the_old_certificates_end(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    brief = timedelta(seconds=5)
    folder = _Mounted(tmp_path / "mounted", authority)
    folder.replace(brief)
    ends = datetime.now(UTC) + brief
    told = settings(
        tls_certificate=folder.certificate, tls_private_key=folder.key, tls_ca=authority.ca, tls_callers=("both",), listen="127.0.0.1:0"
    )
    service = Service(told)
    caller = Caller(service.target, certificates=CertificateFiles(folder.certificate, folder.key, authority.ca))
    caller.get()
    folder.replace(timedelta(hours=1))
    # Calls go on all the while: on the connection that stands, and on new ones.
    while datetime.now(UTC) < ends + timedelta(seconds=1):
        caller.get()
        threading.Event().wait(0.1)
    assert _served_until(service.target, authority, folder) > ends + timedelta(minutes=30)
    port = service.server.port
    service.stop()
    # A new server and, since the old connection is gone, a new connection of a channel that was opened with the old certificate.
    again = Service(told.model_copy(update={"listen": f"127.0.0.1:{port}"}))
    until(lambda: _works(caller))
    caller.close()
    again.stop()


def test_streams_that_began_before_a_rotation_end_as_they_would_have(serve: Serve, authority: Authority, tmp_path: Path) -> None:
    go_on = threading.Event()

    def watch() -> Iterator[int]:
        yield 1
        go_on.wait(30)
        yield 2

    folder = _Mounted(tmp_path / "mounted", authority)
    folder.replace(timedelta(hours=1))
    service = serve({"watch": watch})
    files = CertificateFiles(folder.certificate, folder.key, authority.ca)
    caller = Caller(service.target, certificates=files)
    stream = iter(caller.watch())
    assert next(stream).cursor == "1"
    folder.replace(timedelta(hours=1))
    until(lambda: files.current().number == 2)
    caller.get()
    go_on.set()
    assert [reply.cursor for reply in stream] == ["2"]
    caller.close()
    with pytest.raises(ValueError, match="closed"):
        caller.get()


def test_a_channel_is_closed_although_several_streams_are_in_flight(serve: Serve, call: Callable[..., Caller]) -> None:
    go_on = threading.Event()

    def watch() -> Iterator[int]:
        yield 1
        go_on.wait(30)

    caller = call(serve({"watch": watch}), "gateway")
    streams = [iter(caller.watch()) for _ in range(3)]
    assert [next(stream).cursor for stream in streams] == ["1", "1", "1"]
    closing = threading.Thread(target=caller.close, daemon=True)
    closing.start()
    closing.join(10)
    go_on.set()
    assert not closing.is_alive()


def test_files_that_do_not_fit_together_change_nothing(authority: Authority) -> None:
    certificate, key = authority.issue("server")
    files = CertificateFiles(certificate, key, authority.ca)
    before, old_key = files.current(), key.read_bytes()
    authority.issue("server")
    fresh_key = key.read_bytes()
    # Only the certificate is there yet.
    key.write_bytes(old_key)
    threading.Event().wait(1.2)
    assert files.current() is before
    key.write_bytes(fresh_key)
    until(lambda: files.current().number == 2)
    assert files.current().private_key == fresh_key
    key.write_bytes(b"nonsense")
    threading.Event().wait(1.2)
    assert files.current().private_key == fresh_key


def test_a_service_does_not_start_with_files_that_cannot_be_used(authority: Authority, tmp_path: Path) -> None:
    certificate, _ = authority.issue("server")
    _, another = authority.issue("other")
    missing = tmp_path / "missing.key"
    for key in (another, missing, authority.ca):
        with pytest.raises(SystemExit, match="LABELMESH_TLS_CERTIFICATE"):
            Service(settings(tls_certificate=certificate, tls_private_key=key, tls_ca=authority.ca))


def test_the_ops_port_speaks_https_and_takes_a_new_certificate(authority: Authority) -> None:
    certificate, key = authority.issue("server", addresses=LOOPBACK)
    files = CertificateFiles(certificate, key, authority.ca)
    ops = OpsServer("127.0.0.1", 0, CollectorRegistry(), lambda: True, certificates=files)
    ops.start()
    try:
        trusting = ssl.create_default_context(cafile=authority.ca)
        for number in (1, 2):
            until(partial(_is_number, files, number))
            with urllib.request.urlopen(f"https://127.0.0.1:{ops.port}/healthz", timeout=5, context=trusting) as reply:
                assert reply.read() == b"ready\n"
            served = x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", ops.port)).encode())
            assert served == x509.load_pem_x509_certificate(certificate.read_bytes())
            authority.issue("server", addresses=LOOPBACK)
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(f"https://127.0.0.1:{ops.port}/healthz", timeout=5)
        with pytest.raises(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{ops.port}/healthz", timeout=5)
    finally:
        ops.stop()


def test_keys_of_identities_are_believed_only_from_a_server_of_the_authority(authority: Authority, tmp_path: Path) -> None:
    private_key = ec.generate_private_key(ec.SECP256R1())
    key = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).to_jwk(private_key.public_key(), as_dict=True)
    document = json.dumps({"keys": [{**key, "kid": "k1"}]}).encode()
    files = CertificateFiles(*authority.issue("auth", addresses=LOOPBACK), authority.ca)
    ops = OpsServer("127.0.0.1", 0, CollectorRegistry(), lambda: True, certificates=files)
    ops.add("/keys", lambda: OpsReply(200, "application/json", document))
    ops.start()
    try:
        address = f"https://127.0.0.1:{ops.port}/keys"
        assert JwksKeySource(address, ca=authority.ca).public_key("k1") == private_key.public_key()
        for ca in (None, Authority(tmp_path / "other").ca):
            with pytest.raises(Unavailable):
                JwksKeySource(address, ca=ca).public_key("k1")
        with pytest.raises(Unavailable):
            # The certificate is not for this name.
            JwksKeySource(address.replace("127.0.0.1", "localhost"), ca=authority.ca).public_key("k1")
    finally:
        ops.stop()


class _Mounted:
    """A secret as Kubernetes mounts it: files are links through a link to a folder, which is replaced at one stroke."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        folder.mkdir()
        self._folder = folder
        self._authority = authority
        self._count = 0
        self.certificate, self.key = folder / "tls.crt", folder / "tls.key"
        self.certificate.symlink_to("..data/tls.crt")
        self.key.symlink_to("..data/tls.key")

    def replace(self, lifetime: timedelta) -> None:
        self._count += 1
        issued = self._authority.issue("both", addresses=LOOPBACK, lifetime=lifetime)
        data = self._folder / f"..{self._count}"
        data.mkdir()
        for source, name in zip(issued, ("tls.crt", "tls.key"), strict=True):
            (data / name).write_bytes(source.read_bytes())
        fresh = self._folder / "..fresh"
        fresh.symlink_to(data.name)
        fresh.replace(self._folder / "..data")


def _served_until(target: str, authority: Authority, own: _Mounted) -> datetime:
    """When the certificate ends that a server shows now."""
    host, _, port = target.partition(":")
    context = ssl.create_default_context(cafile=authority.ca)
    context.load_cert_chain(own.certificate, own.key)
    context.set_alpn_protocols(["h2"])
    raw = socket.create_connection((host, int(port)), timeout=5)
    with raw, context.wrap_socket(raw, server_hostname=host) as secured:
        shown = secured.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).not_valid_after_utc


def _is_number(files: CertificateFiles, number: int) -> bool:
    return files.current().number == number


def _works(caller: Caller) -> bool:
    try:
        caller.get(timeout=1)
    except MeshError:
        return False
    return True
