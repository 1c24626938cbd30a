"""Deadlines, memory, threads, metrics, health and reflection."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.integration.modelserver.house import Repository, RunningServer


def _count(page: str, metric: str, model: str) -> int:
    """How many calls of a model a latency metric counted."""
    found = re.search(rf'^:tensorflow:serving:{metric}_count{{model_name="{model}",[^}}]*}} (\d+)$', page, re.MULTILINE)
    return int(found.group(1)) if found else 0


def test_a_call_whose_deadline_passed_while_it_waited_for_a_thread_is_not_computed(repository: Repository) -> None:
    repository.add("slow", 1)
    flags = (f"--model_base_path={repository.root / 'slow'}", "--model_name=slow", "--grpc_max_threads=1")
    with RunningServer(*flags) as server:

        def work() -> None:
            server.predict("slow", timeout_s=60, x=np.ones(1, np.float32), steps=np.asarray(1500, np.int32))

        busy = threading.Thread(target=work)
        busy.start()
        time.sleep(0.2)
        with pytest.raises(grpc.RpcError) as refused:
            server.predict("slow", timeout_s=0.1, x=np.ones(1, np.float32), steps=np.asarray(1500, np.int32))
        assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        busy.join(timeout=60)
        server.predict("slow", x=np.ones(1, np.float32), steps=np.asarray(1, np.int32))
        assert _count(server.metrics(), "runtime_latency", "slow") == 2


def test_a_computation_ends_soon_after_its_deadline(repository: Repository) -> None:
    """Source: prediction_service_impl.cc, enforce_session_run_timeout; here 100,000 steps would take half a minute and more."""
    repository.add("slow", 1)
    flags = (f"--model_base_path={repository.root / 'slow'}", "--model_name=slow", "--grpc_max_threads=1")
    with RunningServer(*flags) as server:
        with pytest.raises(grpc.RpcError) as refused:
            server.predict("slow", timeout_s=0.3, x=np.ones(1, np.float32), steps=np.asarray(100_000, np.int32))
        assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        began = time.monotonic()
        server.predict("slow", timeout_s=20, x=np.ones(1, np.float32), steps=np.asarray(1, np.int32))
        assert time.monotonic() - began < 5, "the one thread must be free again"


def test_running_out_of_memory_is_resource_exhausted_and_the_server_goes_on(repository: Repository) -> None:
    repository.add("hungry", 1)
    with RunningServer(f"--model_base_path={repository.root / 'hungry'}", "--model_name=hungry") as server:
        with pytest.raises(grpc.RpcError) as refused:
            # TensorFlow waits 10 s for memory to come free before it gives up.
            server.predict("hungry", timeout_s=40, x=np.ones(1, np.float32), size=np.asarray(10**14, np.int64))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "OOM when allocating tensor" in (refused.value.details() or "")
        assert server.predict("hungry", x=np.ones(1, np.float32), size=np.asarray(10, np.int64))[1]["y"].tolist() == [1.0]


def test_a_large_message_passes_both_ways(server: RunningServer) -> None:
    image = np.zeros((1, 2000, 2000, 1), np.float32)
    _, outputs = server.predict("mask", timeout_s=30, image=image)
    assert outputs["mask"].shape == (1, 2000, 2000, 2)
    assert outputs["mask"][..., 0].all()


def test_metrics_have_tensorflow_servings_names(repository: Repository) -> None:
    path = repository.add("digits", 1)
    with RunningServer(f"--model_base_path={repository.root / 'digits'}", "--model_name=digits") as server:
        server.digit()
        for model, version in (("digits", 9), ("nobody-knows-me", None)):
            with pytest.raises(grpc.RpcError):
                server.digit(version, model=model)
        page = server.metrics()
        for line in (
            "# TYPE :tensorflow:serving:request_count counter",
            ':tensorflow:serving:request_count{model_name="digits",status="OK"} 1',
            ':tensorflow:serving:request_count{model_name="digits",status="NOT_FOUND"} 1',
            "# TYPE :tensorflow:serving:request_latency histogram",
            ':tensorflow:serving:request_latency_count{model_name="digits",API="Predict",entrypoint="GRPC"} 1',
            ':tensorflow:serving:runtime_latency_count{model_name="digits",API="Predict",runtime="TF1"} 1',
            f':tensorflow:cc:saved_model:load_attempt_count{{model_path="{path}",status="success"}} 1',
            'labelmesh_modelserver_version_state{model_name="digits",version="1"} 30',
        ):
            assert line in page.splitlines()
        assert "nobody-knows-me" not in page, "callers must not fill up the metrics"
        assert 'server="labelmesh-modelserver 0.1.0, not TensorFlow Serving"' in page


def test_metrics_move_and_vanish_as_the_monitoring_file_says(repository: Repository) -> None:
    repository.add("digits", 1)
    file = repository.root / "monitoring"
    base = (f"--model_base_path={repository.root / 'digits'}", f"--monitoring_config_file={file}")
    file.write_text('prometheus_config { enable: true path: "/metrics" }')
    with RunningServer(*base) as server:
        assert ":tensorflow:serving:request_count" in server.metrics("/metrics")
        with pytest.raises(OSError, match="404"):
            server.metrics()
    file.write_text("prometheus_config { enable: false }")
    with RunningServer(*base) as server, pytest.raises(OSError, match="refused"):
        server.metrics("/metrics")


def test_health_and_reflection_are_gRPCs_own(server: RunningServer) -> None:
    health: Any = health_pb2_grpc.HealthStub(server.channel)
    for service in ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"):
        reply = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
    reflection: Any = reflection_pb2_grpc.ServerReflectionStub(server.channel)
    replies = reflection.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5)
    names = {service.name for service in next(replies).list_services_response.service}
    assert {"tensorflow.serving.PredictionService", "tensorflow.serving.ModelService", "grpc.health.v1.Health"} <= names
