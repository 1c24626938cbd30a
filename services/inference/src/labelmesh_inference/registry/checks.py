"""What is looked at before a version is registered: from whether it is served to a prediction."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import numpy as np
from labelmesh_chassis.errors import DeadlineExceeded, FailedPrecondition, MeshError, ResourceExhausted, Unavailable
from PIL import Image

from labelmesh_inference.manifest import ClassesOutput, InputKind, KeypointsOutput, MaskOutput, ModelManifest
from labelmesh_inference.predictions.outputs import Interpretation
from labelmesh_inference.predictions.preparation import Preparation, Prepared, input_tensor, shape_text
from labelmesh_inference.predictions.results import Classification, Detections, Poses, RawOutputs, Result, Segmentation
from labelmesh_inference.serving.batching import Answer, BatchPolicy, CallKey, ModelCalls
from labelmesh_inference.serving.values import DataType, ServedVersion, Signature, TensorSpec, VersionState

_TIMEOUT_S = 30.0
_PICTURE_SIDE = 96


class Outcome(IntEnum):
    """What became of a check; the numbers of the contract."""

    PASSED = 1
    FAILED = 2
    NOT_REACHED = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, and for people what was found or what to do."""

    name: str
    outcome: Outcome
    message: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """All checks. Version and signature are there once those checks were passed."""

    checks: tuple[Check, ...]
    version: int
    signature: Signature | None

    @property
    def passed(self) -> bool:
        """Whether all were passed."""
        return all(check.outcome is Outcome.PASSED for check in self.checks)

    @property
    def problem(self) -> str:
        """What the failed check said; empty where none failed."""
        return next((f"{check.name}: {check.message}" for check in self.checks if check.outcome is Outcome.FAILED), "")


class AskedServer(Protocol):
    """What the checks ask the model server."""

    def versions(self, model: str) -> tuple[ServedVersion, ...]: ...

    def signature(self, model: str, version: int | None, name: str = "") -> Signature: ...


def check_model(
    server: AskedServer, calls: ModelCalls, manifest: ModelManifest, version: int, sample: bytes = b"", *, passed_over: int = 0
) -> Checked:
    """Looks at a version, 0 for the newest that can answer other than `passed_over`; `sample` is a JPEG or PNG, else one is made up.

    Raises Unavailable while the model server is away, DeadlineExceeded where it does not say in time what it knows of the model, and
    ResourceExhausted where it is too busy: none of these says anything of the model.
    """
    looked_at = _Checking(server, calls, manifest, version, sample, passed_over)
    steps: list[tuple[str, Callable[[], str]]] = [
        ("served", looked_at.served),
        ("signature", looked_at.has_signature),
        ("input", looked_at.takes_input),
        ("output", looked_at.gives_output),
        ("labels", looked_at.fits_labels),
        ("prediction", looked_at.predicts),
    ]
    checks: list[Check] = []
    for name, step in steps:
        if checks and checks[-1].outcome is not Outcome.PASSED:
            checks.append(Check(name, Outcome.NOT_REACHED))
            continue
        try:
            checks.append(Check(name, Outcome.PASSED, step()))
        except (Unavailable, ResourceExhausted):
            raise
        except MeshError as problem:
            # What it knows of a model a model server says from memory: one that does not in time is not well, whatever the model is.
            if isinstance(problem, DeadlineExceeded) and looked_at.signature is None:
                raise
            checks.append(Check(name, Outcome.FAILED, problem.message))
    return Checked(tuple(checks), looked_at.version, looked_at.signature)


