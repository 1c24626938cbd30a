"""The augmentation service: `python -m labelmesh_augment [serve|migrate]`. The one place where its parts are made and put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from labelmesh.augment.v1 import (
    augmentations_pb2,
    augmentations_pb2_grpc,
    classic_pb2,
    classic_pb2_grpc,
    pipelines_pb2,
    pipelines_pb2_grpc,
)
from labelmesh_chassis.answers import sweep_answers
from labelmesh_chassis.certificates import certificate_files
from labelmesh_chassis.channels import open_channel
from labelmesh_chassis.database import Database
from labelmesh_chassis.deadlines import time_left
from labelmesh_chassis.fetching import fetch
from labelmesh_chassis.housekeeping import Housekeeper
from labelmesh_chassis.identity import IdentityVerifier, JwksKeySource
from labelmesh_chassis.measures import Measures
from labelmesh_chassis.objects import ObjectStore
from labelmesh_chassis.program import Schema, run
from labelmesh_chassis.server import MeshServer, ServerBuilder
from labelmesh_chassis.settings import FetchSettings
from labelmesh_chassis.workers import PoolSettings, WorkerPool
from prometheus_client import CollectorRegistry, Counter

from labelmesh_augment.augmenting.asking import Asking, Saved
from labelmesh_augment.augmenting.servicer import AugmentationServicer
from labelmesh_augment.augmenting.sources import Sources
from labelmesh_augment.augmenting.streaming import Streams
from labelmesh_augment.classic.servicer import ClassicServicer
from labelmesh_augment.labeling.wire import SERVICES as LABELING_SERVICES
from labelmesh_augment.labeling.wire import Labeling
from labelmesh_augment.pictures.reading import inspect
from labelmesh_augment.pipelines.servicer import PipelineServicer
from labelmesh_augment.pipelines.storage import PipelineStore
from labelmesh_augment.pipelines.wire import pipeline_from
from labelmesh_augment.settings import AugmentSettings
from labelmesh_augment.work.orders import WORKER

SCHEMA = Schema("labelmesh_augment.migrations", 0x6175676D656E74)
migrate_database = SCHEMA.migrate
_SWEEPING_LOCK = 0x617567737765
_SWEPT_AT_ONCE = 1000
# Of one picture from an address outside.
_FETCH_S = 8.0


def compose(settings: AugmentSettings, verifier: IdentityVerifier) -> MeshServer:
    """Makes the service from its settings. Labeling may be away: what needs it says so, the rest goes on."""
    builder = ServerBuilder("augment", settings, verifier=verifier)
    # First of all: workers load while everything else is made.
    pool = _workers(settings, builder.registry)
    database = Database(settings.database_url.get_secret_value(), application_name="augment", pool_size=settings.database_pool_size)
    objects = _objects(settings)
    measures = Measures(builder.registry)
    measures.database("main", database)
    measures.objects(objects)
    pixels = Counter(
        "labelmesh_augment_input_pixels", "Pixels of pictures that were taken to be augmented, of all frames.", registry=builder.registry
    )
    labeling_channel = open_channel(
        settings.labeling, LABELING_SERVICES, certificates=certificate_files(settings), on_end=measures.calls_to("labeling")
    )
    labeling = Labeling(labeling_channel)
    sources = Sources(labeling, objects, _fetching(settings))
    store = PipelineStore(database, labeling)
    asking = Asking(pool, sources, Saved(store.get, pipeline_from), partial(_pixels, pixels))
    housekeeper = Housekeeper(database, [partial(sweep_answers, limit=_SWEPT_AT_ONCE)], lock_key=_SWEEPING_LOCK)
    _serve_all(
        builder,
        PipelineServicer(store),
        AugmentationServicer(asking, Streams(asking, most_streams=settings.most_streams)),
        ClassicServicer(asking),
    )
    builder.check("database", database.is_up)
    builder.check("workers", pool.is_up)
    for close in (database.close, labeling_channel.close, pool.close, housekeeper.stop):
        builder.on_stop(close)
    housekeeper.start()
    return builder.build()


def _workers(settings: AugmentSettings, registry: CollectorRegistry) -> WorkerPool:
    pool = WorkerPool(
        PoolSettings(
            target=WORKER,
            processes=settings.most_workers,
            most_weight=settings.work_in_flight,
            most_of_caller=settings.work_in_flight // 2,
            job_s=settings.job_s,
            memory_bytes=settings.worker_memory_mb * 1024 * 1024,
            service="augment",
            log_level=settings.log_level,
        ),
        registry=registry,
    )
    pool.start()
    return pool


def _pixels(taken: Counter, content: bytes) -> int:
    """Of all frames, from the file's header."""
    pixels = inspect(content).pixels
    taken.inc(pixels)
    return pixels


def _fetching(settings: FetchSettings) -> Callable[[str, int], bytes]:
    def fetched(url: str, most: int) -> bytes:
        networks, ports, left = settings.fetch_networks, settings.fetch_ports, time_left()
        # No longer than somebody waits for it.
        seconds = _FETCH_S if left is None else min(_FETCH_S, left)
        return fetch(url, max_bytes=most, timeout_s=seconds, allowed_networks=networks, allowed_ports=ports).content

    return fetched


def _objects(settings: AugmentSettings) -> ObjectStore:
    return ObjectStore(
        settings.s3_endpoint,
        settings.s3_access_key,
        settings.s3_secret_key.get_secret_value(),
        settings.s3_bucket,
        region=settings.s3_region,
        secure=settings.s3_secure,
        public_url=settings.objects_url,
    )


def _serve_all(builder: ServerBuilder, pipelines: PipelineServicer, augmentations: AugmentationServicer, classic: ClassicServicer) -> None:
    builder.add(
        pipelines_pb2.DESCRIPTOR.services_by_name["PipelineService"],
        pipelines_pb2_grpc.add_PipelineServiceServicer_to_server,
        pipelines,
    )
    builder.add(
        augmentations_pb2.DESCRIPTOR.services_by_name["AugmentationService"],
        augmentations_pb2_grpc.add_AugmentationServiceServicer_to_server,
        augmentations,
    )
    builder.add(classic_pb2.DESCRIPTOR.services_by_name["ClassicService"], classic_pb2_grpc.add_ClassicServiceServicer_to_server, classic)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until SIGTERM, or brings the database to the newest schema and ends."""

    def composed(settings: AugmentSettings) -> MeshServer:
        return compose(settings, IdentityVerifier(JwksKeySource(settings.identity_jwks_url, ca=settings.tls_ca)))

    run("augment", "The augmentation service", AugmentSettings, SCHEMA, composed, arguments)


if __name__ == "__main__":
    main()
