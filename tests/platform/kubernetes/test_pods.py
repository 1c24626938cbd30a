"""Pods keep to the restricted Pod Security Standard and to the house's own rules: images, resources, probes, the time they have to go."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from labelmesh_modelserver.flags import parse

from tests.platform.kubernetes.manifests import (
    HOUSE,
    SERVICES,
    WORKLOADS,
    Manifest,
    all_builds,
    build,
    containers_of,
    every,
    labels_of,
    main_container,
    pod_of,
    settings_of,
    title,
)

VERSION = tomllib.loads((HOUSE / "services" / "auth" / "pyproject.toml").read_text())["project"]["version"]
# Volumes that the restricted standard knows: nothing of the node.
VOLUMES = {"configMap", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
# Serves nothing: it waits for its pod's end.
WITHOUT_PROBES = {"tend"}


def _workloads() -> list[tuple[str, Manifest]]:
    return every(*WORKLOADS)


def test_there_is_something_to_look_at() -> None:
    names = {workload["metadata"]["name"] for _, workload in _workloads()}
    assert {*SERVICES, "gateway", "modelserver", "postgres", "objects", f"migrate-auth-{VERSION.replace('.', '-')}"} <= names


def test_pods_are_restricted() -> None:
    """Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/, "Restricted", and a read-only root besides."""
    for where, workload in _workloads():
        name = title(where, workload)
        spec = pod_of(workload)["spec"]
        assert not any(spec.get(shared) for shared in ("hostNetwork", "hostPID", "hostIPC")), name
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] >= 10_000, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert "sysctls" not in context, name
        for volume in spec.get("volumes", []):
            assert set(volume) - {"name"} <= VOLUMES, name
        for container in containers_of(workload):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, name
            assert own["readOnlyRootFilesystem"] is True, name
            assert own["capabilities"] == {"drop": ["ALL"]}, name
            assert not own.keys() & {"privileged", "procMount", "runAsUser", "runAsNonRoot", "seccompProfile"}, name
            assert not any("hostPort" in port for port in container.get("ports", [])), name


def test_the_namespace_lets_in_only_restricted_pods() -> None:
    for made in all_builds():
        (namespace,) = made.of("Namespace")
        for mode in ("enforce", "audit", "warn"):
            assert namespace["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] == "restricted"


def test_pods_have_an_identity_of_their_own_and_no_token() -> None:
    for made in all_builds():
        accounts = {account["metadata"]["name"]: account for account in made.of("ServiceAccount")}
        for workload in made.workloads():
            spec = pod_of(workload)["spec"]
            assert spec["automountServiceAccountToken"] is False, title(made.name, workload)
            assert spec["enableServiceLinks"] is False, title(made.name, workload)
            assert accounts[spec["serviceAccountName"]]["automountServiceAccountToken"] is False
        # Nothing gives any of them a right.
        assert not made.of("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")


def test_images_are_of_a_version_and_ours_of_the_house_s() -> None:
    for where, workload in _workloads():
        for container in containers_of(workload):
            image, _, tag = container["image"].partition(":")
            assert re.fullmatch(r"v?\d[\w.+-]*(@sha256:[0-9a-f]{64})?", tag), title(where, workload)
            assert "." not in image.partition("/")[0], "no registry's host stands in the tree"
            if image.startswith("labelmesh/"):
                assert tag == VERSION, title(where, workload)


def test_migrations_are_named_by_the_version_that_their_images_have() -> None:
    """Else the next release would try to change jobs, which cannot be changed."""
    for made in all_builds():
        migrations = [job for job in made.of("Job") if labels_of(job)["app.kubernetes.io/name"] == "migrations"]
        jobs = {job["metadata"]["name"]: job for job in migrations}
        assert set(jobs) == {f"migrate-{service}-{VERSION.replace('.', '-')}" for service in SERVICES}
        for job in jobs.values():
            # A setting's ConfigMap changes its name with its content, which would change the job.
            assert not any("envFrom" in container for container in containers_of(job))
            assert job["spec"]["ttlSecondsAfterFinished"] > 0
            assert job["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "Sync"


def test_containers_say_what_they_need_and_may_take() -> None:
    for where, workload in _workloads():
        for container in containers_of(workload):
            resources = container["resources"]
            for kind in ("cpu", "memory", "ephemeral-storage"):
                name = f"{title(where, workload)}, {container['name']}: {kind}"
                assert 0 < _amount(resources["requests"][kind]) <= _amount(resources["limits"][kind]), name
        for volume in pod_of(workload)["spec"].get("volumes", []):
            if "emptyDir" in volume:
                assert _amount(volume["emptyDir"]["sizeLimit"]) > 0, title(where, workload)


def test_a_pod_is_not_evicted_for_what_its_volumes_may_hold() -> None:
    """Volumes on the node's disk count with what containers write: https://kubernetes.io/docs/concepts/storage/ephemeral-storage/."""
    for where, workload in _workloads():
        spec = pod_of(workload)["spec"]
        running = [*spec["containers"], *(one for one in spec.get("initContainers", []) if one.get("restartPolicy") == "Always")]
        allowed = sum(_amount(container["resources"]["limits"]["ephemeral-storage"]) for container in running)
        folders = [volume["emptyDir"] for volume in spec.get("volumes", []) if "emptyDir" in volume]
        assert sum(_amount(folder["sizeLimit"]) for folder in folders if folder.get("medium") != "Memory") < allowed, title(where, workload)


