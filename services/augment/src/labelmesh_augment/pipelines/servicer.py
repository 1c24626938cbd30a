"""PipelineService: each method reads the request, calls one domain function and builds the reply."""

from __future__ import annotations

import hashlib
from uuid import UUID

import grpc
from labelmesh.augment.v1 import pipelines_pb2 as pip
from labelmesh.augment.v1 import pipelines_pb2_grpc
from labelmesh_chassis.answers import Request, fingerprint
from labelmesh_chassis.identity import identity_of

from labelmesh_augment.access import Caller
from labelmesh_augment.pipelines import wire
from labelmesh_augment.pipelines.saved import Draft
from labelmesh_augment.pipelines.storage import PipelineStore
from labelmesh_augment.pipelines.validation import check, normalised
from labelmesh_augment.transforms.catalogue import CATALOGUE


class PipelineServicer(pipelines_pb2_grpc.PipelineServiceServicer):
    """What pipelines are made of, whether one is right, and those that projects keep."""

    def __init__(self, store: PipelineStore) -> None:
        self._store = store
        self._transforms = pip.ListTransformsResponse(transforms=map(wire.transform_message, CATALOGUE.values()))

    def ListTransforms(self, request: pip.ListTransformsRequest, context: grpc.ServicerContext) -> pip.ListTransformsResponse:
        return self._transforms

    def ValidatePipeline(self, request: pip.ValidatePipelineRequest, context: grpc.ServicerContext) -> pip.ValidatePipelineResponse:
        checked = check(wire.pipeline_of(request.pipeline))
        pipeline = wire.pipeline_message(checked.pipeline) if checked.valid else None
        return pip.ValidatePipelineResponse(findings=wire.findings_messages(checked.findings), valid=checked.valid, pipeline=pipeline)

    def SavePipeline(self, request: pip.SavePipelineRequest, context: grpc.ServicerContext) -> pip.SavePipelineResponse:
        caller = Caller.of(identity_of(context))
        definition = wire.stored(normalised(wire.pipeline_of(request.pipeline)))
        note = wire.plain(request.note, "note")
        draft = Draft(UUID(request.project_id), request.name, definition, note, request.previous_version)
        asked = fingerprint(
            request.project_id.lower(), request.name, hashlib.sha256(definition).hexdigest(), note, request.previous_version
        )
        saved = self._store.save(caller, draft, Request(UUID(request.request_id), caller.actor_id, "SavePipeline", asked))
        return pip.SavePipelineResponse(pipeline=wire.saved_message(saved))

    def ListPipelines(self, request: pip.ListPipelinesRequest, context: grpc.ServicerContext) -> pip.ListPipelinesResponse:
        name = wire.plain(request.name, "name")
        page = self._store.list(UUID(request.project_id), request.page_size, request.page_token, name)
        return pip.ListPipelinesResponse(pipelines=map(wire.saved_message, page.items), next_page_token=page.next_token)

    def GetPipeline(self, request: pip.GetPipelineRequest, context: grpc.ServicerContext) -> pip.GetPipelineResponse:
        saved = self._store.get(UUID(request.project_id), request.name, request.version)
        return pip.GetPipelineResponse(pipeline=wire.saved_message(saved))

    def DeletePipeline(self, request: pip.DeletePipelineRequest, context: grpc.ServicerContext) -> pip.DeletePipelineResponse:
        caller, asked = Caller.of(identity_of(context)), None
        if request.request_id:
            told = fingerprint(request.project_id.lower(), request.name)
            asked = Request(UUID(request.request_id), caller.actor_id, "DeletePipeline", told)
        self._store.delete(caller, UUID(request.project_id), request.name, asked)
        return pip.DeletePipelineResponse()