class _Checking:
    """The checks of one version, in order: each stands on what those before it found."""

    def __init__(
        self, server: AskedServer, calls: ModelCalls, manifest: ModelManifest, version: int, sample: bytes, passed_over: int
    ) -> None:
        self.version = version
        self.signature: Signature | None = None
        self._server = server
        self._calls = calls
        self._manifest = manifest
        self._sample = sample
        self._passed_over = passed_over

    def served(self) -> str:
        model = self._manifest.model
        found = self._server.versions(model)
        if not found:
            raise _failed(f"the model server does not know {model}: is it in its configuration, and in its folder?")
        if not self.version:
            self.version = max((one.version for one in found if _answers(one) and one.version != self._passed_over), default=0)
        one = next((one for one in found if one.version == self.version), None)
        if one is None or not _answers(one):
            state = f"is {one.state.value}{': ' + one.message if one.message else ''}" if one is not None else "is not there"
            named = f"version {self.version}" if self.version else "a version to register"
            there = ", ".join(str(one.version) for one in found if _answers(one)) or "none"
            raise _failed(f"{named} {state}; the versions of {model} that can answer are: {there}")
        return f"version {self.version} can answer"

    def has_signature(self) -> str:
        self.signature = self._server.signature(self._manifest.model, self.version, self._manifest.signature)
        inputs, outputs = (", ".join(map(_described, part.values())) for part in (self.signature.inputs, self.signature.outputs))
        return f"{self.signature.name} takes {inputs} and gives {outputs}"

    def takes_input(self) -> str:
        Preparation(self._manifest, self._known_signature)
        return f"{_described(input_tensor(self._manifest, self._known_signature))} takes what the manifest says"

    def gives_output(self) -> str:
        names = Interpretation(self._manifest, self._known_signature).outputs or tuple(self._known_signature.outputs)
        return f"{self._manifest.output_field} from {', '.join(names)}"

    def fits_labels(self) -> str:
        count = self._count_of(None)
        self._check_count(count)
        return self._label_words(count)

    def predicts(self) -> str:
        manifest = self._manifest
        interpretation = Interpretation(manifest, self._known_signature)
        prepared = self._input()
        policy = BatchPolicy(max_batch_size=1, timeout_s=manifest.batching.timeout_s or _TIMEOUT_S)
        key = CallKey(manifest.model, self.version, self._known_signature.name)
        answer = self._calls.call(key, policy, prepared.row, interpretation.outputs)
        self._check_count(self._count_of(answer))
        result = interpretation.one(answer.outputs, prepared.geometry, threshold=0.0)
        return f"{in_words(result)}, in {answer.model_s * 1000:.0f} ms"

    @property
    def _known_signature(self) -> Signature:
        assert self.signature is not None
        return self.signature

    def _count_of(self, answer: Answer | None) -> int | None:
        """How many names the output asks for, by the signature or by an answer; None where that says nothing of it."""
        output = self._manifest.output
        if not isinstance(output, ClassesOutput | KeypointsOutput | MaskOutput):
            return None
        (name,) = Interpretation(self._manifest, self._known_signature).outputs
        if answer is not None:
            shape: tuple[int, ...] | None = answer.outputs[name].shape if name in answer.outputs else None
        else:
            found = self._known_signature.outputs[name].shape
            shape = found[1:] if found is not None else None
        if shape is None:
            return None
        place = {ClassesOutput: -1, KeypointsOutput: -2, MaskOutput: -1}[type(output)]
        if len(shape) < -place or (isinstance(output, MaskOutput) and len(shape) != 3) or shape[place] < 0:
            return None
        return shape[place]

    def _check_count(self, count: int | None) -> None:
        manifest = self._manifest
        if count is None:
            return
        if isinstance(manifest.output, KeypointsOutput):
            if manifest.output.names and len(manifest.output.names) != count:
                raise _failed(f"the manifest names {len(manifest.output.names)} points, and the model gives {count}")
        elif manifest.labels and manifest.first_index + len(manifest.labels) != count:
            last = manifest.first_index + len(manifest.labels) - 1
            raise _failed(
                f"the manifest's labels are for the classes {manifest.first_index} to {last}, and the model gives 0 to {count - 1}"
            )

    def _label_words(self, count: int | None) -> str:
        output = self._manifest.output
        names = output.names if isinstance(output, KeypointsOutput) else self._manifest.labels
        if not names:
            return "no names: numbers are shown"
        return f"{len(names)} names" + ("" if count is None else ", as many as the model has")

    def _input(self) -> Prepared:
        preparation = Preparation(self._manifest, self._known_signature)
        if self._manifest.input.kind is not InputKind.TENSOR:
            return preparation.of_picture(self._sample or made_up_picture(self._manifest.input.width, self._manifest.input.height))
        spec = input_tensor(self._manifest, self._known_signature)
        shape = tuple(max(1, size) for size in (spec.shape or (1,))[1:])
        if spec.data_type is DataType.STRING:
            return Prepared({spec.name: np.full(shape, b"", dtype=object)}, None)
        kind = "uint16" if spec.data_type is DataType.BFLOAT16 else str(spec.data_type)
        return Prepared({spec.name: np.zeros(shape, dtype=kind)}, None)


def in_words(result: Result) -> str:
    """The gist of a result, e.g. "7 (0.91)"."""
    match result:
        case Classification(classes=(best, *_)):
            return f"{best.label} ({best.score:.2f})"
        case Classification():
            return "no class"
        case Detections(detections=found):
            return f"{len(found)} boxes"
        case Poses(poses=found_poses):
            return f"{len(found_poses)} bodies"
        case Segmentation(segments=segments):
            return f"a mask of {len(segments)} classes"
        case RawOutputs(tensors=tensors):
            return ", ".join(f"{name} {shape_text(tensor.shape)}" for name, tensor in tensors)


def made_up_picture(width: int, height: int) -> bytes:
    """A PNG file with all brightnesses and colours in it, of a model's size or a small one."""
    width, height = width or _PICTURE_SIDE, height or _PICTURE_SIDE
    across = np.linspace(0, 255, width, dtype=np.uint8)[None, :].repeat(height, axis=0)
    down = np.linspace(0, 255, height, dtype=np.uint8)[:, None].repeat(width, axis=1)
    file = io.BytesIO()
    Image.fromarray(np.stack([across, down, 255 - across], axis=-1)).save(file, "png")
    return file.getvalue()


def _answers(one: ServedVersion) -> bool:
    return one.state is VersionState.AVAILABLE


def _described(spec: TensorSpec) -> str:
    return f"{spec.name} ({spec.data_type}{'' if spec.shape is None else ' ' + shape_text(spec.shape)})"


def _failed(message: str) -> FailedPrecondition:
    return FailedPrecondition("CHECK_FAILED", message)