AT_REST = {"auth": 115, "labeling": 125, "inference": 129, "gateway": 90, "modelserver": 612}


@pytest.mark.parametrize(("service", "megabytes"), AT_REST.items())
def test_a_pod_is_promised_more_memory_than_it_has_at_rest(service: str, megabytes: int) -> None:
    """As measured; augment's needs depend on its workers, below."""
    for made in all_builds():
        assert _amount(main_container(made.one("Deployment", service))["resources"]["requests"]["memory"]) > megabytes * 10**6 * 1.3


def test_augment_s_memory_holds_all_its_workers() -> None:
    for made in all_builds():
        container = main_container(made.one("Deployment", "augment"))
        settings = settings_of(made, container)
        workers, each = int(settings["LABELMESH_WORKERS"]), int(settings["LABELMESH_WORKER_MEMORY_MB"])
        assert workers >= 1
        assert _amount(container["resources"]["requests"]["memory"]) > (148 + 100 * workers) * 10**6
        assert _amount(container["resources"]["limits"]["memory"]) >= 148 * 10**6 + workers * each * 2**20
        assert _amount(container["resources"]["limits"]["cpu"]) > workers


def test_what_serves_has_all_three_probes_and_they_ask_ports_that_are_there() -> None:
    for where, workload in every("Deployment", "StatefulSet"):
        for container in pod_of(workload)["spec"]["containers"]:
            if container["name"] in WITHOUT_PROBES:
                continue
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = container[kind]
                for how in ("httpGet", "tcpSocket", "grpc"):
                    if how in probe:
                        assert probe[how]["port"] in {*ports, *ports.values()}, title(where, workload)
                assert probe.keys() & {"httpGet", "tcpSocket", "grpc", "exec"}, title(where, workload)
                assert probe["timeoutSeconds"] <= probe["periodSeconds"], title(where, workload)


@pytest.mark.parametrize("service", SERVICES)
def test_services_are_asked_by_grpc_on_the_port_of_health(service: str) -> None:
    for made in all_builds():
        container = main_container(made.one("Deployment", service))
        assert {"name": "health", "containerPort": 9200} in container["ports"]
        assert container["startupProbe"]["grpc"]["port"] == container["readinessProbe"]["grpc"]["port"] == 9200
        # Not the readiness: PostgreSQL's absence must not restart everything.
        assert container["livenessProbe"]["grpc"] == {"port": 9200, "service": "liveness"}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_the_time_to_drain(service: str) -> None:
    for made in all_builds():
        workload = made.one("Deployment", service)
        settings = settings_of(made, main_container(workload))
        pause, lead, drain = _pause(workload), float(settings["LABELMESH_DRAIN_LEAD_S"]), float(settings["LABELMESH_DRAIN_S"])
        # Callers look addresses up anew every 5 s, and need two failed checks, a second apart, to leave a replica.
        assert pause >= 5
        assert lead >= 3
        assert pod_of(workload)["spec"]["terminationGracePeriodSeconds"] >= pause + lead + drain + 10


def test_the_gateway_has_the_time_to_drain() -> None:
    for made in all_builds():
        workload = made.one("Deployment", "gateway")
        envoy, tend = pod_of(workload)["spec"]["containers"]
        command = tend["command"]
        lead, drain = (float(command[command.index(option) + 1]) for option in ("--lead", "--seconds"))
        assert envoy["name"] == "gateway"
        assert "lifecycle" not in tend, "it drains when it is told to end, which has to be at once"
        assert _pause(workload) >= lead + drain
        assert int(envoy["args"][envoy["args"].index("--drain-time-s") + 1]) >= drain
        assert pod_of(workload)["spec"]["terminationGracePeriodSeconds"] >= _pause(workload) + 10


