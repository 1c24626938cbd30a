"""Who may speak with whom: nobody, but for the arrows of the design, and an arrow is allowed at both of its ends."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from tests.platform.kubernetes.manifests import Build, Manifest, all_builds, build, labels_of, pod_of, selects, title

# Where secrets of a machine in a cloud are told to whoever asks, and other places that must not be fetched from.
FORBIDDEN = ("169.254.169.254", "169.254.170.2", "100.100.100.200", "10.96.0.1", "172.20.0.10", "192.168.1.1", "127.0.0.1", "0.0.0.0")
PUBLIC = ("8.8.8.8", "1.1.1.1", "93.184.216.34", "198.17.255.1", "172.15.0.1")


def _policies(made: Build, workload: Manifest, direction: str) -> list[Manifest]:
    return [
        policy
        for policy in made.of("NetworkPolicy")
        if direction in policy["spec"]["policyTypes"] and selects(policy["spec"]["podSelector"], labels_of(workload))
    ]


def _may(made: Build, workload: Manifest, direction: str, other: Manifest, port: int) -> bool:
    """Whether a workload's pods may take calls from (Ingress) or call (Egress) another's, in the same namespace."""
    key, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    for policy in _policies(made, workload, direction):
        for rule in policy["spec"].get(key, []):
            ports = [entry["port"] for entry in rule.get("ports", [])]
            fits = peers not in rule or any(
                "podSelector" in peer and "namespaceSelector" not in peer and selects(peer["podSelector"], labels_of(other))
                for peer in rule[peers]
            )
            if fits and (not ports or port in ports):
                return True
    return False


def _ports(workload: Manifest) -> set[int]:
    return {port["containerPort"] for container in pod_of(workload)["spec"]["containers"] for port in container.get("ports", [])}


def _arrows(made: Build) -> set[tuple[str, str, int]]:
    """Every arrow between the workloads of a build, allowed at both ends."""
    found = set()
    for caller in made.workloads():
        for called in made.workloads():
            for port in _ports(called):
                if _may(made, caller, "Egress", called, port) and _may(made, called, "Ingress", caller, port):
                    found.add((_name(caller), _name(called), port))
    return found


def _name(workload: Manifest) -> str:
    return labels_of(workload)["app.kubernetes.io/name"]


def test_nothing_is_open_by_itself() -> None:
    for made in all_builds():
        denial = made.one("NetworkPolicy", "default-deny")["spec"]
        assert denial == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        for workload in made.workloads():
            for direction in ("Ingress", "Egress"):
                own = [policy for policy in _policies(made, workload, direction) if policy["spec"]["podSelector"]]
                assert own, f"{title(made.name, workload)} has no policy of its own for {direction}"


def test_the_arrows_between_pods_are_those_of_the_design_and_no_others() -> None:
    services = {"auth", "labeling", "inference", "augment"}
    wanted = {("gateway", service, 9000) for service in services} | {("gateway", "auth", 9100), ("gateway", "objects", 8333)}
    wanted |= {(service, "auth", 9100) for service in services - {"auth"}}
    wanted |= {("inference", "labeling", 9000), ("augment", "labeling", 9000), ("inference", "modelserver", 8500)}
    wanted |= {(client, "postgres", 5432) for client in (*services, "migrations")}
    wanted |= {(client, "objects", 8333) for client in (*services - {"auth"}, "modelserver")}
    # The gateway's own door is open to all; whether others of the mesh may go out to it is for their own policies, and they may not.
    assert _arrows(build("dev")) == wanted


def test_a_policy_allows_both_ends_or_neither() -> None:
    """What may be called by somebody who may not call, or the reverse, is a mistake in one of two policies."""
    made = build("dev")
    for caller in made.workloads():
        for called in made.workloads():
            for port in _ports(called) - {8080}:
                out, into = _may(made, caller, "Egress", called, port), _may(made, called, "Ingress", caller, port)
                assert out == into, f"{_name(caller)} to {_name(called)}:{port}"


def test_everybody_may_ask_for_names_and_nothing_else_in_other_namespaces() -> None:
    made = build("dev")
    for policy in made.of("NetworkPolicy"):
        for rule in policy["spec"].get("egress", []):
            for peer in rule.get("to", [{}]):
                if "namespaceSelector" in peer:
                    assert policy["metadata"]["name"] == "dns"
                    assert peer["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}
                    assert {(port["port"], port["protocol"]) for port in rule["ports"]} == {(53, "UDP"), (53, "TCP")}


def test_only_who_fetches_pictures_by_address_reaches_the_internet_and_nothing_that_is_not_public() -> None:
    made = build("dev")
    reaching = set()
    for workload in made.workloads():
        for policy in _policies(made, workload, "Egress"):
            for rule in policy["spec"].get("egress", []):
                for peer in rule.get("to", []):
                    if "ipBlock" in peer:
                        reaching.add(_name(workload))
                        assert sorted(port["port"] for port in rule["ports"]) == [80, 443]
                        assert not [address for address in FORBIDDEN if _inside(address, peer["ipBlock"])]
                        assert [address for address in PUBLIC if _inside(address, peer["ipBlock"])] == list(PUBLIC)
    assert reaching == {"inference", "augment"}


def test_no_policy_anywhere_leads_to_a_machine_s_metadata() -> None:
    for made in all_builds():
        for policy in made.of("NetworkPolicy"):
            for rule in policy["spec"].get("egress", []):
                for peer in rule.get("to", []):
                    if "ipBlock" in peer:
                        assert not _inside("169.254.169.254", peer["ipBlock"]), title(made.name, policy)


def _inside(address: str, block: Manifest) -> bool:
    found = ip_address(address)
    return found in ip_network(block["cidr"]) and not any(found in ip_network(less) for less in block.get("except", []))


def test_policies_name_ports_that_somebody_has() -> None:
    made = build("dev")
    there = set().union(*(_ports(workload) for workload in made.workloads())) | {53, 80, 443}
    # The collector comes with the monitoring.
    there |= {4317, 4318}
    for policy in made.of("NetworkPolicy"):
        for rule in (*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])):
            assert {entry["port"] for entry in rule.get("ports", [])} <= there, title(made.name, policy)


def test_cloudnativepg_s_pods_may_be_called_by_the_same_as_ours() -> None:
    made = build("prod")
    instance = {"cnpg.io/cluster": "postgres"}
    for name in ("auth", "labeling", "inference", "augment", "migrations"):
        workload = next(workload for workload in made.workloads() if _name(workload) == name)
        out = [
            rule
            for policy in _policies(made, workload, "Egress")
            for rule in policy["spec"].get("egress", [])
            for peer in rule.get("to", [])
            if "podSelector" in peer and selects(peer["podSelector"], instance)
        ]
        assert [port["port"] for rule in out for port in rule["ports"]] == [5432], name
        into = [
            rule
            for policy in made.of("NetworkPolicy")
            if selects(policy["spec"]["podSelector"], instance)
            for rule in policy["spec"].get("ingress", [])
            for peer in rule.get("from", [])
            if "podSelector" in peer and "namespaceSelector" not in peer and selects(peer["podSelector"], labels_of(workload))
        ]
        assert [port["port"] for rule in into for port in rule["ports"]] == [5432], name
