"""What the labeling service is told by its environment."""

from __future__ import annotations

from labelmesh_chassis.settings import ObjectStoreSettings, ServiceSettings
from pydantic import Field


class LabelingSettings(ServiceSettings, ObjectStoreSettings):
    """The service's settings, LABELMESH_*."""

    identity_jwks_url: str = Field(description="Where the public keys are that callers' identities are signed with.", min_length=1)
    watchers: int = Field(default=0, ge=0, le=400, description="Streams of statistics served at once; 0 means a quarter of the workers.")

    label_streams: int = Field(default=0, ge=0, le=400, description="Streams of labels served at once; 0 means an eighth of the workers.")

    @property
    def most_label_streams(self) -> int:
        """They keep worker threads busy, and the processor too."""
        return self.label_streams or max(1, self.worker_threads // 8)

    @property
    def most_watchers(self) -> int:
        """A watcher keeps a worker thread busy, so they get no more than a part of them."""
        return self.watchers or max(1, self.worker_threads // 4)