def test_the_model_server_s_flags_are_flags() -> None:
    """Ours takes those of TensorFlow Serving, so it knows which there are; only the address to listen on is said by ours alone."""
    for made in all_builds():
        container = main_container(made.one("Deployment", "modelserver"))
        flags = parse(container["args"])
        ours = container["image"].startswith("labelmesh/")
        assert flags.host == ("0.0.0.0" if ours else "127.0.0.1")
        assert ("command" in container) != ours
        assert flags.model_config_file_poll_wait_seconds > 0
        assert ours or (flags.port, flags.rest_api_port) == (8500, 8501)
        assert ours or "--enable_grpc_healthcheck_service" in flags.ignored, "its probes ask gRPC's health"


def test_nobody_is_connected_to_a_model_server_that_is_told_to_end() -> None:
    for made in all_builds():
        workload = made.one("Deployment", "modelserver")
        flags = dict(flag.removeprefix("--").split("=", 1) for flag in main_container(workload)["args"])
        ages = dict(pair.split("=") for pair in flags["grpc_channel_arguments"].split(","))
        # gRPC changes an age by a tenth in either direction.
        oldest = float(ages["grpc.max_connection_age_ms"]) * 1.1 / 1000
        longest_call = float(ages["grpc.max_connection_age_grace_ms"]) / 1000
        assert _pause(workload) >= oldest + 10
        drain = float(flags.get("drain_seconds", 0))
        assert pod_of(workload)["spec"]["terminationGracePeriodSeconds"] >= max(oldest + longest_call, _pause(workload) + drain) + 10


def test_a_roll_out_takes_no_replica_away_before_the_next_is_there() -> None:
    for where, workload in every("Deployment"):
        update = workload["spec"]["strategy"]
        assert update["type"] == "RollingUpdate"
        gpu = "nvidia.com/gpu" in main_container(workload)["resources"]["limits"]
        # There may be no spare GPU.
        wanted = {"maxUnavailable": 1, "maxSurge": 0} if gpu else {"maxUnavailable": 0, "maxSurge": 1}
        assert update["rollingUpdate"] == wanted, title(where, workload)
        assert not gpu or workload["spec"]["replicas"] >= 2
        assert workload["spec"]["minReadySeconds"] >= 5


def test_replicas_spread_over_nodes_and_zones() -> None:
    for where, workload in every("Deployment"):
        spread = pod_of(workload)["spec"]["topologySpreadConstraints"]
        assert {constraint["topologyKey"] for constraint in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
        for constraint in spread:
            assert constraint["labelSelector"] == workload["spec"]["selector"], title(where, workload)


def test_the_gpu_model_server_asks_for_a_gpu_on_a_node_that_has_one() -> None:
    made = build("prod+rest")
    spec = pod_of(made.one("Deployment", "modelserver"))["spec"]
    container = spec["containers"][0]
    assert container["resources"]["requests"]["nvidia.com/gpu"] == container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert container["image"].endswith("-gpu")
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]
    (term,) = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert {"key": "nvidia.com/gpu.present", "operator": "In", "values": ["true"]} in term["matchExpressions"]
    settings = made.one("ConfigMap", _volume(spec, "settings")["configMap"]["name"])["data"]
    files = {flag.partition("=")[2].removeprefix("/etc/modelserver/") for flag in container["args"] if "=/etc/modelserver/" in flag}
    assert files == set(settings) == {"batching.config", "monitoring.config"}
    assert [c["name"] for c in spec["initContainers"]] == ["fetch", "refetch"]
    with pytest.raises(KeyError):
        made.one("HorizontalPodAutoscaler", "modelserver")


def _volume(spec: Manifest, name: str) -> Manifest:
    (found,) = (volume for volume in spec["volumes"] if volume["name"] == name)
    assert isinstance(found, dict)
    return found


def _pause(workload: Manifest) -> float:
    return float(main_container(workload)["lifecycle"]["preStop"]["sleep"]["seconds"])


def _amount(quantity: Any) -> float:
    """Kubernetes' numbers: "250m", "1Gi"."""
    match = re.fullmatch(r"([0-9.]+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?", str(quantity))
    assert match, quantity
    powers = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
    return float(match[1]) * powers.get(match[2] or "", 1)


def test_amounts_are_read_as_kubernetes_does() -> None:
    assert [_amount(text) for text in ("250m", "2", "1Gi", 3)] == [0.25, 2, 2**30, 3]
