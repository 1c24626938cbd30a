"""ModelService and TrainingService: each method reads the request, calls one domain function and builds the reply."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

import grpc
from labelmesh.inference.v1 import models_pb2 as mod
from labelmesh.inference.v1 import models_pb2_grpc, trainings_pb2_grpc
from labelmesh.inference.v1 import trainings_pb2 as trn
from labelmesh_chassis.database import Database
from labelmesh_chassis.identity import identity_of
from labelmesh_chassis.streams import WATCH_INTERVAL_S, Feed, renew, stream_end
from sqlalchemy import Connection

from labelmesh_inference.access import Caller
from labelmesh_inference.registry import trainings, wire
from labelmesh_inference.registry.catalogue import Catalogue
from labelmesh_inference.registry.control import Change, RoutingControl
from labelmesh_inference.registry.registration import Registrar
from labelmesh_inference.registry.revisions import list_revisions
from labelmesh_inference.registry.shadows import shadow_reports
from labelmesh_inference.transactions import carry_out

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class RegistryParts:
    """What the servicers of the registry work with; shared by all calls. `dropped_shadows` counts shadow calls left out."""

    database: Database
    catalogue: Catalogue
    control: RoutingControl
    registrar: Registrar
    feed: Feed[UUID, trainings.Training]
    starter: trainings.Starter
    dropped_shadows: Callable[[], int]

    def carry_out(self, work: Callable[[Connection], _Found]) -> _Found:
        """One call, one transaction."""
        return carry_out(self.database, work)


def _caller(context: grpc.ServicerContext) -> Caller:
    return Caller.of(identity_of(context))


class ModelServicer(models_pb2_grpc.ModelServiceServicer):
    """Models, their versions, and who gets which."""

    def __init__(self, parts: RegistryParts) -> None:
        self._parts = parts

    def ListModels(self, request: mod.ListModelsRequest, context: grpc.ServicerContext) -> mod.ListModelsResponse:
        page, problem = self._parts.catalogue.list_models(request.page_size, request.page_token)
        models = map(wire.model_message, page.items)
        return mod.ListModelsResponse(models=models, next_page_token=page.next_token, model_server_problem=problem)

    def GetModel(self, request: mod.GetModelRequest, context: grpc.ServicerContext) -> mod.GetModelResponse:
        view, problem = self._parts.catalogue.get_model(request.model)
        return mod.GetModelResponse(model=wire.model_message(view), model_server_problem=problem)

    def RegisterModel(self, request: mod.RegisterModelRequest, context: grpc.ServicerContext) -> mod.RegisterModelResponse:
        made = self._parts.registrar.register(_caller(context), wire.wish_of(request))
        version = wire.version_message(self._parts.catalogue.view_of(made.version)) if made.version is not None else None
        return mod.RegisterModelResponse(version=version, checks=map(wire.check_message, made.checks), passed=made.passed)

    def SetAlias(self, request: mod.SetAliasRequest, context: grpc.ServicerContext) -> mod.SetAliasResponse:
        change = Change(_caller(context), UUID(request.request_id), request.model, request.revision)
        made = self._parts.control.set_alias(change, request.alias, request.version)
        return mod.SetAliasResponse(routing=wire.routing_message(made))

    def SetTraffic(self, request: mod.SetTrafficRequest, context: grpc.ServicerContext) -> mod.SetTrafficResponse:
        change = Change(_caller(context), UUID(request.request_id), request.model, request.revision)
        made = self._parts.control.set_traffic(change, wire.splits_of(request.splits), wire.shadow_of(request.shadow))
        return mod.SetTrafficResponse(routing=wire.routing_message(made))

    def RollbackRouting(self, request: mod.RollbackRoutingRequest, context: grpc.ServicerContext) -> mod.RollbackRoutingResponse:
        change = Change(_caller(context), UUID(request.request_id), request.model)
        made = self._parts.control.roll_back(change, request.to_revision)
        return mod.RollbackRoutingResponse(routing=wire.routing_message(made))

    def ListRoutings(self, request: mod.ListRoutingsRequest, context: grpc.ServicerContext) -> mod.ListRoutingsResponse:
        page = self._parts.carry_out(lambda connection: list_revisions(connection, request.model, request.page_size, request.page_token))
        return mod.ListRoutingsResponse(routings=map(wire.routing_message, page.items), next_page_token=page.next_token)

    def GetShadowReport(self, request: mod.GetShadowReportRequest, context: grpc.ServicerContext) -> mod.GetShadowReportResponse:
        reports = self._parts.carry_out(lambda connection: shadow_reports(connection, request.model))
        return mod.GetShadowReportResponse(reports=map(wire.report_message, reports), dropped_count=self._parts.dropped_shadows())


class TrainingServicer(trainings_pb2_grpc.TrainingServiceServicer):
    """Trainings."""

    def __init__(self, parts: RegistryParts) -> None:
        self._parts = parts

    def StartTraining(self, request: trn.StartTrainingRequest, context: grpc.ServicerContext) -> trn.StartTrainingResponse:
        starter = self._parts.starter
        begun = starter.start(_caller(context), UUID(request.request_id), request.model, only_first=request.only_first)
        return wire.started_message(begun, starter.lease_s)

    def ReportTraining(self, request: trn.ReportTrainingRequest, context: grpc.ServicerContext) -> trn.ReportTrainingResponse:
        caller, progress, lease_s = _caller(context), wire.progress_of(request), self._parts.starter.lease_s
        found = self._parts.carry_out(
            lambda connection: trainings.report(connection, caller, UUID(request.training_id), request.lease, progress, lease_s)
        )
        return trn.ReportTrainingResponse(training=wire.training_message(found))

    def FinishTraining(self, request: trn.FinishTrainingRequest, context: grpc.ServicerContext) -> trn.FinishTrainingResponse:
        training, made = self._parts.registrar.finish(_caller(context), wire.finish_of(request))
        version = wire.version_message(self._parts.catalogue.view_of(made)) if made is not None else None
        return trn.FinishTrainingResponse(training=wire.training_message(training), version=version)

    def GetTraining(self, request: trn.GetTrainingRequest, context: grpc.ServicerContext) -> trn.GetTrainingResponse:
        found = self._parts.carry_out(lambda connection: trainings.find(connection, UUID(request.training_id)))
        return trn.GetTrainingResponse(training=wire.training_message(found))

    def ListTrainings(self, request: trn.ListTrainingsRequest, context: grpc.ServicerContext) -> trn.ListTrainingsResponse:
        page = self._parts.carry_out(
            lambda connection: trainings.list_trainings(connection, request.model, request.page_size, request.page_token)
        )
        return trn.ListTrainingsResponse(trainings=map(wire.training_message, page.items), next_page_token=page.next_token)

    def WatchTraining(self, request: trn.WatchTrainingRequest, context: grpc.ServicerContext) -> Iterator[trn.WatchTrainingResponse]:
        gone = threading.Event()
        context.add_callback(gone.set)
        ends_at = stream_end(identity_of(context).expires_at, context.time_remaining())
        told: tuple[int, trainings.TrainingState] | None = None
        with self._parts.feed.watch(UUID(request.training_id)) as latest:
            while time.monotonic() < ends_at:
                found = latest()
                if (found.changes, found.state) != told:
                    told = found.changes, found.state
                    yield trn.WatchTrainingResponse(training=wire.training_message(found))
                if not found.is_running:
                    return
                if gone.wait(min(WATCH_INTERVAL_S, max(0.0, ends_at - time.monotonic()))):
                    return
        raise renew()
