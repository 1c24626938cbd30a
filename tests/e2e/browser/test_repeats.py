"""What the browser receives tells nobody whether an image was seen before."""

from __future__ import annotations

import re

from google.protobuf.message import Message
from labelmesh.labeling.v1 import annotations_pb2
from playwright.sync_api import APIResponse, Request

from tests.e2e.browser.desk import Desk
from tests.e2e.browser.people import Office

LABELS = 60
_ANSWERS: dict[str, type[annotations_pb2.SubmitAnnotationResponse | annotations_pb2.LeaseImageResponse]] = {
    "SubmitAnnotation": annotations_pb2.SubmitAnnotationResponse,
    "LeaseImage": annotations_pb2.LeaseImageResponse,
}


def _message(body: bytes) -> bytes:
    """The first message of a gRPC-Web answer (flag, length, bytes)."""
    assert body[0] == 0
    return body[5 : 5 + int.from_bytes(body[1:5], "big")]


def _shape(lease: annotations_pb2.Lease) -> tuple[object, ...]:
    """All that could tell one lease from another but the image itself: fields set, lengths, forms, time given."""
    fields = tuple(field.name for field, _ in lease.ListFields())
    url = re.sub(r"[0-9a-f]{2}/[0-9a-f]{64}|[0-9a-f]{64}|\d{8}T\d{6}Z", "*", lease.image_url)
    return fields, len(lease.id), lease.id[14], url, lease.width, lease.height, lease.media_type


def test_an_answer_with_a_repeat_has_the_same_form_as_any_other(desk: Desk, office: Office) -> None:
    project = office.project(LABELS, first=1000, repeat_rate=0.5)
    answers: list[Message] = []
    leases: dict[str, annotations_pb2.Lease] = {}
    labeled: dict[str, str] = {}
    headers: dict[str, tuple[str, ...]] = {}

    def heard(request: Request, response: APIResponse) -> None:
        if not response.ok:
            return
        answer = _ANSWERS[request.url.rpartition("/")[2]].FromString(_message(response.body()))
        answers.append(answer)
        if answer.next.HasField("lease"):
            leases[answer.next.lease.id] = answer.next.lease
            headers[answer.next.lease.id] = tuple(sorted(response.headers))
        if isinstance(answer, annotations_pb2.SubmitAnnotationResponse):
            sent = annotations_pb2.SubmitAnnotationRequest.FromString(_message(request.post_data_buffer or b""))
            labeled[sent.lease_id] = answer.annotation_id

    desk.listen("|".join(_ANSWERS), heard)
    desk.label_in(office.account(), project)
    for number in range(LABELS):
        desk.press(str(number % 10))
    desk.settle()
    desk.page.wait_for_load_state("networkidle")

    repeat_of = {annotation["id"]: annotation["repeatOf"] for annotation in office.annotations(project)}
    repeats = {lease for lease, annotation in labeled.items() if repeat_of[annotation]}
    others = set(labeled) - repeats
    assert len(labeled) == LABELS
    assert len(repeats) >= 5, "with a rate of one half there are repeats"
    forms = {kind: {_shape(leases[lease]) for lease in group} for kind, group in (("repeats", repeats), ("others", others))}
    assert forms["repeats"] == forms["others"]
    assert {headers[lease] for lease in repeats} <= {headers[lease] for lease in others}
    assert {leases[lease].time_left.seconds for lease in repeats} <= {119, 120}
    assert {leases[lease].time_left.seconds for lease in others} <= {119, 120}
    # Nor does the page itself ask for anything that would tell: its statistics are older than its labels.
    assert all("repeat" not in field.name for answer in answers for field, _ in answer.ListFields())
