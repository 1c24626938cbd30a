"""What a call costs each part in time of the processor, and what parts take of memory: the figures that sizes are reckoned from.

CPU time does not depend on who else uses the machine's cores, so that one core's worth can be reckoned from it: 1,000 / (ms a call).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import psycopg2
from labelmesh.auth.v1 import sessions_pb2, sessions_pb2_grpc
from labelmesh.inference.v1 import predictions_pb2
from labelmesh.labeling.v1 import projects_pb2, projects_pb2_grpc

from benchmarks.augmentation import photographs as picture_files
from benchmarks.augmentation_service import Service as Augmentation
from benchmarks.augmentation_ways import FLIP_AND_COLOUR
from benchmarks.figures import spread, table
from benchmarks.gateway_overhead import signed_identity
from benchmarks.images import fill, labeling_dsn
from benchmarks.mesh import HOUSE, PASSWORD, Annotator, Mesh, cpu_seconds, family, label_together
from benchmarks.prediction_manifests import DIGITS
from benchmarks.predictions import Service as Predictions
from benchmarks.predictions import digits

RUNS = 3
PARTS = ("gateway", "auth", "labeling", "inference", "augment", "postgres", "objects", "modelserver")
_PREDICT = "/labelmesh.inference.v1.PredictionService/PredictStream"
_THREADS = 4


@dataclass(frozen=True)
class Work:
    """What is measured: `do` makes this many calls (or pictures) and returns how many."""

    title: str
    do: Callable[[], int]


def main() -> str:
    """Runs it and returns Markdown."""
    with tempfile.TemporaryDirectory(prefix="labelmesh-bench-") as folder:
        made = Path(folder) / "models"
        made.mkdir()
        subprocess.run([sys.executable, "-m", "benchmarks.prediction_models", str(made)], cwd=HOUSE, check=True, capture_output=True)
        mesh = Mesh(Path(folder) / "mesh")
        mesh.up(models=True)
        try:
            at_rest = {part: _megabytes(pid) for part, pid in mesh.pids().items()}
            mesh.labelmesh("model", "add", str(made / DIGITS))
            with grpc.insecure_channel(mesh.address) as edge:
                costs = _costs(mesh, edge)
                memory = _memory(mesh, at_rest)
        finally:
            mesh.down()
        pictures = _pictures(Path(folder))
    return f"{costs}\n\n{pictures}\n\n{memory}"


def _costs(mesh: Mesh, edge: grpc.Channel) -> str:
    rows = [_row(mesh, work) for work in _works(mesh, edge)]
    header = ["one", "a second here", "ms of the processor, all parts", "most of it: ms", "one core of that part, a second"]
    return table(header, rows)


def _works(mesh: Mesh, edge: grpc.Channel) -> list[Work]:
    admin = mesh.admin(edge)
    project_id = mesh.project(edge, admin)
    ports = mesh.inner_ports()
    fill(labeling_dsn(mesh.home, ports["postgres"]["sql"]), project_id, 40_000)
    annotators = [Annotator(mesh.address, account, project_id) for account in mesh.annotators(edge, 8)]
    sessions = sessions_pb2_grpc.SessionServiceStub(edge)
    # Past the gateway, which lets one address sign in thirty times a minute.
    sign_ins = sessions_pb2_grpc.SessionServiceStub(grpc.insecure_channel(f"127.0.0.1:{ports['auth']['grpc']}"))
    projects = projects_pb2_grpc.ProjectServiceStub(edge)
    straight = projects_pb2_grpc.ProjectServiceStub(grpc.insecure_channel(f"127.0.0.1:{ports['labeling']['grpc']}"))
    predictions = Predictions(grpc.insecure_channel(f"127.0.0.1:{ports['inference']['grpc']}"))
    names = [mesh.annotators(edge, 1)[0].name for _ in range(2)]
    small = digits(4096)

    def sign_in(number: int) -> None:
        request = sessions_pb2.SignInRequest(name=names[number % len(names)], password=PASSWORD)
        sign_ins.SignIn(request, metadata=(("x-labelmesh-client-address", f"10.0.0.{number % 250 + 1}"),), timeout=60)

    def check(_: int) -> None:
        sessions.GetSession(sessions_pb2.GetSessionRequest(), metadata=admin.metadata, timeout=30)

    def read(_: int) -> None:
        projects.ListProjects(projects_pb2.ListProjectsRequest(page_size=20), metadata=admin.metadata, timeout=30)

    def read_straight() -> int:
        identity = signed_identity(mesh, admin, "/labelmesh.labeling.v1.ProjectService/ListProjects")
        request = projects_pb2.ListProjectsRequest(page_size=20)
        return _calls(lambda _: straight.ListProjects(request, metadata=identity, timeout=30), 1000)

    def label() -> int:
        label_together(annotators, 100)
        return 100 * len(annotators)

    def predict() -> int:
        predictions.per_second(small, signed_identity(mesh, admin, _PREDICT), predictions_pb2.STORAGE_RESULT)
        return len(small.inputs)

    return [
        Work("sign-in", lambda: _calls(sign_in, 40)),
        Work("call with its session check, of auth itself (who am I)", lambda: _calls(check, 1000)),
        Work("read of a list, by the gateway", lambda: _calls(read, 1000)),
        Work("the same, straight to labeling", read_straight),
        Work("label, with the next image", label),
        Work("prediction of a small model, by stream, stored", predict),
    ]


def _calls(call: Callable[[int], object], count: int) -> int:
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(call, range(count)))
    return count


def _row(mesh: Mesh, work: Work) -> list[object]:
    rates: list[float] = []
    shares: dict[str, list[float]] = {part: [] for part in PARTS}
    for run in range(RUNS + 1):
        before = {part: cpu_seconds(pid) for part, pid in mesh.pids().items()}
        started = time.perf_counter()
        done = work.do()
        if run > 0:  # The first run warms up.
            rates.append(done / (time.perf_counter() - started))
            for part, pid in mesh.pids().items():
                shares[part].append((cpu_seconds(pid) - before[part]) / done * 1000)
    whole = [sum(figures[run] for figures in shares.values() if figures) for run in range(RUNS)]
    most = max(PARTS, key=lambda part: sum(shares[part]))
    others = ", ".join(f"{part} {sum(shares[part]) / RUNS:.2g}" for part in _by_cost(shares)[:4])
    return [work.title, spread(rates), spread(whole), others, f"{most}: {spread([1000 / each for each in shares[most]])}"]


def _by_cost(shares: dict[str, list[float]]) -> list[str]:
    return [part for part in sorted(PARTS, key=lambda part: -sum(shares[part])) if sum(shares[part]) > 0]


def _pictures(folder: Path) -> str:
    files = folder / "pictures"
    picture_files(files, 32)
    service = Augmentation(folder / "augmenting", 1)
    try:
        rounds = [service.round(_contents(files), FLIP_AND_COLOUR, seed) for seed in range(RUNS + 1)][1:]
    finally:
        service.stop()
    rows = [
        ["pictures of 512 x 512 a second, one worker", spread([each.per_second for each in rounds])],
        ["the same a second of the processor, client included", spread([each.per_cpu_second for each in rounds])],
    ]
    return table(["augmentation, by stream", "median (range)"], rows)


def _contents(folder: Path) -> Sequence[bytes]:
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def _memory(mesh: Mesh, at_rest: dict[str, float]) -> str:
    rows: list[list[object]] = []
    for part, pid in mesh.pids().items():
        rows.append([part, f"{at_rest[part]:.0f}", f"{_megabytes(pid):.0f}"])
    connection = psycopg2.connect(labeling_dsn(mesh.home, mesh.inner_ports()["postgres"]["sql"]))
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT datname, count(*) FROM pg_stat_activity WHERE datname IS NOT NULL GROUP BY 1 ORDER BY 1")
        opened = ", ".join(f"{name} {count}" for name, count in cursor.fetchall())
    connection.close()
    text = table(["memory of a process and its children, MB", "at rest", "after all of that"], rows)
    return f"{text}\n\nConnections to PostgreSQL after all of that, by database: {opened}."


def _megabytes(pid: int) -> float:
    """Of a process and its children, shared pages by share."""
    kilobytes = 0
    for each in family(pid):
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kilobytes / 1000


if __name__ == "__main__":
    print(main())
