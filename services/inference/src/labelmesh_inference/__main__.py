"""The inference service: `python -m labelmesh_inference [serve|migrate]`. The one place where its parts are made and put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from labelmesh.inference.v1 import (
    classic_pb2,
    classic_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    predictions_pb2,
    predictions_pb2_grpc,
    scoring_pb2,
    scoring_pb2_grpc,
    trainings_pb2,
    trainings_pb2_grpc,
)
from labelmesh_chassis.answers import sweep_answers
from labelmesh_chassis.certificates import certificate_files
from labelmesh_chassis.channels import open_channel
from labelmesh_chassis.database import Database
from labelmesh_chassis.fetching import fetch
from labelmesh_chassis.housekeeping import Housekeeper, Sweep
from labelmesh_chassis.identity import IdentityVerifier, JwksKeySource
from labelmesh_chassis.measures import Measures
from labelmesh_chassis.objects import ObjectStore
from labelmesh_chassis.program import Schema, run
from labelmesh_chassis.server import MeshServer, ServerBuilder
from labelmesh_chassis.settings import FetchSettings
from labelmesh_chassis.streams import Feed
from prometheus_client import CollectorRegistry, Counter

from labelmesh_inference.classic.servicer import ClassicServicer
from labelmesh_inference.labeling.wire import SERVICES as LABELING_SERVICES
from labelmesh_inference.labeling.wire import Labeling
from labelmesh_inference.measures import PredictionMeasures, model_server_readings, training_readings
from labelmesh_inference.predictions.album import Album
from labelmesh_inference.predictions.asking import Asking, Readers
from labelmesh_inference.predictions.inputs import Sources
from labelmesh_inference.predictions.pictures import DecoderGate
from labelmesh_inference.predictions.predicting import Predicting
from labelmesh_inference.predictions.servicer import PredictionParts, PredictionServicer
from labelmesh_inference.predictions.shadowing import Shadows
from labelmesh_inference.predictions.storage import PredictionStore, sweep_shadows
from labelmesh_inference.predictions.streaming import Pipelines
from labelmesh_inference.predictions.wire import encoded
from labelmesh_inference.registry.catalogue import Catalogue
from labelmesh_inference.registry.control import RoutingControl
from labelmesh_inference.registry.registration import Registrar
from labelmesh_inference.registry.registry import Registry
from labelmesh_inference.registry.servicer import ModelServicer, RegistryParts, TrainingServicer
from labelmesh_inference.registry.trainings import Starter, load_training, sweep_lost
from labelmesh_inference.scoring.scoring import Scoring
from labelmesh_inference.scoring.servicer import ScoringServicer
from labelmesh_inference.serving.batching import ModelCalls
from labelmesh_inference.serving.client import ModelServer
from labelmesh_inference.settings import InferenceSettings

SCHEMA = Schema("labelmesh_inference.migrations", 0x696E666572)
migrate_database = SCHEMA.migrate
_SWEEPING_LOCK = 0x696E66737765
_SWEPT_AT_ONCE = 1000
# Predictions come by the thousand, pictures are deleted one by one.
_PREDICTIONS_SWEPT_AT_ONCE = 5000
_PICTURES_SWEPT_AT_ONCE = 200
# Of one picture from an address outside.
_FETCH_S = 8.0


def compose(settings: InferenceSettings, verifier: IdentityVerifier) -> MeshServer:
    """Makes the service from its settings. The model server may be away: what needs it says so, the rest goes on."""
    database = Database(settings.database_url.get_secret_value(), application_name="inference", pool_size=settings.database_pool_size)
    objects = _objects(settings)
    builder = ServerBuilder("inference", settings, verifier=verifier)
    measures = Measures(builder.registry)
    measures.database("main", database)
    measures.objects(objects)
    server = ModelServer(settings.model_server, on_end=measures.calls_to("modelserver"))
    # Of the threads that serve calls, a model that hangs may hold three in four.
    calls = ModelCalls(server, registry=builder.registry, max_callers=settings.worker_threads * 3 // 4)
    registry = Registry(database, server)
    readers = Readers(DecoderGate())
    # Calls of their own: a shadow that hangs takes no place of the version that answers.
    shadow_calls = ModelCalls(server, registry=CollectorRegistry())
    dropped = Counter("labelmesh_shadow_calls_dropped", "Shadow calls left out because too many waited.", registry=builder.registry)
    shadows = Shadows(database, shadow_calls, readers, dropped=dropped.inc)
    album = Album(database, objects)
    store = PredictionStore(database, album)
    housekeeper = Housekeeper(database, _sweeps(settings, store, album), lock_key=_SWEEPING_LOCK)
    labeling_channel = open_channel(
        settings.labeling, LABELING_SERVICES, certificates=certificate_files(settings), on_end=measures.calls_to("labeling")
    )
    labeling = Labeling(labeling_channel)
    sources = Sources(labeling, objects, _fetching(settings))
    asking = Asking(calls, sources, readers)
    predicting = Predicting(registry, asking, store, shadows, encoded, PredictionMeasures(builder.registry))
    pipelines = Pipelines(most_streams=settings.most_watchers)
    scoring = Scoring(database, labeling, predicting)
    _serve_registry(
        builder,
        RegistryParts(
            database,
            Catalogue(database, server),
            RoutingControl(database, server, registry),
            Registrar(database, server, calls, registry, lease_s=settings.training_lease_s),
            Feed(partial(load_training, database), most_watchers=settings.most_watchers),
            Starter(database, server, lease_s=settings.training_lease_s),
            dropped_shadows=lambda: shadows.dropped,
        ),
    )
    _serve_predictions(
        builder,
        PredictionServicer(PredictionParts(predicting, store, objects, pipelines)),
        ScoringServicer(scoring),
        ClassicServicer(predicting, settings.classic_model),
    )
    builder.check("database", database.is_up)
    builder.on_stop(database.close)
    builder.on_stop(server.close)
    for close in (labeling_channel.close, calls.close, shadow_calls.close, asking.close, pipelines.close, scoring.close, shadows.stop):
        builder.on_stop(close)
    builder.on_stop(housekeeper.stop)
    for readings in (training_readings(database, builder.registry), model_server_readings(server, builder.registry)):
        builder.on_stop(readings.stop)
        readings.start()
    objects.ensure_bucket()
    housekeeper.start()
    shadows.start()
    return builder.build()


def _fetching(settings: FetchSettings) -> Callable[[str, int], bytes]:
    def fetched(url: str, most: int) -> bytes:
        networks, ports = settings.fetch_networks, settings.fetch_ports
        return fetch(url, max_bytes=most, timeout_s=_FETCH_S, allowed_networks=networks, allowed_ports=ports).content

    return fetched


def _objects(settings: InferenceSettings) -> ObjectStore:
    return ObjectStore(
        settings.s3_endpoint,
        settings.s3_access_key,
        settings.s3_secret_key.get_secret_value(),
        settings.s3_bucket,
        region=settings.s3_region,
        secure=settings.s3_secure,
        public_url=settings.objects_url,
    )


def _sweeps(settings: InferenceSettings, store: PredictionStore, album: Album) -> list[Sweep]:
    sweeps: list[Sweep] = [partial(sweep_answers, limit=_SWEPT_AT_ONCE), partial(sweep_lost, limit=_SWEPT_AT_ONCE)]
    days = settings.prediction_retention_days
    if days:
        sweeps += [partial(store.sweep, days=days, limit=_PREDICTIONS_SWEPT_AT_ONCE)]
        sweeps += [partial(sweep_shadows, days=days, limit=_PREDICTIONS_SWEPT_AT_ONCE)]
    return [*sweeps, partial(album.sweep, limit=_PICTURES_SWEPT_AT_ONCE)]


def _serve_registry(builder: ServerBuilder, parts: RegistryParts) -> None:
    models, trainings = models_pb2.DESCRIPTOR.services_by_name["ModelService"], trainings_pb2.DESCRIPTOR.services_by_name["TrainingService"]
    builder.add(models, models_pb2_grpc.add_ModelServiceServicer_to_server, ModelServicer(parts))
    builder.add(trainings, trainings_pb2_grpc.add_TrainingServiceServicer_to_server, TrainingServicer(parts))


def _serve_predictions(builder: ServerBuilder, predictions: PredictionServicer, scoring: ScoringServicer, classic: ClassicServicer) -> None:
    builder.add(
        predictions_pb2.DESCRIPTOR.services_by_name["PredictionService"],
        predictions_pb2_grpc.add_PredictionServiceServicer_to_server,
        predictions,
    )
    builder.add(scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"], scoring_pb2_grpc.add_ScoringServiceServicer_to_server, scoring)
    builder.add(classic_pb2.DESCRIPTOR.services_by_name["ClassicService"], classic_pb2_grpc.add_ClassicServiceServicer_to_server, classic)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until SIGTERM, or brings the database to the newest schema and ends."""

    def composed(settings: InferenceSettings) -> MeshServer:
        return compose(settings, IdentityVerifier(JwksKeySource(settings.identity_jwks_url, ca=settings.tls_ca)))

    run("inference", "The inference service", InferenceSettings, SCHEMA, composed, arguments)


if __name__ == "__main__":
    main()
