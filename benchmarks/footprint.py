"""Memory and import time of the inference service, as the local mesh runs it, beside a service that imports TensorFlow for its client."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc
from labelmesh.inference.v1 import predictions_pb2

from benchmarks.figures import ratio, spread, table
from benchmarks.gateway_overhead import signed_identity
from benchmarks.mesh import HOUSE, Mesh
from benchmarks.prediction_manifests import DIGITS, JPEG
from benchmarks.predictions import Service, digits, photographs

RUNS = 7
_TIMED = "import time; began = time.perf_counter(); import {module}; print(time.perf_counter() - began)"
_METHOD = "/labelmesh.inference.v1.PredictionService/PredictStream"


def import_seconds(module: str) -> float:
    done = subprocess.run([sys.executable, "-c", _TIMED.format(module=module)], capture_output=True, text=True, check=True, cwd=HOUSE)
    return float(done.stdout)


def resident_mb(pid: int) -> float:
    """In MB of 1,000,000 bytes."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1.024 / 1000 if found else 0.0


def main() -> str:
    """Runs it and returns Markdown."""
    ours, theirs, files = [], [], []
    for run in range(RUNS + 1):
        pair = import_seconds("labelmesh_inference.__main__"), import_seconds("tensorflow_serving.apis.prediction_service_pb2_grpc")
        if run > 0:  # The first run fills the file cache.
            ours.append(pair[0])
            theirs.append(pair[1])
    with tempfile.TemporaryDirectory(prefix="labelmesh-bench-") as folder:
        made = Path(folder) / "models"
        made.mkdir()
        subprocess.run([sys.executable, "-m", "benchmarks.prediction_models", str(made)], cwd=HOUSE, check=True, capture_output=True)
        mesh = Mesh(Path(folder) / "mesh")
        started, worked = [], []
        for run in range(3):
            mesh.up(models=True)
            try:
                started.append(resident_mb(mesh.pids()["inference"]))
                if run == 0:
                    for name in (DIGITS, JPEG):
                        mesh.labelmesh("model", "add", str(made / name))
                _work(mesh)
                worked.append(resident_mb(mesh.pids()["inference"]))
                files.append(resident_mb(mesh.pids()["labeling"]))
            finally:
                mesh.down()
    rows = [
        ["import of the inference service, s", spread(ours), "under 0.6"],
        ["import of tensorflow_serving.apis, s", spread(theirs), ""],
        ["the first / the second", ratio(ours, theirs), ""],
        ["resident MB once started", spread(started), "under 120"],
        ["resident MB after 4,096 tensors and 64 JPEG files", spread(worked), "under 120"],
        ["for comparison: labeling, MB once started", spread(files), ""],
    ]
    return table(["figure", "median (range)", "goal"], rows)


def _work(mesh: Mesh) -> None:
    address = f"127.0.0.1:{mesh.inner_ports()['inference']['grpc']}"
    with grpc.insecure_channel(mesh.address) as edge, grpc.insecure_channel(address) as direct:
        admin = mesh.admin(edge)
        service = Service(direct)
        for work in (digits(4096), photographs(64)):
            service.per_second(work, signed_identity(mesh, admin, _METHOD), predictions_pb2.STORAGE_RESULT)


if __name__ == "__main__":
    print(main())
