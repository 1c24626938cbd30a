"""A trace as a tree of its spans."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.support.collector import CollectedSpan


@dataclass(frozen=True)
class Trace:
    """The spans of one trace. Raises ValueError where they are not one tree: a second root, or a parent that never came."""

    spans: tuple[CollectedSpan, ...]

    @classmethod
    def of(cls, spans: Sequence[CollectedSpan], trace_id: str) -> Trace:
        trace = cls(tuple(sorted((span for span in spans if span.trace_id == trace_id), key=lambda span: span.began_ns)))
        known = {span.span_id for span in trace.spans}
        loose = [f"{span.service} {span.name}" for span in trace.spans if span.parent_id not in known]
        if len(loose) != 1 or trace.root.parent_id:
            raise ValueError(f"not one tree, but one for each of {loose}")
        return trace

    @property
    def root(self) -> CollectedSpan:
        known = {span.span_id for span in self.spans}
        return next(span for span in self.spans if span.parent_id not in known)

    def children(self, parent: CollectedSpan) -> list[CollectedSpan]:
        return [span for span in self.spans if span.parent_id == parent.span_id]

    def child(self, parent: CollectedSpan, service: str, kind: str, named: str) -> CollectedSpan:
        """The only child of a span that is of this service and kind and has these words in its name."""
        (found,) = [span for span in self.children(parent) if (span.service, span.kind) == (service, kind) and named in span.name]
        return found

    def walk(self, span: CollectedSpan | None = None, depth: int = 0) -> Iterator[tuple[int, CollectedSpan]]:
        """Every span with its depth, parents before children, in the order they began."""
        span = span or self.root
        yield depth, span
        for child in self.children(span):
            yield from self.walk(child, depth + 1)


def settled(*wanted: tuple[str, str]) -> Callable[[list[CollectedSpan]], bool]:
    """Whether a trace has come from everywhere: a span of each (service, words of its name), no parent missing."""

    def is_settled(spans: list[CollectedSpan]) -> bool:
        return bool(settled_ids(spans, *wanted))

    return is_settled


def settled_ids(spans: Sequence[CollectedSpan], *wanted: tuple[str, str]) -> list[str]:
    """The traces that `settled` asks for, by their ids."""
    ids = []
    for trace_id in dict.fromkeys(span.trace_id for span in spans):
        own = [span for span in spans if span.trace_id == trace_id]
        known = {span.span_id for span in own}
        whole = sum(span.parent_id not in known for span in own) == 1
        if whole and all(any(span.service == service and words in span.name for span in own) for service, words in wanted):
            ids.append(trace_id)
    return ids
