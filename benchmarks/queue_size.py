"""What a longer queue costs: the time of "next" and of "submit" with 1,000,000 images beside 10,000, in one mesh, in turns."""

from __future__ import annotations

import tempfile
import time
import uuid
from pathlib import Path

import grpc
from labelmesh.labeling.v1 import annotations_pb2, annotations_pb2_grpc

from benchmarks.figures import percentile, ratio, spread, table
from benchmarks.images import fill, labeling_dsn
from benchmarks.mesh import Account, Mesh

SMALL, LARGE = 10_000, 1_000_000
RUNS, CALLS = 7, 400


class Timed:
    """One annotator who asks for images and labels them, by separate calls."""

    def __init__(self, channel: grpc.Channel, account: Account, project_id: str) -> None:
        self._stub = annotations_pb2_grpc.AnnotationServiceStub(channel)
        self._metadata = account.metadata
        self._project_id = project_id

    def run(self) -> tuple[float, float]:
        """The medians of "next" and of "submit" over `CALLS` calls each, in ms."""
        nexts, submits = [], []
        for number in range(CALLS):
            started = time.perf_counter()
            lease = self._next()
            between = time.perf_counter()
            self._submit(lease, str(number % 10))
            nexts.append(between - started)
            submits.append(time.perf_counter() - between)
        return percentile(nexts, 0.5) * 1000, percentile(submits, 0.5) * 1000

    def _next(self) -> annotations_pb2.Lease:
        request = annotations_pb2.LeaseImageRequest(request_id=str(uuid.uuid4()), project_id=self._project_id, client_id="benchmark")
        return self._stub.LeaseImage(request, metadata=self._metadata, timeout=30).next.lease

    def _submit(self, lease: annotations_pb2.Lease, class_id: str) -> None:
        request = annotations_pb2.SubmitAnnotationRequest(
            request_id=str(uuid.uuid4()), project_id=self._project_id, lease_id=lease.id, class_id=class_id
        )
        self._stub.SubmitAnnotation(request, metadata=self._metadata, timeout=30)


def main() -> str:
    """Runs it and returns Markdown."""
    with tempfile.TemporaryDirectory(prefix="labelmesh-bench-") as folder:
        mesh = Mesh(Path(folder))
        mesh.up()
        try:
            with grpc.insecure_channel(mesh.address) as channel:
                return _measure(mesh, channel)
        finally:
            mesh.down()


def _measure(mesh: Mesh, channel: grpc.Channel) -> str:
    admin = mesh.admin(channel)
    dsn = labeling_dsn(mesh.home, mesh.inner_ports()["postgres"]["sql"])
    account = mesh.annotators(channel, 1)[0]
    timed = {}
    for count in (SMALL, LARGE):
        project_id = mesh.project(channel, admin)
        fill(dsn, project_id, count)
        timed[count] = Timed(channel, account, project_id)
        timed[count].run()  # Not counted: caches and plans warm up.
    nexts: dict[int, list[float]] = {SMALL: [], LARGE: []}
    submits: dict[int, list[float]] = {SMALL: [], LARGE: []}
    for _ in range(RUNS):
        for count in (SMALL, LARGE):
            next_ms, submit_ms = timed[count].run()
            nexts[count].append(next_ms)
            submits[count].append(submit_ms)
    rows = [
        ["next, p50 ms", spread(nexts[SMALL]), spread(nexts[LARGE]), ratio(nexts[LARGE], nexts[SMALL]), "at most 1.3"],
        ["submit, p50 ms", spread(submits[SMALL]), spread(submits[LARGE]), ratio(submits[LARGE], submits[SMALL]), "at most 1.3"],
    ]
    return table(["call", f"{SMALL:,} images", f"{LARGE:,} images", "ratio", "goal"], rows)


if __name__ == "__main__":
    print(main())
