"""Augmenting a folder: every picture with its labels, several times, into another folder; resumed where it was stopped."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labelmesh_client.augmentations import Answer, Augmentations, Augmented, Sample, StreamSample
from labelmesh_client.augmenting.annotations import Context
from labelmesh_client.augmenting.coco import Coco
from labelmesh_client.augmenting.headers import PictureSize, read_size
from labelmesh_client.augmenting.journal import Journal, OutFolder
from labelmesh_client.augmenting.names import NamePattern, Stems, ending_of
from labelmesh_client.augmenting.results import write_results
from labelmesh_client.augmenting.sources import Problem, SourceFile, SourceFolder
from labelmesh_client.errors import (
    ConfigurationError,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    LabelmeshError,
    OutOfRange,
    SourceError,
)
from labelmesh_client.picturelabels import PictureLabels
from labelmesh_client.pipelines import Pipeline

Json = dict[str, Any]

#: Copies of one picture that are asked for at once.
_COPIES_AT_ONCE = 50
_PERMANENT_HERE = frozenset({"EMPTY", "TOO_LARGE", "LABEL_INVALID", "NAME_INVALID"})
#: Of a file's name, in bytes, as file systems have it.
_LONGEST_NAME = 255
_LONGEST_ENDING = ".jpeg"
#: How often further pictures that are no good are replaced by others.
_MOST_ROUNDS = 20
_MOST_RESULTS = 100_000_000


@dataclass(frozen=True)
class Settings:
    """What a run makes. `further` is how many other pictures of the folder the pipeline mixes in."""

    pipeline: Pipeline
    seed: int
    copies: int
    pattern: NamePattern
    originals: bool = False
    further: int = 0

    def to_json(self) -> Json:
        """What makes a run another one when it changes, by what people call it."""
        return {
            "pipeline": self.pipeline.to_json(),
            "seed": self.seed,
            "number of copies": self.copies,
            "name pattern": self.pattern.text,
            "choice of originals": self.originals,
        }


@dataclass(frozen=True)
class Done:
    """A result that has its file now; `size` is its share of the source's bytes."""

    name: str
    size: int


@dataclass(frozen=True)
class Refused:
    """A result that cannot be; `final` where trying again would not help."""

    problem: Problem
    size: int
    final: bool


Event = Done | Refused


