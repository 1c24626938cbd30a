"""The labeling loop: an image is leased, labeled, and the next one comes."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from google.protobuf.duration_pb2 import Duration
from labelmesh.labeling.v1 import annotations_pb2

from labelmesh_client.errors import FailedPrecondition, LabelmeshError
from labelmesh_client.images import MAX_FILE_BYTES
from labelmesh_client.services import Services
from labelmesh_client.timestamps import moment

#: While all that is left is held by others: ask again at least this often.
_ASK_AGAIN_S = 5.0
_MAX_LEAD_TIME_S = 86_400.0


class NothingReason(StrEnum):
    """Why there is nothing to do."""

    ALL_LABELED = "all labeled"
    ALL_HELD = "all held by others"
    NO_ACCESS = "no access"
    PROJECT_CLOSED = "project closed"
    NO_IMAGES = "no images"
    TOO_MANY_HELD = "too many held"
    UNKNOWN = "unknown"


_REASONS = {
    annotations_pb2.NOTHING_REASON_ALL_LABELED: NothingReason.ALL_LABELED,
    annotations_pb2.NOTHING_REASON_ALL_HELD: NothingReason.ALL_HELD,
    annotations_pb2.NOTHING_REASON_NO_ACCESS: NothingReason.NO_ACCESS,
    annotations_pb2.NOTHING_REASON_PROJECT_CLOSED: NothingReason.PROJECT_CLOSED,
    annotations_pb2.NOTHING_REASON_NO_IMAGES: NothingReason.NO_IMAGES,
    annotations_pb2.NOTHING_REASON_TOO_MANY_HELD: NothingReason.TOO_MANY_HELD,
}


@dataclass(frozen=True)
class Nothing:
    """There is nothing to do, and why; for ALL_HELD, when asking again makes sense at the latest."""

    reason: NothingReason
    retry_time: datetime | None = None


class Lease:
    """An image held by this program. Submit, skip or release it, once; it expires by itself after `expire_time`."""

    def __init__(self, loop: Leases, message: annotations_pb2.Lease) -> None:
        self._loop = loop
        self._taken_up = time.monotonic()
        self.id = message.id
        self.project_id = message.project_id
        self.image_url = message.image_url
        #: Pixels.
        self.width, self.height = message.width, message.height
        self.media_type = message.media_type
        self.expire_time = moment(message, "expire_time")
        self.previous_class_id = message.previous_class_id or None
        #: Whether it was submitted, skipped or released.
        self.settled = False

    def image(self) -> bytes:
        """The image's file, at most 16 MiB. Raises DownloadError."""
        return self._loop.download(self.image_url, MAX_FILE_BYTES)

    def submit(self, class_id: str, *, lead_time_s: float | None = None) -> str:
        """Labels the image and returns the annotation's id. Returned means on disk; sent once or ten times, it is one annotation.

        `lead_time_s` is the time it took to decide, by default that since the lease came up. Raises InvalidArgument for a class the project
        does not have, FailedPrecondition (LEASE_LOST, LEASE_ENDED) when the image is no longer held.
        """
        taken = time.monotonic() - self._taken_up if lead_time_s is None else lead_time_s
        return self._loop.submit(self, class_id, min(max(taken, 0.0), _MAX_LEAD_TIME_S))

    def skip(self) -> None:
        """Puts the image back for later; this program gets it again when nothing else is left."""
        self._loop.skip(self)

    def release(self) -> None:
        """Gives the image back at once."""
        self._loop.release([self])

    def renew(self) -> None:
        """Holds the image for another lease duration from now. Raises FailedPrecondition (LEASE_LOST) when somebody else has it."""
        self._loop.renew(self)


