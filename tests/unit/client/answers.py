"""What scripted servers answer in more than one place."""

from __future__ import annotations

import grpc
from google.rpc import error_details_pb2, status_pb2
from labelmesh.inference.v1 import predictions_pb2 as pred
from labelmesh.inference.v1 import results_pb2
from labelmesh.labeling.v1 import projects_pb2

PROJECT = "00000000-0000-0000-0000-000000000001"


def get_project(_: object, __: grpc.ServicerContext) -> projects_pb2.GetProjectResponse:
    return projects_pb2.GetProjectResponse(project=projects_pb2.Project(id=PROJECT, display_name="digits"))


def answered(content: bytes) -> pred.BatchItem:
    """The answer names the input; what begins with `bad` is refused."""
    if content.startswith(b"bad"):
        status = status_pb2.Status(code=grpc.StatusCode.INVALID_ARGUMENT.value[0], message="it is no image")
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason="NOT_AN_IMAGE", domain="labelmesh"))
        return pred.BatchItem(error=status)
    result = results_pb2.Result(
        classification=results_pb2.Classification(classes=[results_pb2.ClassScore(label=content.decode(), score=1)])
    )
    return pred.BatchItem(prediction=pred.Prediction(model="m", version=1, result=result))
