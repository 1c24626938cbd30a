"""The labeling service: `python -m labelmesh_labeling [serve|migrate]`. The one place where its parts are made and put together."""

from __future__ import annotations

import random
from collections.abc import Sequence
from uuid import UUID

from labelmesh.labeling.v1 import (
    annotations_pb2,
    annotations_pb2_grpc,
    images_pb2,
    images_pb2_grpc,
    projects_pb2,
    projects_pb2_grpc,
    statistics_pb2,
    statistics_pb2_grpc,
)
from labelmesh_chassis.database import Database
from labelmesh_chassis.identity import IdentityVerifier, JwksKeySource
from labelmesh_chassis.measures import Measures
from labelmesh_chassis.objects import ObjectStore
from labelmesh_chassis.program import Schema, run
from labelmesh_chassis.server import MeshServer, ServerBuilder

from labelmesh_labeling.housekeeping import Housekeeper
from labelmesh_labeling.links import ImageLinks
from labelmesh_labeling.measures import LabelingMeasures
from labelmesh_labeling.pictures import DecoderGate
from labelmesh_labeling.servicer import AnnotationServicer, ImageServicer, Parts, ProjectServicer, StatisticsServicer
from labelmesh_labeling.settings import LabelingSettings
from labelmesh_labeling.statistics import ProjectStatistics, project_statistics
from labelmesh_labeling.streams import StreamGate
from labelmesh_labeling.watching import StatisticsFeed

SCHEMA = Schema("labelmesh_labeling.migrations", 0x6C61626C)
migrate_database = SCHEMA.migrate
# Every statement finds a few rows by an index. Plans are kept, so one made while a project was empty must still serve when it has ten
# million images: scans of whole tables, and sorting what an index has in order, must not look cheap then.
PLANNING = {f"enable_{way}": "off" for way in ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin")}


def compose(settings: LabelingSettings, verifier: IdentityVerifier, *, chance: random.Random | None = None) -> MeshServer:
    """Makes the service from its settings; `chance` decides about repeats, by default the system's randomness."""
    database = Database(
        settings.database_url.get_secret_value(),
        application_name="labeling",
        pool_size=settings.database_pool_size,
        server_settings=PLANNING,
    )
    objects = ObjectStore(
        settings.s3_endpoint,
        settings.s3_access_key,
        settings.s3_secret_key.get_secret_value(),
        settings.s3_bucket,
        region=settings.s3_region,
        secure=settings.s3_secure,
        public_url=settings.objects_url,
    )
    builder = ServerBuilder("labeling", settings, verifier=verifier)
    measures, own = Measures(builder.registry), LabelingMeasures(database, builder.registry)
    measures.database("main", database)
    measures.objects(objects)
    feed = StatisticsFeed(lambda project_id: _load(database, project_id), most_watchers=settings.most_watchers)
    parts = Parts(
        database,
        objects,
        ImageLinks(objects),
        DecoderGate(),
        feed,
        StreamGate(settings.most_label_streams),
        chance or random.SystemRandom(),
        own.count,
    )
    housekeeper = Housekeeper(database, objects)
    builder.add(
        projects_pb2.DESCRIPTOR.services_by_name["ProjectService"],
        projects_pb2_grpc.add_ProjectServiceServicer_to_server,
        ProjectServicer(parts),
    )
    builder.add(
        images_pb2.DESCRIPTOR.services_by_name["ImageService"], images_pb2_grpc.add_ImageServiceServicer_to_server, ImageServicer(parts)
    )
    builder.add(
        annotations_pb2.DESCRIPTOR.services_by_name["AnnotationService"],
        annotations_pb2_grpc.add_AnnotationServiceServicer_to_server,
        AnnotationServicer(parts),
    )
    builder.add(
        statistics_pb2.DESCRIPTOR.services_by_name["StatisticsService"],
        statistics_pb2_grpc.add_StatisticsServiceServicer_to_server,
        StatisticsServicer(parts),
    )
    builder.check("database", database.is_up)
    builder.on_stop(database.close)
    builder.on_stop(housekeeper.stop)
    builder.on_stop(own.readings.stop)
    objects.ensure_bucket()
    housekeeper.start()
    own.readings.start()
    return builder.build()


def _load(database: Database, project_id: UUID) -> ProjectStatistics:
    with database.transaction() as session:
        return project_statistics(session, project_id)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until SIGTERM, or brings the database to the newest schema and ends."""

    def composed(settings: LabelingSettings) -> MeshServer:
        return compose(settings, IdentityVerifier(JwksKeySource(settings.identity_jwks_url, ca=settings.tls_ca)))

    run("labeling", "The labeling service", LabelingSettings, SCHEMA, composed, arguments)


if __name__ == "__main__":
    main()
