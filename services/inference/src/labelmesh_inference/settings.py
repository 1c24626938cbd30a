"""What the inference service is told by its environment."""

from __future__ import annotations

from labelmesh_chassis.settings import FetchSettings, ObjectStoreSettings, ServiceSettings
from pydantic import Field


class InferenceSettings(ServiceSettings, ObjectStoreSettings, FetchSettings):
    """The service's settings, LABELMESH_*."""

    identity_jwks_url: str = Field(description="Where the public keys are that callers' identities are signed with.", min_length=1)
    model_server: str = Field(
        description='TensorFlow Serving, as a gRPC target: "127.0.0.1:8500", "dns:///serving:8500", "ipv4:127.0.0.1:1,127.0.0.1:2".',
        min_length=1,
    )
    labeling: str = Field(description="The labeling service, as a gRPC target.", min_length=1)
    prediction_retention_days: int = Field(default=90, ge=0, le=36_500, description="Days that predictions are kept; 0 means for good.")
    classic_model: str = Field(default="digits", pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$", description="The model that POST /predict asks.")
    training_lease_s: float = Field(
        default=30, ge=1, le=3600, description="Seconds that a trainer may be silent before it loses its training."
    )
    watchers: int = Field(default=0, ge=0, le=400, description="Streams of trainings served at once; 0 means a quarter of the workers.")

    @property
    def most_watchers(self) -> int:
        """A watcher keeps a worker thread busy, so they get no more than a part of them."""
        return self.watchers or max(1, self.worker_threads // 4)
