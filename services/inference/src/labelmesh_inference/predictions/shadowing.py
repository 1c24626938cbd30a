"""Shadow calls: another version answers too, unseen by the caller, and the difference is stored.

Nothing here is waited for by a caller or can fail one: what does not fit the queue is counted and left out, and shadows have calls of
their own to the model server, so that one that hangs takes no place of the version that answers.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from labelmesh_chassis.database import Database
from labelmesh_chassis.errors import MeshError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from labelmesh_inference.predictions.asking import Calls, Item, Reader, Readers, policy_of
from labelmesh_inference.predictions.comparing import answer_text, compare
from labelmesh_inference.predictions.geometry import Geometry
from labelmesh_inference.predictions.inputs import size_of
from labelmesh_inference.predictions.results import Result
from labelmesh_inference.registry.registry import ShadowTarget, Target
from labelmesh_inference.serving.batching import Answer, CallKey
from labelmesh_inference.serving.values import Tensor

_log = logging.getLogger(__name__)
_THREADS = 2
_MOST_WAITING = 64
_MOST_WAITING_BYTES = 64 * 1024 * 1024
# Of one call's inputs.
_MOST_OF_A_CALL = 32
_STOP_S = 5.0

_STORE = text("""
INSERT INTO shadows (model, version, shadow_version, prediction_id, agrees, problem, score_difference, latency_us, shadow_latency_us,
    answer, shadow_answer)
VALUES (:model, :version, :shadow_version, :prediction_id, :agrees, :problem, :score_difference, :latency_us, :shadow_latency_us,
    :answer, :shadow_answer)
""")


@dataclass(frozen=True, slots=True)
class _Pair:
    """An input that was answered, and what its shadow is asked."""

    target: Target
    shadow: ShadowTarget
    content: bytes | Tensor
    answer: Answer
    geometry: Geometry | None
    prediction_id: str

    @property
    def size(self) -> int:
        """Bytes that it holds while it waits: a mask's scores are many times its picture."""
        return size_of(self.content) + sum(output.nbytes for output in self.answer.outputs.values())


class Shadows:
    """Asks shadows in the background, between `start` and `stop`. `dropped` is told of each that is left out."""

    def __init__(
        self,
        database: Database,
        calls: Calls,
        readers: Readers,
        *,
        most_waiting: int = _MOST_WAITING,
        dropped: Callable[[], None] | None = None,
    ) -> None:
        self._tell_dropped = dropped
        self._database = database
        self._calls = calls
        self._readers = readers
        self._waiting: queue.Queue[_Pair] = queue.Queue(most_waiting)
        self._lock = threading.Lock()
        self._bytes = 0
        self._dropped = 0
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run, name=f"shadow-{number}", daemon=True) for number in range(_THREADS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends without asking what still waits."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=_STOP_S)

    @property
    def dropped(self) -> int:
        """Shadow calls that were left out because too many waited."""
        return self._dropped

    def offer(self, target: Target, items: Sequence[Item], prediction_ids: Sequence[str]) -> None:
        """Takes what a call was answered, where the call is to be shadowed. Never waits. Of a large batch the first 32 are taken."""
        if target.shadow is None:
            return
        for item, prediction_id in list(zip(items, prediction_ids, strict=True))[:_MOST_OF_A_CALL]:
            if item.answer is None or item.result is None or item.prepared is None:
                continue
            pair = _Pair(target, target.shadow, item.content, item.answer, item.prepared.geometry, prediction_id)
            with self._lock:
                if self._bytes + pair.size <= _MOST_WAITING_BYTES:
                    try:
                        self._waiting.put_nowait(pair)
                        self._bytes += pair.size
                        continue
                    except queue.Full:
                        pass
                self._dropped += 1
                if self._tell_dropped is not None:
                    self._tell_dropped()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                pair = self._waiting.get(timeout=0.2)
            except queue.Empty:
                continue
            with self._lock:
                self._bytes -= pair.size
            try:
                self._shadow(pair)
            except (MeshError, SQLAlchemyError):
                _log.warning("the difference of a shadow call could not be stored", exc_info=True)
            except Exception:
                _log.exception("a shadow call failed by a fault of ours")

    def _shadow(self, pair: _Pair) -> None:
        target, shadow = pair.target, pair.shadow
        reader = self._readers.reader(target.model, target.version, target.manifest, target.signature)
        given = _whole(reader, pair.answer, pair.geometry)
        values: dict[str, object] = {
            "model": target.model,
            "version": pair.answer.version,
            "shadow_version": shadow.version,
            "prediction_id": pair.prediction_id or None,
            "agrees": False,
            "problem": "",
            "score_difference": 0.0,
            "latency_us": int(pair.answer.model_s * 1e6),
            "shadow_latency_us": 0,
            "answer": answer_text(given),
            "shadow_answer": "",
        }
        try:
            shadow_reader = self._readers.reader(target.model, shadow.version, shadow.manifest, shadow.signature)
            preparation, content = shadow_reader.preparation, pair.content
            prepared = preparation.of_tensor(content) if isinstance(content, Tensor) else preparation.of_picture(content)
            key = CallKey(target.model, shadow.version, shadow.manifest.signature)
            # The cap is for what callers ask; of shadows there are as many as threads.
            policy = replace(policy_of(shadow.manifest, size_of(content)), max_calls_in_flight=_THREADS)
            answer = self._calls.call(key, policy, prepared.row, shadow_reader.interpretation.outputs)
            found = _whole(shadow_reader, answer, prepared.geometry)
            compared = compare(given, found)
            values |= {"agrees": compared.agrees, "score_difference": compared.score_difference, "shadow_answer": answer_text(found)}
            values["shadow_latency_us"] = int(answer.model_s * 1e6)
        except MeshError as failure:
            values["problem"] = str(failure)[:1000]
        with self._database.connection() as connection:
            connection.execute(_STORE, values)


def _whole(reader: Reader, answer: Answer, geometry: Geometry | None) -> Result:
    """The answer with as much of it as may be compared: all classes, and whatever is over the manifest's threshold of other things."""
    classes = reader.manifest.output_field == "classes"
    return reader.interpretation.one(answer.outputs, geometry, top_k=1000, threshold=0.0 if classes else None)
