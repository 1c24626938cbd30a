"""The inference service: `python -m labelmesh_inference [serve|migrate]`. The one place where its parts are made and put together."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from labelmesh.inference.v1 import models_pb2, models_pb2_grpc, trainings_pb2, trainings_pb2_grpc
from labelmesh_chassis.database import Database, migrate
from labelmesh_chassis.errors import MeshError
from labelmesh_chassis.identity import IdentityVerifier, JwksKeySource
from labelmesh_chassis.objects import ObjectStore
from labelmesh_chassis.server import MeshServer, ServerBuilder
from labelmesh_chassis.settings import ServiceSettings, load_settings
from labelmesh_chassis.streams import Feed
from labelmesh_chassis.telemetry import configure_logging

from labelmesh_inference.answers import sweep_answers
from labelmesh_inference.housekeeping import Housekeeper
from labelmesh_inference.registry.catalogue import Catalogue
from labelmesh_inference.registry.control import RoutingControl
from labelmesh_inference.registry.registration import Registrar
from labelmesh_inference.registry.registry import Registry
from labelmesh_inference.registry.servicer import ModelServicer, RegistryParts, TrainingServicer
from labelmesh_inference.registry.trainings import Starter, load_training, sweep_lost
from labelmesh_inference.serving.batching import ModelCalls
from labelmesh_inference.serving.client import ModelServer
from labelmesh_inference.settings import InferenceSettings

MIGRATIONS = "labelmesh_inference.migrations"
_MIGRATION_LOCK = 0x696E666572
_SWEPT_AT_ONCE = 1000


def migrate_database(url: str) -> None:
    """Brings inference's database to the newest schema."""
    migrate(url, MIGRATIONS, lock_key=_MIGRATION_LOCK)


def compose(settings: InferenceSettings, verifier: IdentityVerifier) -> MeshServer:
    """Makes the service from its settings. The model server may be away: what needs it says so, the rest goes on."""
    database = Database(settings.database_url.get_secret_value(), application_name="inference", pool_size=settings.database_pool_size)
    objects = ObjectStore(
        settings.s3_endpoint,
        settings.s3_access_key,
        settings.s3_secret_key.get_secret_value(),
        settings.s3_bucket,
        region=settings.s3_region,
        secure=settings.s3_secure,
        public_url=settings.objects_url,
    )
    builder = ServerBuilder("inference", settings, verifier=verifier)
    server = ModelServer(settings.model_server)
    calls = ModelCalls(server, registry=builder.registry)
    registry = Registry(database, server)
    registry_parts = RegistryParts(
        database,
        Catalogue(database, server),
        RoutingControl(database, server, registry),
        Registrar(database, server, calls, registry, lease_s=settings.training_lease_s),
        Feed(partial(load_training, database), most_watchers=settings.most_watchers),
        Starter(database, server, lease_s=settings.training_lease_s),
        dropped_shadows=lambda: 0,
    )
    housekeeper = Housekeeper(database, [partial(sweep_answers, limit=_SWEPT_AT_ONCE), partial(sweep_lost, limit=_SWEPT_AT_ONCE)])
    builder.add(
        models_pb2.DESCRIPTOR.services_by_name["ModelService"],
        models_pb2_grpc.add_ModelServiceServicer_to_server,
        ModelServicer(registry_parts),
    )
    builder.add(
        trainings_pb2.DESCRIPTOR.services_by_name["TrainingService"],
        trainings_pb2_grpc.add_TrainingServiceServicer_to_server,
        TrainingServicer(registry_parts),
    )
    builder.check("database", database.is_up)
    builder.on_stop(database.close)
    builder.on_stop(server.close)
    builder.on_stop(housekeeper.stop)
    objects.ensure_bucket()
    housekeeper.start()
    return builder.build()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until SIGTERM, or brings the database to the newest schema and ends."""
    parser = argparse.ArgumentParser(prog="labelmesh_inference", description="The inference service.")
    parser.add_argument("command", nargs="?", choices=["serve", "migrate"], default="serve")
    command = parser.parse_args(arguments).command
    try:
        if command == "migrate":
            _migrate(load_settings(ServiceSettings))
        else:
            _serve(load_settings(InferenceSettings))
    except MeshError as problem:
        raise SystemExit(f"The inference service cannot start: {problem.message}.") from problem


def _migrate(settings: ServiceSettings) -> None:
    configure_logging("inference", settings.log_level)
    migrate_database(settings.database_url.get_secret_value())


def _serve(settings: InferenceSettings) -> None:
    _migrate(settings)
    server = compose(settings, IdentityVerifier(JwksKeySource(settings.identity_jwks_url)))
    server.start()
    server.run_until_signal()


if __name__ == "__main__":
    main()
