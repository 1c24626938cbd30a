"""TensorFlow Serving's exposition: util/prometheus_exporter.cc."""

from __future__ import annotations

import pytest
from labelmesh_modelserver.metrics import Counter, Metrics, Sampler, exponential


def test_a_counter_keeps_tensorflow_servings_name() -> None:
    counter = Counter("/tensorflow/serving/request_count", ("model_name", "status"))
    counter.add("digits", "OK")
    counter.add("digits", "OK")
    counter.add('a"b\\', "NOT_FOUND")
    assert counter.lines() == [
        "# TYPE :tensorflow:serving:request_count counter",
        ':tensorflow:serving:request_count{model_name="digits",status="OK"} 2',
        ':tensorflow:serving:request_count{model_name="a\\"b\\\\",status="NOT_FOUND"} 1',
    ]


def test_a_histogram_counts_up_to_infinity() -> None:
    sampler = Sampler("/x/latency", ("model",), (10, 20))
    for value in (5, 10, 15, 99):
        sampler.add(value, "m")
    assert sampler.lines() == [
        "# TYPE :x:latency histogram",
        ':x:latency_bucket{model="m",le="10"} 1',
        ':x:latency_bucket{model="m",le="20"} 3',
        ':x:latency_bucket{model="m",le="+Inf"} 4',
        ':x:latency_sum{model="m"} 129',
        ':x:latency_count{model="m"} 4',
    ]


def test_latency_buckets_reach_from_10_microseconds_to_20_minutes() -> None:
    bounds = exponential(10, 1.8, 33)
    assert bounds[0] == 10
    assert bounds[-1] / 60e6 == pytest.approx(24.6, abs=0.1)


def test_an_untouched_server_has_a_page() -> None:
    page = Metrics().page().decode()
    assert "# TYPE :tensorflow:serving:request_latency histogram\n" in page
    assert page.endswith("\n")
