"""Auth and labeling once more, on the same databases, as they are where services check each other's certificates."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from labelmesh_local.ports import answers, free_ports
from labelmesh_local.process import wait_until

from tests.e2e.edge.mesh import EdgeMesh, Replica
from tests.support.certificates import Authority

_READY_S = 60


class MountedCertificate:
    """A folder as Kubernetes mounts a secret: the files are links into `..data`, a link itself, which is moved when the secret changes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._generation = 0
        folder.mkdir(parents=True)
        for name in ("tls.crt", "tls.key", "ca.crt"):
            (folder / name).symlink_to(Path("..data") / name)
        self.certificate, self.key, self.ca = (folder / name for name in ("tls.crt", "tls.key", "ca.crt"))

    def put(self, authority: Authority, name: str) -> None:
        """Replaces what is there by a new certificate for `name`."""
        self._generation += 1
        fresh = self._folder / f"..{self._generation}"
        certificate, key = authority.issue(name, folder=fresh)
        certificate.rename(fresh / "tls.crt")
        key.rename(fresh / "tls.key")
        (fresh / "ca.crt").write_bytes(authority.ca.read_bytes())
        moved = self._folder / "..data_tmp"
        moved.symlink_to(fresh.name)
        os.replace(moved, self._folder / "..data")


class SecuredServices:
    """Listens between `start` and `stop`. `settings` are what a gateway is told to call them; it names no certificate."""

    def __init__(self, edge: EdgeMesh, folder: Path) -> None:
        self.authority = Authority(folder / "authority")
        ports = free_ports(6)
        auth_ports, labeling_ports = (ports[0], ports[1]), (ports[2], ports[3])
        keys = f"https://127.0.0.1:{auth_ports[1]}/.well-known/jwks.json"
        self._auth = self._replica("auth", folder, auth_ports, edge.auth_environment, "gateway")
        labeling = {**edge.labeling_environment, "LABELMESH_IDENTITY_JWKS_URL": keys}
        self._labeling = self._replica("labeling", folder, labeling_ports, labeling, "gateway,inference,augment")
        nobody = (f"127.0.0.1:{ports[4]}",)
        self.settings: dict[str, Any] = {
            "auth": (f"127.0.0.1:{auth_ports[0]}",),
            "auth_ops": (f"127.0.0.1:{auth_ports[1]}",),
            "labeling": (f"127.0.0.1:{labeling_ports[0]}",),
            "inference": nobody,
            "augment": nobody,
        }

    def _replica(self, name: str, folder: Path, ports: tuple[int, int], environment: dict[str, str], callers: str) -> Replica:
        certificate, key = self.authority.issue(name, addresses=["127.0.0.1"])
        tls = {
            "LABELMESH_TLS_CERTIFICATE": str(certificate),
            "LABELMESH_TLS_PRIVATE_KEY": str(key),
            "LABELMESH_TLS_CA": str(self.authority.ca),
            "LABELMESH_TLS_CALLERS": callers,
        }
        return Replica(name, folder, *ports, {**environment, **tls})

    def mounted(self, folder: Path, *, name: str = "gateway", authority: Authority | None = None) -> MountedCertificate:
        """A certificate for a gateway."""
        mounted = MountedCertificate(folder)
        mounted.put(authority or self.authority, name)
        return mounted

    def told(self, certificate: MountedCertificate) -> dict[str, Any]:
        """Settings of a gateway that calls them with that certificate."""
        return {
            **self.settings,
            "upstream_ca": certificate.ca,
            "upstream_certificate": certificate.certificate,
            "upstream_private_key": certificate.key,
        }

    def start(self) -> None:
        for replica in (self._auth, self._labeling):
            replica.process.start()
        for replica in (self._auth, self._labeling):
            wait_until(replica.process, lambda port=replica.grpc_port: answers(port), timeout=_READY_S)

    def stop(self) -> None:
        for replica in (self._auth, self._labeling):
            replica.process.ask_to_stop()
        for replica in (self._auth, self._labeling):
            replica.process.stop()
