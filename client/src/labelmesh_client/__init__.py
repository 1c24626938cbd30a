"""The Python SDK of labelmesh: label, prioritise, import and read what was labeled, from programs.

>>> from labelmesh_client import connect
>>> with connect("http://localhost:8080", api_key=key) as client:
...     for lease in client.project("Handwritten digits").leases():
...         lease.submit("7")
"""

from __future__ import annotations

from labelmesh_client.accounts import ApiKeyFacts, Role, User
from labelmesh_client.address import LOCAL_ADDRESS, Address, parse_address
from labelmesh_client.annotation import Annotation, AuthorKind, MachineLabel, Verdict
from labelmesh_client.client import Client, SignedIn, connect
from labelmesh_client.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    ConfigurationError,
    DeadlineExceeded,
    DownloadError,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    LabelmeshError,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    ServerError,
    SourceError,
    Unauthenticated,
    Unavailable,
)
from labelmesh_client.images import Image
from labelmesh_client.importing import ImageFile, ImportedFile, Outcome
from labelmesh_client.labeling import Lease, Leases, Nothing, NothingReason
from labelmesh_client.projects import LabelClass, Project, ProjectFacts, ProjectState, classes_from_names
from labelmesh_client.statistics import AnnotatorStatistics, ProjectStatistics, Statistics

__all__ = [
    "LOCAL_ADDRESS",
    "Aborted",
    "Address",
    "AlreadyExists",
    "Annotation",
    "AnnotatorStatistics",
    "ApiKeyFacts",
    "AuthorKind",
    "Cancelled",
    "Client",
    "ConfigurationError",
    "DeadlineExceeded",
    "DownloadError",
    "FailedPrecondition",
    "FieldViolation",
    "Image",
    "ImageFile",
    "ImportedFile",
    "InvalidArgument",
    "LabelClass",
    "LabelmeshError",
    "Lease",
    "Leases",
    "MachineLabel",
    "NotFound",
    "Nothing",
    "NothingReason",
    "OutOfRange",
    "Outcome",
    "PermissionDenied",
    "Project",
    "ProjectFacts",
    "ProjectState",
    "ProjectStatistics",
    "ResourceExhausted",
    "Role",
    "ServerError",
    "SignedIn",
    "SourceError",
    "Statistics",
    "Unauthenticated",
    "Unavailable",
    "User",
    "Verdict",
    "classes_from_names",
    "connect",
    "parse_address",
]
