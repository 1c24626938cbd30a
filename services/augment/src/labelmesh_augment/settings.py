"""What the augmentation service is told by its environment."""

from __future__ import annotations

from labelmesh_chassis.cores import available_cores
from labelmesh_chassis.settings import FetchSettings, ObjectStoreSettings, ServiceSettings
from pydantic import Field


class AugmentSettings(ServiceSettings, ObjectStoreSettings, FetchSettings):
    """The service's settings, LABELMESH_*."""

    identity_jwks_url: str = Field(description="Where the public keys are that callers' identities are signed with.", min_length=1)
    labeling: str = Field(description="The labeling service, as a gRPC target.", min_length=1)
    workers: int = Field(default=0, ge=0, le=256, description="Processes that augment pictures; 0 means one for each core.")
    worker_memory_mb: int = Field(default=3072, ge=256, le=1_000_000, description="MiB of data that each of them may have.")
    job_s: float = Field(default=20, ge=1, le=600, description="Seconds that one job may take before its worker is killed.")
    work_in_flight: int = Field(
        default=200_000_000,
        ge=1_000_000,
        description="Pixels, and bytes of files, that may wait and be in work at once; one caller has at most half of it.",
    )
    streams: int = Field(default=0, ge=0, le=400, description="Streams served at once; 0 means half of the worker threads.")

    @property
    def most_workers(self) -> int:
        """The number of processes, by default from the cores that this process may use."""
        return self.workers or available_cores()

    @property
    def most_streams(self) -> int:
        """A stream keeps a worker thread busy, so they get no more than a part of them; the chassis gives one account half of that."""
        return self.streams or max(1, self.worker_threads // 2)
