"""TensorFlow Serving as this service knows it: models answer, say what they take and give, and which versions are served."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from labelmesh_chassis.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    MeshError,
    NotFound,
    ResourceExhausted,
    Unavailable,
    UnknownError,
)

from labelmesh_inference.serving import wire
from labelmesh_inference.serving.channel import MAX_MESSAGE_BYTES, RENEW_S, OnEnd, ServingChannel
from labelmesh_inference.serving.values import Array, Reply, ServedVersion, Signature, Tensor

DEFAULT_SIGNATURE = "serving_default"
# For questions about models, which the model server answers from memory.
_STATUS_TIMEOUT_S = 3.0
_RETRY_AFTER_S = 1.0


class ModelServer:
    """The model server behind `target` (see `ServingChannel`). All methods block; threads share it.

    Errors: Unavailable (MODEL_SERVER_UNAVAILABLE, with a time to retry after), DeadlineExceeded (MODEL_TOO_SLOW), NotFound
    (MODEL_NOT_SERVED, VERSION_NOT_SERVED), InvalidArgument (INPUT_REFUSED, with the server's text), ResourceExhausted (MODEL_BUSY: its
    queue is full; MODEL_OUT_OF_MEMORY; MESSAGE_TOO_LARGE), FailedPrecondition (MODEL_FAILED, SIGNATURE_NOT_FOUND,
    MODEL_REPLY_UNREADABLE).
    """

    def __init__(
        self,
        target: str,
        *,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        silence_s: float = 6,
        renew_s: float = RENEW_S,
        states_kept_s: float = 1,
        on_end: OnEnd | None = None,
    ) -> None:
        self._channel = ServingChannel(target, max_message_bytes=max_message_bytes, silence_s=silence_s, renew_s=renew_s, on_end=on_end)
        self._states_kept_s = states_kept_s
        self._states: dict[str, tuple[float, tuple[ServedVersion, ...]]] = {}
        self._states_lock = threading.Lock()

    def predict(
        self,
        model: str,
        version: int | None,
        signature: str,
        inputs: Mapping[str, Tensor | Array],
        *,
        outputs: Sequence[str] = (),
        timeout_s: float,
    ) -> Reply:
        """The model's answer, in at most `timeout_s` seconds or what the call being served has left. Without a version the newest that is
        served answers; without `outputs` all of them come."""
        request = wire.predict_request(model, version, signature or DEFAULT_SIGNATURE, inputs, outputs)
        try:
            reply = self._channel.call(wire.PREDICT, request, timeout_s=timeout_s)
        except MeshError as failure:
            raise explained(failure, model, version) from failure
        return wire.read_reply(reply, asked_version=version)

    def versions(self, model: str) -> tuple[ServedVersion, ...]:
        """Every version that the server has or had, newest first; none where it does not know the model."""
        try:
            reply = self._channel.call(wire.GET_MODEL_STATUS, wire.status_request(model), timeout_s=_STATUS_TIMEOUT_S)
        except NotFound:
            return ()
        except MeshError as failure:
            raise explained(failure, model, None) from failure
        return wire.read_status(reply)

    def states(self, model: str) -> tuple[ServedVersion, ...]:
        """`versions` as of at most `states_kept_s` ago."""
        with self._states_lock:
            kept = self._states.get(model)
        if kept is not None and time.monotonic() - kept[0] < self._states_kept_s:
            return kept[1]
        found = self.versions(model)
        with self._states_lock:
            self._states[model] = (time.monotonic(), found)
        return found

    def signature(self, model: str, version: int | None, name: str = "") -> Signature:
        """What a version takes and gives; FailedPrecondition (SIGNATURE_NOT_FOUND) says which signatures there are."""
        wanted = name or DEFAULT_SIGNATURE
        signatures = self.signatures(model, version)
        if wanted not in signatures:
            there = ", ".join(sorted(signatures)) or "none"
            raise FailedPrecondition("SIGNATURE_NOT_FOUND", f"{model} has no signature {wanted}; there are: {there}")
        return signatures[wanted]

    def signatures(self, model: str, version: int | None) -> dict[str, Signature]:
        """All signatures of a version, by name."""
        try:
            reply = self._channel.call(wire.GET_MODEL_METADATA, wire.metadata_request(model, version), timeout_s=_STATUS_TIMEOUT_S)
        except MeshError as failure:
            raise explained(failure, model, version) from failure
        return wire.read_signatures(reply)

    def is_up(self) -> bool:
        """Whether it answers within a second, whatever it serves."""
        try:
            self._channel.call(wire.GET_MODEL_STATUS, wire.status_request("labelmesh"), timeout_s=1)
        except (NotFound, InvalidArgument):
            return True
        except MeshError:
            return False
        return True

    def close(self) -> None:
        """Ends calls in flight and refuses new ones."""
        self._channel.close()


def explained(failure: MeshError, model: str, version: int | None) -> MeshError:
    """TensorFlow Serving's status with this service's reason. Its texts are looked at only where its codes mean several things."""
    text = failure.message
    named = model if version is None else f"{model} version {version}"
    if isinstance(failure, NotFound):
        if version is None:
            return NotFound("MODEL_NOT_SERVED", f"the model server has no version of {model} that answers")
        return NotFound("VERSION_NOT_SERVED", f"the model server does not serve {named} now")
    if isinstance(failure, DeadlineExceeded):
        return DeadlineExceeded("MODEL_TOO_SLOW", f"{named} did not answer in time")
    if isinstance(failure, Unavailable):
        if "queue" in text and "full" in text:
            return ResourceExhausted(
                "MODEL_BUSY", f"the model server has too many calls waiting for {named}; try again", retry_after=_RETRY_AFTER_S
            )
        return Unavailable(
            "MODEL_SERVER_UNAVAILABLE", "the model server does not answer; try again in a moment", retry_after=_RETRY_AFTER_S
        )
    if isinstance(failure, ResourceExhausted):
        if "larger than max" in text:
            return ResourceExhausted("MESSAGE_TOO_LARGE", f"input or output of {named} is larger than a message may be: {text}")
        return ResourceExhausted(
            "MODEL_OUT_OF_MEMORY", f"the model server has no memory for this call to {named}: {text}", retry_after=_RETRY_AFTER_S
        )
    if isinstance(failure, InvalidArgument):
        return InvalidArgument("INPUT_REFUSED", f"{named} refused the input: {text}")
    if isinstance(failure, FailedPrecondition) and "signature" in text.lower():
        return FailedPrecondition("SIGNATURE_NOT_FOUND", f"{named}: {text}")
    if isinstance(failure, UnknownError) and failure.status_code.name == "CANCELLED":
        return Unavailable(
            "MODEL_SERVER_UNAVAILABLE", "the model server was stopped meanwhile; try again in a moment", retry_after=_RETRY_AFTER_S
        )
    if isinstance(failure, UnknownError) and failure.status_code.name == "UNIMPLEMENTED":
        return FailedPrecondition(
            "NOT_A_MODEL_SERVER", "what answers at the model server's address does not speak TensorFlow Serving's API"
        )
    return FailedPrecondition("MODEL_FAILED", f"{named} failed: {text}")
