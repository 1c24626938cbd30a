"""What the gateway adds to a call, with the session check and without it, at one call at a time: three ways in turns, in one mesh.

"Without" is the same configuration less the three filters that find out who is calling and the stripping of identity headers, so that
the caller can bring the signed identity along; it exists in this benchmark alone.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import yaml
from labelmesh.extauthz.v1 import check_pb2
from labelmesh.labeling.v1 import projects_pb2, projects_pb2_grpc
from labelmesh_local.gateway import Gateway
from labelmesh_local.ports import free_port

from benchmarks.figures import percentile, spread, table
from benchmarks.mesh import Account, Mesh

RUNS, CALLS = 7, 500
METHOD = "/labelmesh.labeling.v1.ProjectService/GetProject"
_WHO_IS_CALLING = {"envoy.filters.http.jwt_authn", "envoy.filters.http.ext_authz", "envoy.filters.http.local_ratelimit"}


def without_check(configuration: dict[str, Any], port: int, admin_port: int) -> dict[str, Any]:
    """The gateway's configuration on another port and without finding out who is calling."""
    changed = copy.deepcopy(configuration)
    changed["admin"]["address"]["socket_address"]["port_value"] = admin_port
    listener = changed["static_resources"]["listeners"][0]
    changed["static_resources"]["listeners"] = [listener]
    listener["address"]["socket_address"]["port_value"] = port
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    manager.pop("early_header_mutation_extensions", None)
    manager["http_filters"] = [each for each in manager["http_filters"] if each["name"] not in _WHO_IS_CALLING]
    _drop_per_route(manager["route_config"])
    return changed


def _drop_per_route(part: Any) -> None:
    if isinstance(part, dict):
        settings = part.get("typed_per_filter_config")
        if isinstance(settings, dict):
            for name in _WHO_IS_CALLING:
                settings.pop(name, None)
        for value in part.values():
            _drop_per_route(value)
    elif isinstance(part, list):
        for value in part:
            _drop_per_route(value)


def signed_identity(mesh: Mesh, account: Account, method: str = METHOD) -> tuple[tuple[str, str | bytes], ...]:
    """The statement that the session check hands to services, asked for as the gateway asks."""
    request = check_pb2.CheckRequest()
    http = request.attributes.request.http
    http.method, http.path = "POST", method
    http.headers.update({":method": "POST", ":path": method, "content-type": "application/grpc"})
    http.headers.update({key: str(value) for key, value in account.metadata})
    with grpc.insecure_channel(f"127.0.0.1:{mesh.inner_ports()['auth']['grpc']}") as channel:
        check = channel.unary_unary(
            "/envoy.service.auth.v3.Authorization/Check",
            request_serializer=check_pb2.CheckRequest.SerializeToString,
            response_deserializer=check_pb2.CheckResponse.FromString,
        )
        reply = check(request)
    for header in reply.ok_response.headers:
        if header.header.key == "x-labelmesh-identity":
            return (("x-labelmesh-identity", header.header.value),)
    raise SystemExit(f"auth gave no identity: {reply}")


def main() -> str:
    """Runs it and returns Markdown."""
    with tempfile.TemporaryDirectory(prefix="labelmesh-bench-") as folder:
        mesh = Mesh(Path(folder) / "mesh")
        mesh.up()
        rendered = next(mesh.home.rglob("envoy.yaml"))
        port, admin_port = free_port(), free_port()
        configuration = without_check(yaml.safe_load(rendered.read_text()), port, admin_port)
        plain = Gateway(configuration, run_dir=Path(folder) / "plain")
        try:
            plain.start()
            return _measure(mesh, port)
        finally:
            plain.stop()
            mesh.down()


def _measure(mesh: Mesh, plain_port: int) -> str:
    with grpc.insecure_channel(mesh.address) as edge, grpc.insecure_channel(f"127.0.0.1:{plain_port}") as plain:
        direct_address = f"127.0.0.1:{mesh.inner_ports()['labeling']['grpc']}"
        with grpc.insecure_channel(direct_address) as direct:
            admin = mesh.admin(edge)
            request = projects_pb2.GetProjectRequest(project_id=mesh.project(edge, admin))
            ways: dict[str, Callable[[], float]] = {}

            def add(name: str, channel: grpc.Channel, *, own_identity: bool) -> None:
                stub = projects_pb2_grpc.ProjectServiceStub(channel)
                metadata = [admin.metadata]

                def prepare() -> None:
                    metadata[0] = signed_identity(mesh, admin) if own_identity else admin.metadata

                def call() -> float:
                    started = time.perf_counter()
                    stub.GetProject(request, metadata=metadata[0], timeout=10)
                    return (time.perf_counter() - started) * 1000

                ways[name] = call
                before[name] = prepare

            before: dict[str, Callable[[], None]] = {}
            add("straight to the service", direct, own_identity=True)
            add("gateway, no session check", plain, own_identity=True)
            add("gateway with session check", edge, own_identity=False)
            return _in_turns(ways, before)


def _in_turns(ways: dict[str, Callable[[], float]], before: dict[str, Callable[[], None]]) -> str:
    p50: dict[str, list[float]] = {name: [] for name in ways}
    p99: dict[str, list[float]] = {name: [] for name in ways}
    for run in range(RUNS + 1):
        for name, call in ways.items():
            before[name]()
            times = [call() for _ in range(CALLS)]
            if run > 0:  # The first run warms up.
                p50[name].append(percentile(times, 0.5))
                p99[name].append(percentile(times, 0.99))
    straight = "straight to the service"

    def added(figures: dict[str, list[float]], name: str) -> str:
        if name == straight:
            return ""
        return str(spread([with_it - without for with_it, without in zip(figures[name], figures[straight], strict=True)]))

    rows = [[name, spread(p50[name]), added(p50, name), spread(p99[name]), added(p99, name)] for name in ways]
    return table(["way", "p50 ms", "added p50 ms", "p99 ms", "added p99 ms"], rows)


if __name__ == "__main__":
    print(main())
