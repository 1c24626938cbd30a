"""The generated stubs of the mesh over one connection."""

from __future__ import annotations

from labelmesh.augment.v1 import augmentations_pb2_grpc, pipelines_pb2_grpc
from labelmesh.auth.v1 import api_keys_pb2_grpc, sessions_pb2_grpc, users_pb2_grpc
from labelmesh.inference.v1 import models_pb2_grpc, predictions_pb2_grpc, scoring_pb2_grpc, trainings_pb2_grpc
from labelmesh.labeling.v1 import annotations_pb2_grpc, images_pb2_grpc, projects_pb2_grpc, statistics_pb2_grpc

from labelmesh_client.connection import Connection


class Services:
    """Every service a client speaks to. Calls through these stubs carry credentials and deadlines and raise LabelmeshError."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        channel = connection.channel
        self.sessions = sessions_pb2_grpc.SessionServiceStub(channel)
        self.users = users_pb2_grpc.UserServiceStub(channel)
        self.api_keys = api_keys_pb2_grpc.ApiKeyServiceStub(channel)
        self.projects = projects_pb2_grpc.ProjectServiceStub(channel)
        self.images = images_pb2_grpc.ImageServiceStub(channel)
        self.annotations = annotations_pb2_grpc.AnnotationServiceStub(channel)
        self.statistics = statistics_pb2_grpc.StatisticsServiceStub(channel)
        self.models = models_pb2_grpc.ModelServiceStub(channel)
        self.predictions = predictions_pb2_grpc.PredictionServiceStub(channel)
        self.scoring = scoring_pb2_grpc.ScoringServiceStub(channel)
        self.trainings = trainings_pb2_grpc.TrainingServiceStub(channel)
        self.pipelines = pipelines_pb2_grpc.PipelineServiceStub(channel)
        self.augmentations = augmentations_pb2_grpc.AugmentationServiceStub(channel)
