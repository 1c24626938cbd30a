"""What a test needs to reach the S3 server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoreAddress:
    """An S3 server: `endpoint` is host:port, plain HTTP; the bucket exists."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    region: str = "us-east-1"

    def environment(self) -> dict[str, str]:
        """The settings of a service for it."""
        return {
            "LABELMESH_S3_ENDPOINT": self.endpoint,
            "LABELMESH_S3_SECURE": "false",
            "LABELMESH_S3_ACCESS_KEY": self.access_key,
            "LABELMESH_S3_SECRET_KEY": self.secret_key,
            "LABELMESH_S3_BUCKET": self.bucket,
            "LABELMESH_S3_REGION": self.region,
        }
