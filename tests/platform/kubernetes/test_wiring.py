"""What one manifest says of another is true: selectors, ports, names of ConfigMaps, of secrets, of what is scaled."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.platform.kubernetes.manifests import (
    K8S,
    SERVICES,
    WORKLOADS,
    Build,
    Manifest,
    all_builds,
    build,
    combinations,
    containers_of,
    labels_of,
    main_container,
    pod_of,
    selects,
    settings_of,
    title,
)


def _selected(made: Build, selector: Manifest) -> list[Manifest]:
    return [workload for workload in made.workloads() if selects({"matchLabels": selector}, labels_of(workload))]


def test_a_service_leads_to_one_workload_and_to_ports_that_it_has() -> None:
    for made in all_builds():
        for service in made.of("Service"):
            name = title(made.name, service)
            (workload,) = _selected(made, service["spec"]["selector"])
            assert workload["metadata"]["name"] == service["metadata"]["name"], name
            ports = {port["name"] for container in containers_of(workload) for port in container.get("ports", [])}
            for port in service["spec"]["ports"]:
                assert port["targetPort"] in ports, name
                assert port["name"] == port["targetPort"], name
            numbers = {port["name"]: port["containerPort"] for port in main_container(workload)["ports"]}
            for port in service["spec"]["ports"]:
                # Headless services do not translate: the port is the container's own.
                assert numbers[port["name"]] == port["port"], name


def test_callers_that_balance_see_every_replica_and_only_those_that_are_ready() -> None:
    for made in all_builds():
        for service in made.of("Service"):
            assert (service["spec"].get("clusterIP") == "None") == (service["metadata"]["name"] != "gateway")
            assert not service["spec"].get("publishNotReadyAddresses", False)
            assert service["spec"].get("type", "ClusterIP") == "ClusterIP", "nothing is open to the outside by itself"


def test_selectors_fit_their_own_pods_and_nobody_else_s() -> None:
    for made in all_builds():
        for workload in made.of("Deployment", "StatefulSet"):
            selector = workload["spec"]["selector"]
            assert [other for other in made.workloads() if selects(selector, labels_of(other))] == [workload], title(made.name, workload)
            assert labels_of(workload)["app.kubernetes.io/part-of"] == "labelmesh"
            assert labels_of(workload)["app.kubernetes.io/name"] == workload["metadata"]["name"]
            # What never changes: a selector cannot be changed afterwards.
            assert set(selector["matchLabels"]) == {"app.kubernetes.io/name", "app.kubernetes.io/component"}


def test_every_deployment_has_a_disruption_budget_that_lets_nodes_be_drained() -> None:
    for made in all_builds():
        budgets = made.of("PodDisruptionBudget")
        for workload in made.of("Deployment"):
            (budget,) = [budget for budget in budgets if selects(budget["spec"]["selector"], labels_of(workload))]
            assert budget["spec"]["maxUnavailable"] == 1, title(made.name, budget)
        for budget in budgets:
            assert any(selects(budget["spec"]["selector"], labels_of(workload)) for workload in made.workloads()), title(made.name, budget)


def test_what_is_scaled_is_there_and_nobody_else_says_how_many() -> None:
    for made in all_builds():
        for scaler in made.of("HorizontalPodAutoscaler"):
            target = scaler["spec"]["scaleTargetRef"]
            workload = made.one(target["kind"], target["name"])
            assert "replicas" not in workload["spec"], title(made.name, scaler)
            assert 2 <= scaler["spec"]["minReplicas"] < scaler["spec"]["maxReplicas"]
            (metric,) = scaler["spec"]["metrics"]
            container = metric["containerResource"]["container"]
            (measured,) = [c for c in pod_of(workload)["spec"]["containers"] if c["name"] == container]
            assert "cpu" in measured["resources"]["requests"]
    assert len(build("prod").of("HorizontalPodAutoscaler")) == 6


def test_one_replica_each_for_development() -> None:
    assert {workload["spec"]["replicas"] for workload in build("dev").of("Deployment", "StatefulSet")} == {1}


def test_names_of_config_maps_lead_to_one_and_each_is_used() -> None:
    for made in all_builds():
        used = {name for workload in made.workloads() for name in _config_maps(workload)}
        there = {manifest["metadata"]["name"] for manifest in made.of("ConfigMap")}
        assert used <= there, made.name
        # Dashboards are read by a label, not by a name.
        labelled = {m["metadata"]["name"] for m in made.of("ConfigMap") if any("grafana" in key for key in m["metadata"].get("labels", {}))}
        assert there - labelled <= used, made.name
        for name in used:
            # A new content has a new name, so pods are made anew.
            assert re.search(r"-[a-z0-9]{10}$", name), name


def _config_maps(workload: Manifest) -> set[str]:
    names = {source["configMapRef"]["name"] for container in containers_of(workload) for source in container.get("envFrom", [])}
    for volume in pod_of(workload)["spec"].get("volumes", []):
        if "configMap" in volume:
            names.add(volume["configMap"]["name"])
        names |= {source["configMap"]["name"] for source in volume.get("projected", {}).get("sources", []) if "configMap" in source}
    return names


def test_every_mount_has_its_volume_and_every_volume_is_mounted() -> None:
    for made in all_builds():
        for workload in made.workloads():
            spec = pod_of(workload)["spec"]
            volumes = {volume["name"] for volume in spec.get("volumes", [])}
            volumes |= {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
            mounted = {mount["name"] for container in containers_of(workload) for mount in container.get("volumeMounts", [])}
            assert volumes == mounted, title(made.name, workload)
            for container in containers_of(workload):
                paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
                assert len(set(paths)) == len(paths)
                # A file that is mounted by itself does not follow its secret or certificate.
                assert not any("subPath" in mount for mount in container.get("volumeMounts", []))


def test_claims_are_there() -> None:
    for made in all_builds():
        claims = {manifest["metadata"]["name"] for manifest in made.of("PersistentVolumeClaim")}
        used = {
            volume["persistentVolumeClaim"]["claimName"]
            for workload in made.workloads()
            for volume in pod_of(workload)["spec"].get("volumes", [])
            if "persistentVolumeClaim" in volume
        }
        assert claims == used, made.name


def test_no_secret_is_in_the_tree_and_none_in_an_environment() -> None:
    for made in all_builds():
        assert not made.of("Secret"), made.name
        for workload in made.workloads():
            for container in containers_of(workload):
                assert not any("secretRef" in source for source in container.get("envFrom", [])), title(made.name, workload)
                assert not any("valueFrom" in variable for variable in container.get("env", [])), title(made.name, workload)
        for settings in made.of("ConfigMap"):
            names = {name for name in settings["data"] if re.search(r"DATABASE_URL|SECRET_KEY|ACCESS_KEY|ENCRYPTION|PASSWORD", name)}
            assert not names, title(made.name, settings)
    for path in K8S.rglob("*"):
        if path.is_file():
            assert "BEGIN" not in (text := path.read_text()) or "PRIVATE KEY" not in text, path


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_its_secrets_where_they_are_mounted(service: str) -> None:
    wanted = {
        "auth": {"labelmesh_database_url", "labelmesh_key_encryption_key"},
        "labeling": {"labelmesh_database_url", "labelmesh_s3_access_key", "labelmesh_s3_secret_key"},
    }
    for made in all_builds():
        for workload in (made.one("Deployment", service), *_migrations(made, service)):
            container = main_container(workload)
            folder = settings_of(made, container)["LABELMESH_SECRETS_DIR"]
            (mount,) = [mount for mount in container["volumeMounts"] if mount["mountPath"] == folder]
            files = {item["path"] for item in _secret_items(workload, mount["name"])}
            job = workload["kind"] == "Job"
            assert files == ({"labelmesh_database_url"} if job else wanted.get(service, wanted["labeling"])), title(made.name, workload)
            assert mount["readOnly"] is True


def _migrations(made: Build, service: str) -> list[Manifest]:
    found = [job for job in made.of("Job") if labels_of(job).get("app.kubernetes.io/instance") == service]
    assert len(found) == 1
    return found


def _secret_items(workload: Manifest, name: str) -> list[dict[str, Any]]:
    (volume,) = [volume for volume in pod_of(workload)["spec"]["volumes"] if volume["name"] == name]
    return [item for source in volume["projected"]["sources"] for item in source["secret"]["items"]]


def test_only_its_owner_sees_the_secret_of_a_database() -> None:
    for made in all_builds():
        for workload in made.of(*WORKLOADS):
            own = labels_of(workload).get("app.kubernetes.io/instance", workload["metadata"]["name"])
            for volume in pod_of(workload)["spec"].get("volumes", []):
                for source in volume.get("projected", {}).get("sources", []):
                    name = source.get("secret", {}).get("name", "")
                    # Who makes them, and who backs them up, sees all.
                    if name.endswith("-database") and own not in ("postgres", "backup"):
                        assert name == f"{own}-database", title(made.name, workload)


def test_modes_of_secrets_let_nobody_else_read_them() -> None:
    for made in all_builds():
        for workload in made.workloads():
            for volume in pod_of(workload)["spec"].get("volumes", []):
                kind = volume.get("secret") or ("projected" in volume and volume["projected"])
                if kind:
                    assert kind["defaultMode"] == 0o440, title(made.name, workload)


def test_targets_of_grpc_are_balanced_over_all_replicas() -> None:
    for made in all_builds():
        for service, setting, target in (
            ("inference", "LABELMESH_LABELING", "labeling"),
            ("augment", "LABELMESH_LABELING", "labeling"),
            ("inference", "LABELMESH_MODEL_SERVER", "modelserver"),
        ):
            settings = settings_of(made, main_container(made.one("Deployment", service)))
            host, _, port = settings[setting].removeprefix("dns:///").partition(":")
            assert settings[setting].startswith("dns:///")
            assert host == target
            assert int(port) in {port["port"] for port in made.one("Service", host)["spec"]["ports"]}


def test_all_agree_where_the_objects_are() -> None:
    for made in all_builds():
        gateway = settings_of(made, containers_of(made.one("Deployment", "gateway"))[0])
        for service in ("labeling", "inference", "augment"):
            settings = settings_of(made, main_container(made.one("Deployment", service)))
            if "objects-outside" in combinations()[made.name][1]:
                continue  # the place's own overlay says it, to both
            assert settings["LABELMESH_S3_ENDPOINT"] == gateway["LABELMESH_GATEWAY_OBJECTS"], made.name
            assert settings["LABELMESH_S3_SECURE"] == gateway.get("LABELMESH_GATEWAY_OBJECTS_TLS", "false"), made.name


def test_with_mtls_everybody_shows_a_certificate_and_knows_whom_to_let_in() -> None:
    for made in (build("prod"), build("dev+monitoring+mtls")):
        callers = {"auth": "gateway", "labeling": "gateway,inference,augment", "inference": "gateway", "augment": "gateway"}
        for name in (*SERVICES, "gateway"):
            workload = made.one("Deployment", name)
            (certificate,) = [c for c in made.of("Certificate") if c["metadata"]["name"] == name]
            assert {f"{name}{rest}" for rest in ("", ".labelmesh", ".labelmesh.svc", ".labelmesh.svc.cluster.local")} == set(
                certificate["spec"]["dnsNames"]
            )
            (volume,) = [v for v in pod_of(workload)["spec"]["volumes"] if v["name"] == "tls"]
            assert volume["secret"]["secretName"] == certificate["spec"]["secretName"]
            (mount,) = [m for m in main_container(workload)["volumeMounts"] if m["name"] == "tls"]
            settings = settings_of(made, main_container(workload) if name != "gateway" else containers_of(workload)[0])
            prefix = "LABELMESH_GATEWAY_UPSTREAM_" if name == "gateway" else "LABELMESH_TLS_"
            for setting, file in (("CERTIFICATE", "tls.crt"), ("PRIVATE_KEY", "tls.key"), ("CA", "ca.crt")):
                assert settings[prefix + setting] == f"{mount['mountPath']}/{file}"
            if name in callers:
                assert settings["LABELMESH_TLS_CALLERS"] == callers[name]
            if name not in ("auth", "gateway"):
                assert settings["LABELMESH_IDENTITY_JWKS_URL"].startswith("https://auth:9100/")
            assert {"server auth", "client auth"} <= set(certificate["spec"]["usages"])


def test_with_mtls_the_collector_takes_spans_by_tls_for_the_name_that_it_is_called_by() -> None:
    made = build("dev+tracing+mtls")
    collector = made.one("Deployment", "collector")
    (volume,) = [v for v in pod_of(collector)["spec"]["volumes"] if v["name"] == "tls"]
    (mount,) = [m for m in main_container(collector)["volumeMounts"] if m["name"] == "tls"]
    (certificate,) = [c for c in made.of("Certificate") if c["spec"]["secretName"] == volume["secret"]["secretName"]]
    callers = [main_container(made.one("Deployment", service)) for service in SERVICES]
    called = {settings_of(made, caller)["LABELMESH_OTLP_ENDPOINT"] for caller in callers}
    gateway = settings_of(made, containers_of(made.one("Deployment", "gateway"))[0])
    called |= {gateway["LABELMESH_GATEWAY_OTLP"], gateway["LABELMESH_GATEWAY_OTLP_HTTP"]}
    assert {target.rpartition(":")[0] for target in called} <= set(certificate["spec"]["dnsNames"])
    (added,) = [a for a in main_container(collector)["args"] if a.startswith("--config=yaml:")]
    protocols = yaml.safe_load(added.removeprefix("--config=yaml:"))["receivers"]["otlp"]["protocols"]
    files = {"cert_file": "tls.crt", "key_file": "tls.key", "client_ca_file": "ca.crt"}
    for protocol in ("grpc", "http"):
        assert {name: protocols[protocol]["tls"][name] for name in files} == {
            name: f"{mount['mountPath']}/{file}" for name, file in files.items()
        }
        # cert-manager renews them while it runs.
        assert protocols[protocol]["tls"]["reload_interval"] == "60s"
