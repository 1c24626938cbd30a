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
from labelmesh_client.augmentations import Augmented, DrawnStep, DroppedLabel, Preview, Previews, Recipe, Sample, StreamSample
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
from labelmesh_client.inputs import Input, ObjectUrl, ProjectImage, Url
from labelmesh_client.labeling import Lease, Leases, Nothing, NothingReason
from labelmesh_client.labels import LabeledImage
from labelmesh_client.manifests import manifest_text, parse_manifest, read_manifest
from labelmesh_client.models import Check, CheckOutcome, Model, ModelVersion, Registration, Routing, Shadow, ShadowReport, VersionState
from labelmesh_client.picturelabels import BoxLabel, KeypointLabel, MaskLabel, PictureLabels, PolygonLabel, Visibility
from labelmesh_client.pipelines import (
    Fill,
    FillKind,
    Finding,
    Format,
    LabelRules,
    Output,
    Pipeline,
    PipelineReference,
    SavedPipeline,
    Step,
    Validation,
)
from labelmesh_client.predictions import Answer, Prediction, PredictionFeedback, Question, Storage, Timing
from labelmesh_client.projects import LabelClass, Project, ProjectFacts, ProjectState, classes_from_names
from labelmesh_client.repository import ModelRepository
from labelmesh_client.results import (
    Box,
    Classification,
    ClassScore,
    Detection,
    Detections,
    Keypoint,
    Pose,
    Poses,
    RawOutputs,
    Result,
    Segment,
    Segmentation,
)
from labelmesh_client.scoring import ScoringProgress
from labelmesh_client.statistics import AnnotatorStatistics, ProjectStatistics, Statistics
from labelmesh_client.tensors import Tensor
from labelmesh_client.trainings import RunningTraining, Training, TrainingProgress, TrainingState
from labelmesh_client.transforms import Parameter, Transform

__all__ = [
    "LOCAL_ADDRESS",
    "Aborted",
    "Address",
    "AlreadyExists",
    "Annotation",
    "AnnotatorStatistics",
    "Answer",
    "ApiKeyFacts",
    "Augmented",
    "AuthorKind",
    "Box",
    "BoxLabel",
    "Cancelled",
    "Check",
    "CheckOutcome",
    "ClassScore",
    "Classification",
    "Client",
    "ConfigurationError",
    "DeadlineExceeded",
    "Detection",
    "Detections",
    "DownloadError",
    "DrawnStep",
    "DroppedLabel",
    "FailedPrecondition",
    "FieldViolation",
    "Fill",
    "FillKind",
    "Finding",
    "Format",
    "Image",
    "ImageFile",
    "ImportedFile",
    "Input",
    "InvalidArgument",
    "Keypoint",
    "KeypointLabel",
    "LabelClass",
    "LabelRules",
    "LabeledImage",
    "LabelmeshError",
    "Lease",
    "Leases",
    "MachineLabel",
    "MaskLabel",
    "Model",
    "ModelRepository",
    "ModelVersion",
    "NotFound",
    "Nothing",
    "NothingReason",
    "ObjectUrl",
    "OutOfRange",
    "Outcome",
    "Output",
    "Parameter",
    "PermissionDenied",
    "PictureLabels",
    "Pipeline",
    "PipelineReference",
    "PolygonLabel",
    "Pose",
    "Poses",
    "Prediction",
    "PredictionFeedback",
    "Preview",
    "Previews",
    "Project",
    "ProjectFacts",
    "ProjectImage",
    "ProjectState",
    "ProjectStatistics",
    "Question",
    "RawOutputs",
    "Recipe",
    "Registration",
    "ResourceExhausted",
    "Result",
    "Role",
    "Routing",
    "RunningTraining",
    "Sample",
    "SavedPipeline",
    "ScoringProgress",
    "Segment",
    "Segmentation",
    "ServerError",
    "Shadow",
    "ShadowReport",
    "SignedIn",
    "SourceError",
    "Statistics",
    "Step",
    "Storage",
    "StreamSample",
    "Tensor",
    "Timing",
    "Training",
    "TrainingProgress",
    "TrainingState",
    "Transform",
    "Unauthenticated",
    "Unavailable",
    "Url",
    "User",
    "Validation",
    "Verdict",
    "VersionState",
    "Visibility",
    "classes_from_names",
    "connect",
    "manifest_text",
    "parse_address",
    "parse_manifest",
    "read_manifest",
]
