"""Labels per second of eight people through the gateway with authorization on, beside Label Studio and beside the same SQL alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc

from benchmarks.bare_sql import BareSql
from benchmarks.figures import percentile, ratio, spread, table
from benchmarks.images import fill, labeling_dsn
from benchmarks.label_studio import USERS, LabelStudio
from benchmarks.mesh import Annotator, Mesh, cpu_seconds, label_together

RUNS = 5
LABELS_EACH, PEER_LABELS_EACH = 400, 12
IMAGES, PEER_TASKS = 60_000, 10_000
# The database alone is several times as fast as the mesh.
SQL_IMAGES = 200_000


def peer_environment() -> Path:
    """Label Studio's own environment, made once from its lock file."""
    home = Path(os.environ.get("LABELMESH_BENCH_HOME") or Path(__file__).resolve().parent.parent / ".labelmesh" / "bench")
    environment = home / "label-studio"
    done = environment / "complete"
    if not done.exists():
        shutil.rmtree(environment, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        requirements = Path(__file__).resolve().parent / "label-studio.txt"
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(requirements)]
        subprocess.run(pip, check=True)
        done.touch()
    return environment


def main() -> str:
    """Runs it and returns Markdown."""
    environment = peer_environment()
    with tempfile.TemporaryDirectory(prefix="labelmesh-bench-") as folder:
        peer = LabelStudio(Path(folder) / "peer", environment, PEER_TASKS)
        mesh = Mesh(Path(folder) / "mesh")
        try:
            peer.start()
            mesh.up()
            with grpc.insecure_channel(mesh.address) as channel:
                return _measure(mesh, peer, channel)
        finally:
            mesh.down()
            peer.stop()


def _measure(mesh: Mesh, peer: LabelStudio, channel: grpc.Channel) -> str:
    admin = mesh.admin(channel)
    dsn = labeling_dsn(mesh.home, mesh.inner_ports()["postgres"]["sql"])
    project_id = mesh.project(channel, admin)
    fill(dsn, project_id, IMAGES)
    annotators = [Annotator(mesh.address, account, project_id) for account in mesh.annotators(channel, USERS)]
    bare = BareSql(dsn, mesh.project(channel, admin), SQL_IMAGES)
    label_together(annotators, 100)  # Not counted: caches and plans warm up, and repeats become possible.
    peer.label(4)
    bare.run(2)
    ours: list[float] = []
    theirs: list[float] = []
    sql: list[float] = []
    cpu: list[float] = []
    peer_cpu: list[float] = []
    p50: list[float] = []
    p99: list[float] = []
    for _ in range(RUNS):
        for annotator in annotators:
            annotator.seconds.clear()
        before = sum(cpu_seconds(pid) for pid in mesh.pids().values())
        ours.append(label_together(annotators, LABELS_EACH))
        cpu.append((sum(cpu_seconds(pid) for pid in mesh.pids().values()) - before) / (LABELS_EACH * USERS) * 1000)
        seconds = [each for annotator in annotators for each in annotator.seconds]
        p50.append(percentile(seconds, 0.5) * 1000)
        p99.append(percentile(seconds, 0.99) * 1000)
        time.sleep(1)
        before = peer.server_cpu_seconds()
        theirs.append(peer.label(PEER_LABELS_EACH))
        peer_cpu.append((peer.server_cpu_seconds() - before) / (PEER_LABELS_EACH * USERS) * 1000)
        sql.append(bare.run(3))
    for annotator in annotators:
        annotator.close()
    rows = [
        ["labels per second, labelmesh", spread(ours), ""],
        ["labels per second, Label Studio 1.23", spread(theirs), ""],
        ["labelmesh / Label Studio", ratio(ours, theirs), "at least 25"],
        ["labels per second, the same SQL by pgbench", spread(sql), ""],
        ["labelmesh / the same SQL by pgbench", ratio(ours, sql), "reported"],
        ["server CPU ms a label, labelmesh (all parts)", spread(cpu), ""],
        ["server CPU ms a label, Label Studio (all parts)", spread(peer_cpu), ""],
        ["time of a submit that brings the next image, p50 ms", spread(p50), ""],
        ["the same, p99 ms", spread(p99), ""],
    ]
    return table(["figure", "median (range)", "goal"], rows)


if __name__ == "__main__":
    print(main())