class Leases:
    """Images to label, one after the other: iterate over it and settle each lease.

    A submit fetches the next image in the same call. A lease left unsettled when the loop goes on is skipped. Leaving the loop gives back
    what is still held, when the iterator is closed or collected; `with` makes sure of it. When the iteration ends, `nothing` says why.
    With `wait`, it does not end while others hold what is left. For one thread; each thread has its own.
    """

    def __init__(self, services: Services, project_id: str, download: Callable[[str, int], bytes], *, wait: bool = False) -> None:
        self._services = services
        self._project_id = project_id
        self._client_id = str(uuid.uuid4())
        self._wait = wait
        self._held: dict[str, Lease] = {}
        self._next: annotations_pb2.Next | None = None
        self._iterating = False
        self.download = download
        self.nothing: Nothing | None = None
        #: Labels this annotator has given in the project, as of the last submit.
        self.labels_given = 0

    def __enter__(self) -> Leases:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Lease]:
        self._iterating = True
        try:
            while (lease := self._take()) is not None:
                yield lease
                if not lease.settled:
                    self._put_back(lease)
        finally:
            self._iterating = False
            self.close()

    def close(self) -> None:
        """Gives back every image still held."""
        if self._next is not None and self._next.HasField("lease"):
            self._lease(self._next.lease)
        self._next = None
        held = list(self._held.values())
        if not held:
            return
        try:
            self.release(held)
        except LabelmeshError:
            self._held.clear()  # they come back by themselves when their leases expire

    def _put_back(self, lease: Lease) -> None:
        try:
            self.skip(lease)
        except FailedPrecondition:
            self._settle(lease)  # it expired meanwhile and is somebody else's

    def _take(self) -> Lease | None:
        while True:
            answer = self._next or self._ask()
            self._next = None
            if answer.HasField("lease"):
                self.nothing = None
                return self._lease(answer.lease)
            self.nothing = Nothing(_REASONS.get(answer.nothing.reason, NothingReason.UNKNOWN), moment(answer.nothing, "retry_time"))
            if not self._wait or self.nothing.reason is not NothingReason.ALL_HELD:
                return None
            retry = self.nothing.retry_time
            left = (retry - datetime.now(UTC)).total_seconds() if retry else _ASK_AGAIN_S
            self._services.connection.pause(min(max(left, 0.2), _ASK_AGAIN_S))

    def _ask(self) -> annotations_pb2.Next:
        request = annotations_pb2.LeaseImageRequest(
            request_id=str(uuid.uuid4()), project_id=self._project_id, client_id=self._client_id, held_lease_ids=list(self._held)
        )
        return self._services.annotations.LeaseImage(request).next

    def _lease(self, message: annotations_pb2.Lease) -> Lease:
        lease = Lease(self, message)
        self._held[lease.id] = lease
        return lease

    def _settle(self, lease: Lease) -> None:
        lease.settled = True
        self._held.pop(lease.id, None)

    def submit(self, lease: Lease, class_id: str, lead_time_s: float) -> str:
        """See Lease.submit."""
        lead_time = Duration()
        lead_time.FromNanoseconds(int(lead_time_s * 1e9))
        request = annotations_pb2.SubmitAnnotationRequest(
            request_id=str(uuid.uuid4()),
            project_id=self._project_id,
            lease_id=lease.id,
            class_id=class_id,
            lead_time=lead_time,
            lease_next=self._wants_next(),
            client_id=self._client_id,
            held_lease_ids=list(self._held),
        )
        reply = self._services.annotations.SubmitAnnotation(request)
        self._settle(lease)
        self.labels_given = reply.labels_given
        self._keep(reply)
        return reply.annotation_id

    def skip(self, lease: Lease) -> None:
        """See Lease.skip."""
        request = annotations_pb2.SkipImageRequest(
            request_id=str(uuid.uuid4()),
            project_id=self._project_id,
            lease_id=lease.id,
            lease_next=self._wants_next(),
            client_id=self._client_id,
            held_lease_ids=list(self._held),
        )
        reply = self._services.annotations.SkipImage(request)
        self._settle(lease)
        self._keep(reply)

    def release(self, leases: list[Lease]) -> None:
        """See Lease.release."""
        request = annotations_pb2.ReleaseLeasesRequest(project_id=self._project_id, lease_ids=[lease.id for lease in leases])
        self._services.annotations.ReleaseLeases(request)
        for lease in leases:
            self._settle(lease)

    def renew(self, lease: Lease) -> None:
        """See Lease.renew."""
        request = annotations_pb2.RenewLeasesRequest(project_id=self._project_id, lease_ids=[lease.id])
        for renewed in self._services.annotations.RenewLeases(request).leases:
            if renewed.lease_id == lease.id:
                lease.expire_time = moment(renewed, "expire_time")
                return
        raise FailedPrecondition("Somebody else holds the image by now.", reason="LEASE_LOST")

    def _wants_next(self) -> bool:
        return self._iterating and self._next is None

    def _keep(self, reply: annotations_pb2.SubmitAnnotationResponse | annotations_pb2.SkipImageResponse) -> None:
        if reply.HasField("next"):
            self._next = reply.next