class FolderRun:
    """What is to be done, and doing it. `begin` first, then `events` to their end, then `finish`."""

    def __init__(self, settings: Settings, sources: SourceFolder, labels: Coco | None, out: OutFolder, journal_path: Path) -> None:
        self.settings = settings
        self.sources = sources
        self.labels = labels
        self.out = out
        self._files = sources.files
        self._stems = Stems([file.name for file in self._files])
        self._stems.check(settings.pattern, settings.copies, originals=settings.originals)
        #: A copy each, and the original.
        self._slots = settings.copies + 1
        if len(self._files) * self._slots > _MOST_RESULTS:
            raise ConfigurationError(f"That would be more than {_MOST_RESULTS:,} results; make fewer copies, or split the folder.")
        self.journal = Journal(journal_path, out, len(self._files), self._slots)
        self._digests: dict[int, str] = {}
        self._bad_further: dict[str, str] = {}
        self._waiting: deque[tuple[int, tuple[int, ...], tuple[int, ...], dict[str, Context]]] = deque()
        self._again: list[tuple[int, int]] = []
        self.refused: list[Problem] = []
        #: Results of earlier runs whose picture is gone.
        self.stale: list[str] = []
        self.present = 0

    # --- what is done already ---

    def begin(self) -> int:
        """Believes what earlier runs did where it still holds; returns how many results are to be made.

        Raises ConfigurationError where they were about other pictures altogether, whose results would be removed.
        """
        places = {file.name: place for place, file in enumerate(self._files)}
        stale: set[str] = set()
        kept: set[str] = set()
        known = 0
        for _, entry, _ in self.journal.lines():
            bad = places.get(entry.get("bad_further", ""))
            if bad is not None and entry.get("stamp") == self._stamp(bad):
                self._bad_further[entry["bad_further"]] = entry["stamp"]
        for place, entry, is_settled in self.journal.lines():
            if "bad_further" in entry:
                continue
            source, slot = places.get(entry.get("source", "")), self._slot(entry.get("copy"))
            known += source is not None
            if source is None or slot is None:
                stale.add(entry.get("file", ""))
            elif self._holds(source, slot, entry, is_settled):
                self.journal.believe(source, slot, place)
                kept.add(entry.get("file", ""))
            else:
                stale.add(entry.get("file", ""))
        self.stale = sorted(stale - kept - {""})
        if known == 0 and self.stale:
            raise ConfigurationError(
                f"{self.out.root} has the results of another folder of pictures. "
                "Name another one with --out, or remove them with --overwrite."
            )
        for _, _, entry in self.journal.newest():
            if "problem" in entry:
                self.refused.append(Problem(entry["source"], entry["problem"], entry["reason"]))
            else:
                self.present += 1
        return sum(len(self._missing(source)) for source in range(len(self._files)))

    def _slot(self, copy: object) -> int | None:
        if copy is None:
            return self.settings.copies if self.settings.originals else None
        return copy if isinstance(copy, int) and 0 <= copy < self.settings.copies else None

    def _holds(self, source: int, slot: int, entry: Json, is_settled: bool) -> bool:
        copy = None if slot == self.settings.copies else slot
        further = () if copy is None else self._further(source, slot)
        if entry.get("stamps") != [self._stamp(one) for one in (source, *further)]:
            return False
        if "problem" in entry:
            return True
        if not self.out.has(entry["file"], entry["size"]):
            return False
        return is_settled or self.out.has_content(entry["file"], entry["sha256"])

    def _stamp(self, source: int) -> str:
        """Changes with a picture and with what is known of it."""
        if source not in self._digests:
            file = self._files[source]
            digest = self.labels.digest_of(file.name) if self.labels is not None else ""
            self._digests[source] = f"{file.size}-{file.changed}-{digest}"
        return self._digests[source]

    def _missing(self, source: int) -> list[int]:
        slots = self._slots if self.settings.originals else self.settings.copies
        return [slot for slot in range(slots) if not self.journal.has(source, slot)]

    def _further(self, source: int, copy: int) -> tuple[int, ...]:
        """Other pictures of the folder for mixing, by seed, name and copy. Where there are too few, they come several times."""
        chosen: list[int] = []
        tries = 0
        while len(chosen) < self.settings.further and tries < 50 * self.settings.further:
            text = f"{self.settings.seed}/{copy}/{tries}/{self._files[source].name}"
            place = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % len(self._files)
            if place != source and place not in chosen and self._files[place].name not in self._bad_further:
                chosen.append(place)
            tries += 1
        return tuple((chosen * self.settings.further)[: self.settings.further])

    # --- doing it ---

    def events(self, augmentations: Augmentations, *, in_flight: int = 32, patience_s: float = 60.0) -> Iterator[Event]:
        """Makes what is missing. Raises LabelmeshError when the server cannot be reached, refuses the whole, or nothing can be written."""
        if self.settings.originals:
            for source in range(len(self._files)):
                if not self.journal.has(source, self.settings.copies):
                    yield self._keep_original(source)
        todo: Iterator[tuple[int, list[int]]] = ((n, self._missing(n)) for n in range(len(self._files)))
        for _ in range(_MOST_ROUNDS):
            yield from self._augment(todo, augmentations, in_flight, patience_s)
            again, self._again = self._again, []
            todo = iter([(source, [copy]) for source, copy in again])
            if not again:
                break
        self.journal.settle()

    def _augment(
        self, todo: Iterator[tuple[int, list[int]]], augmentations: Augmentations, in_flight: int, patience_s: float
    ) -> Iterator[Event]:
        turn = threading.Lock()

        def samples() -> Iterator[StreamSample]:
            for source, slots in todo:
                copies = [slot for slot in slots if slot < self.settings.copies]
                size = 1 if self.settings.further else _COPIES_AT_ONCE
                for start in range(0, len(copies), size):
                    part = tuple(copies[start : start + size])
                    further = self._further(source, part[0])
                    sample, contexts = self._sample(source, further, part)
                    with turn:
                        self._waiting.append((source, part, further, contexts))
                    yield sample

        answers = augmentations.stream(
            samples(), self.settings.pipeline, seed=self.settings.seed, in_flight=in_flight, patience_s=patience_s
        )
        self._waiting.clear()
        left: deque[int] = deque()
        source = 0
        further: tuple[int, ...] = ()
        contexts: dict[str, Context] = {}
        for answer in answers:
            if not left:
                with turn:
                    source, part, further, contexts = self._waiting.popleft()
                left.extend(part)
            event = self._take(answer, source, left.popleft(), further, contexts)
            if event is not None:
                yield event

    def _sample(self, source: int, further: Sequence[int], copies: tuple[int, ...]) -> tuple[StreamSample, dict[str, Context]]:
        contexts: dict[str, Context] = {}
        made: list[Sample] = []
        for number, place in enumerate((source, *further)):
            file, prefix = self._files[place], f"{number}:"
            path = self.sources.path(file.name)
            try:
                if not number:
                    self._check_name(source, self.settings.copies - 1)
                labels = PictureLabels()
                if self.labels is not None:
                    self._check_size(file)
                    labels, contexts[prefix] = self.labels.labels_of(file.name, prefix)
                made.append(Sample(path.read_bytes(), labels))
            except (LabelmeshError, OSError) as error:
                # Of a further picture it is said which one it is: another takes its place.
                violations = [FieldViolation(f"further[{number - 1}]", "it cannot be used")] if number else []
                said = str(error) if isinstance(error, LabelmeshError) else f"it cannot be read: {error.strerror or error}"
                reason = error.reason if isinstance(error, LabelmeshError) else "UNREADABLE"
                broken = SourceError(said, reason=reason, violations=violations)
                return StreamSample(Sample(b""), copies, broken=broken), {}
        return StreamSample(made[0], copies, tuple(made[1:])), contexts

    def _check_name(self, source: int, copy: int | None) -> None:
        """Raises SourceError where the name of a result would be longer than names can be."""
        file = self._files[source]
        ending = max(_LONGEST_ENDING, Path(file.name).suffix, key=len)
        if len(os.fsencode(self.settings.pattern.name(self._stems.of(source), copy, ending))) > _LONGEST_NAME:
            raise SourceError("its name is too long for names of results; rename it", reason="NAME_INVALID")

    def _check_size(self, file: SourceFile) -> PictureSize | None:
        """Raises SourceError where the labels are of a picture of another size, e.g. of one that lies on its side."""
        assert self.labels is not None
        given = self.labels.size_of(file.name)
        found = read_size(self.sources.path(file.name))
        if given is None or found is None or found.upright == given:
            return found
        more = "; they were made for the picture as it lies in the file, before its EXIF rotation" if found.turned else ""
        (width, height), (given_width, given_height) = found.upright, given
        raise SourceError(
            f"the picture is {width} x {height} pixels, the labels are for {given_width} x {given_height}{more}", reason="LABEL_INVALID"
        )

    def _take(self, answer: Answer, source: int, copy: int, further: Sequence[int], contexts: dict[str, Context]) -> Event | None:
        file = self._files[source]
        share = file.size // self.settings.copies + 1
        if isinstance(answer, LabelmeshError):
            return self._refuse(answer, source, copy, further, share)
        name = self._name(source, copy, answer.media_type)
        self.out.write(name, answer.image)
        entry = self._entry(source, copy, further)
        entry |= {
            "file": name,
            "size": len(answer.image),
            "sha256": hashlib.sha256(answer.image).hexdigest(),
            "source_sha256": answer.input_sha256,
            "width": answer.width,
            "height": answer.height,
            "annotations": self._annotations(answer, contexts),
            "recipe": answer.recipe.to_json(),
        }
        self.journal.add(source, copy, entry)
        return Done(name, share)

    def _annotations(self, answer: Augmented, contexts: dict[str, Context]) -> list[Json]:
        return [] if self.labels is None else self.labels.results(answer.labels, contexts, (answer.width, answer.height))

    def _entry(self, source: int, copy: int | None, further: Sequence[int]) -> Json:
        entry: Json = {"source": self._files[source].name, "copy": copy, "stamps": [self._stamp(one) for one in (source, *further)]}
        if further:
            entry["further"] = [self._files[one].name for one in further]
        return entry

    def _name(self, source: int, copy: int | None, media_type: str) -> str:
        name = self._files[source].name
        folder = name.rpartition("/")[0]
        own = self.settings.pattern.name(self._stems.of(source), copy, ending_of(name, media_type))
        return f"{folder}/{own}" if folder else own

    def _refuse(self, error: LabelmeshError, source: int, copy: int, further: Sequence[int], share: int) -> Event | None:
        bad = _bad_further(error, further)
        if bad is not None:
            name = self._files[bad].name
            if name not in self._bad_further:
                self._bad_further[name] = self._stamp(bad)
                self.journal.note({"bad_further": name, "stamp": self._stamp(bad)})
            self._again.append((source, copy))
            return None
        final = isinstance(error, InvalidArgument | FailedPrecondition | OutOfRange) or error.reason in _PERMANENT_HERE
        problem = Problem(self._files[source].name, _said(error), error.reason)
        if final:
            entry = self._entry(source, copy, further) | {"problem": problem.problem, "reason": problem.reason}
            self.journal.add(source, copy, entry)
        self.refused.append(problem)
        return Refused(problem, share, final)

    def _keep_original(self, source: int) -> Event:
        """The picture itself, byte for byte, with its labels as they are."""
        file = self._files[source]
        slot = self.settings.copies
        try:
            self._check_name(source, None)
            path = self.sources.path(file.name)
            size = self._check_size(file) if self.labels is not None else read_size(path)
            if size is None:
                raise SourceError("its header does not say how large it is", reason="NOT_AN_IMAGE")
            content = path.read_bytes()
        except (OSError, SourceError) as error:
            problem = Problem(file.name, str(getattr(error, "strerror", None) or error), getattr(error, "reason", "UNREADABLE"))
            final = isinstance(error, SourceError)
            if final:
                self.journal.add(source, slot, self._entry(source, None, ()) | {"problem": problem.problem, "reason": problem.reason})
            self.refused.append(problem)
            return Refused(problem, 0, final)
        name = self.settings.pattern.name(self._stems.of(source), None, Path(file.name).suffix)
        folder = file.name.rpartition("/")[0]
        name = f"{folder}/{name}" if folder else name
        self.out.write(name, content)
        sha256 = hashlib.sha256(content).hexdigest()
        annotations = [] if self.labels is None else [dict(one) for one in self.labels.of(file.name)]
        width, height = size.upright
        entry = self._entry(source, None, ()) | {"file": name, "size": len(content), "sha256": sha256, "source_sha256": sha256}
        self.journal.add(source, slot, entry | {"width": width, "height": height, "annotations": annotations})
        return Done(name, 0)

    # --- at the end ---

    def finish(self) -> bool:
        """Removes what is of pictures that are gone, puts the journal in order, and writes labels and recipes. Whether anything changed."""
        self.journal.settle()
        gone = set(self.stale)
        for _, _, entry in self.journal.newest():
            gone.discard(entry.get("file", ""))
        for name in sorted(gone):
            self.out.remove(name)
        notes = [{"bad_further": name, "stamp": stamp} for name, stamp in sorted(self._bad_further.items())]
        self.journal.rewrite(notes)
        return write_results(self.out, self.journal, self.labels, self.settings.seed) or bool(gone)


def with_mirror_pairs(pipeline: Pipeline, pairs: Sequence[tuple[str, str]]) -> Pipeline:
    """The pipeline with names that change places in a mirror, unless it names some itself."""
    if pipeline.labels.mirror_pairs or not pairs:
        return pipeline
    return replace(pipeline, labels=replace(pipeline.labels, mirror_pairs=tuple(pairs[:100])))


def further_pictures(pipeline: Pipeline, needed: dict[str, int]) -> int:
    """How many further pictures the hungriest of a pipeline's steps takes; `needed` by the transforms' names."""

    def of(steps: Sequence[Any]) -> int:
        return max((max(needed.get(step.transform, 0), of(step.steps)) for step in steps), default=0)

    return of(pipeline.steps)


def _said(error: LabelmeshError) -> str:
    """What is wrong, with the fields where they say more than that it is this picture."""
    says_more = any(violation.description != error.message for violation in error.violations)
    return (str(error) if says_more else error.message).rstrip(".")


def _bad_further(error: LabelmeshError, further: Sequence[int]) -> int | None:
    """Which further picture an error is about."""
    for violation in error.violations:
        for number, place in enumerate(further):
            if f"further[{number}]" in violation.field:
                return place
    return None
