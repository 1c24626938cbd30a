"""Metrics under TensorFlow Serving's names, and the page Prometheus reads (util/prometheus_exporter.cc).

prometheus_client would rename the counters (`..._total`), so that dashboards made for TensorFlow Serving would stay empty.
"""

from __future__ import annotations

import bisect
import re
import threading
from collections.abc import Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exponential(scale: float, growth: float, count: int) -> tuple[float, ...]:
    """The upper bounds of TensorFlow's monitoring::Buckets::Exponential; the last bucket has none."""
    return tuple(scale * growth**power for power in range(count))


# 10 us to about 20 minutes, as every latency of TensorFlow Serving has it.
LATENCY_US = exponential(10, 1.8, 33)
BATCH_SIZES = exponential(1, 2, 14)


class Counter:
    """Counts up (or, as a gauge, is set) per combination of label values."""

    def __init__(self, name: str, labels: Sequence[str] = (), kind: str = "counter") -> None:
        self.name = prometheus_name(name)
        self._kind = kind
        self._labels = labels
        self._values: dict[tuple[str, ...], float] = {}
        self._lock = threading.Lock()

    def add(self, *labels: str, by: float = 1) -> None:
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + by

    def set(self, value: float, *labels: str) -> None:
        with self._lock:
            self._values[labels] = value

    def lines(self) -> list[str]:
        with self._lock:
            values = dict(self._values)
        page = [f"# TYPE {self.name} {self._kind}"]
        page += [f"{self.name}{{{_label_text(self._labels, labels)}}} {_number(value)}" for labels, value in values.items()]
        return page


class Sampler:
    """A histogram per combination of label values."""

    def __init__(self, name: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self.name = prometheus_name(name)
        self._labels = labels
        self._bounds = tuple(bounds)
        self._cells: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}
        self._lock = threading.Lock()

    def add(self, value: float, *labels: str) -> None:
        with self._lock:
            cell = self._cells.get(labels)
            if cell is None:
                cell = self._cells[labels] = ([0] * (len(self._bounds) + 1), [0.0])
            cell[0][bisect.bisect_right(self._bounds, value)] += 1
            cell[1][0] += value

    def lines(self) -> list[str]:
        with self._lock:
            cells = {labels: (list(counts), total[0]) for labels, (counts, total) in self._cells.items()}
        page = [f"# TYPE {self.name} histogram"]
        for labels, (counts, total) in cells.items():
            text = _label_text(self._labels, labels)
            before = f"{self.name}_bucket{{{text}{',' if text else ''}"
            seen = 0
            for bound, count in zip((*self._bounds, None), counts, strict=True):
                seen += count
                page.append(f'{before}le="{"+Inf" if bound is None else f"{bound:g}"}"}} {seen}')
            page += [f"{self.name}_sum{{{text}}} {_number(total)}", f"{self.name}_count{{{text}}} {seen}"]
        return page


class Metrics:
    """All metrics of a server."""

    def __init__(self) -> None:
        serving = "/tensorflow/serving/"
        self.requests = Counter(f"{serving}request_count", ("model_name", "status"))
        self.request_latency = Sampler(f"{serving}request_latency", ("model_name", "API", "entrypoint"), LATENCY_US)
        self.runtime_latency = Sampler(f"{serving}runtime_latency", ("model_name", "API", "runtime"), LATENCY_US)
        self.example_counts = Sampler(f"{serving}request_example_counts", ("model",), exponential(1, 2, 15))
        self.example_total = Counter(f"{serving}request_example_count_total", ("model",))
        self.warmup_latency = Sampler(f"{serving}model_warmup_latency", ("model_path", "status"), LATENCY_US)
        self.load_attempts = Counter("/tensorflow/cc/saved_model/load_attempt_count", ("model_path", "status"))
        self.load_latency = Counter("/tensorflow/cc/saved_model/load_latency", ("model_path",))
        batching = f"{serving}batching_session/"
        self.batch_padding = Sampler(f"{batching}padding_size", ("execution_batch_size",), BATCH_SIZES)
        self.batch_input_size = Sampler(f"{batching}input_batch_size", (), BATCH_SIZES)
        self.batch_size = Sampler(f"{batching}processed_batch_size", (), BATCH_SIZES)
        self.batch_wait = Sampler(f"{batching}queuing_latency", ("thread_pool_name",), LATENCY_US)
        self.batch_runs = Counter(f"{batching}wrapped_run_count")
        # Ours: what is running, for whoever wonders; and the state of every version (numbers of ModelVersionStatus.State).
        self.info = Counter("labelmesh_modelserver_info", ("server", "tensorflow"), "gauge")
        self.version_states = Counter("labelmesh_modelserver_version_state", ("model_name", "version"), "gauge")

    def page(self) -> bytes:
        """The page in Prometheus' text format."""
        lines = [line for metric in vars(self).values() for line in metric.lines()]
        return ("\n".join(lines) + "\n").encode()


def prometheus_name(name: str) -> str:
    """TensorFlow's metric name as Prometheus sees it: every other character is a colon."""
    return re.sub(r"[^a-zA-Z0-9_]", ":", name)


def _label_text(names: Sequence[str], values: Sequence[str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True))


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
