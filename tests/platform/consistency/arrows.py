"""Who may call whom: as the design says it (docs/network.md), and as the NetworkPolicies of Kubernetes say it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.platform.consistency.house import DOCS
from tests.platform.kubernetes.manifests import Build, Manifest

_NAME = "app.kubernetes.io/name"
_ROW = re.compile(r"^\| ([\w, -]+) \| ([\w, -]+) \| (any|[\d, ]+) \|", re.MULTILINE)
EVERYBODY = "every pod"
# What an implementation of the Gateway API runs for a Gateway, by the label that they have agreed on (GEP-1762).
_OF_A_GATEWAY = "gateway.networking.k8s.io/gateway-name"


class Arrow(NamedTuple):
    """Somebody may open connections to a port of somebody; port 0 is every one."""

    caller: str
    called: str
    port: int


def arrows_of_the_design() -> set[Arrow]:
    """The table of docs/network.md."""
    table = (DOCS / "network.md").read_text()
    return {
        Arrow(caller, called, 0 if port == "any" else int(port))
        for callers, calleds, ports in _ROW.findall(table)
        for caller in callers.split(", ")
        for called in calleds.split(", ")
        for port in ports.split(", ")
    }


class Policies:
    """The NetworkPolicies of a combination of manifests."""

    def __init__(self, made: Build) -> None:
        self._policies = made.of("NetworkPolicy")

    def outgoing(self) -> set[Arrow]:
        """What pods may call."""
        return {arrow for policy in self._policies for arrow in _arrows(policy, "egress", "to")}

    def incoming(self) -> set[Arrow]:
        """By whom pods may be called."""
        return {Arrow(arrow.called, arrow.caller, arrow.port) for policy in self._policies for arrow in _arrows(policy, "ingress", "from")}

    def allow(self, arrow: Arrow) -> bool:
        """Whether a call between two pods of the namespace comes through: it must be let out and let in."""
        return arrow in self.outgoing() and bool({arrow, arrow._replace(caller="outside")} & self.incoming())


def _arrows(policy: Manifest, direction: str, peers: str) -> Iterator[Arrow]:
    for own in _names(policy["spec"]["podSelector"]):
        for rule in policy["spec"].get(direction, ()):
            for other in _others(rule.get(peers)):
                for port in rule.get("ports", [{"port": 0}]):
                    yield Arrow(own, other, int(port["port"]))


def _others(peers: list[dict[str, Any]] | None) -> Iterator[str]:
    if peers is None:
        yield "outside"
    for peer in peers or ():
        if "ipBlock" in peer:
            yield "internet"
        elif "namespaceSelector" in peer:
            yield _of_another_namespace(peer)
        else:
            yield from _names(peer["podSelector"])


def _of_another_namespace(peer: dict[str, Any]) -> str:
    namespace = peer["namespaceSelector"].get("matchLabels", {}).get("kubernetes.io/metadata.name", "")
    pods = next(iter(peer.get("podSelector", {}).get("matchLabels", {}).values()), "")
    return {"kube-dns": "dns"}.get(pods, pods or namespace or "outside")


def _names(selector: dict[str, Any]) -> list[str]:
    labels = selector.get("matchLabels", {})
    if _OF_A_GATEWAY in labels:
        return ["proxies"]
    if _NAME in labels:
        return [labels[_NAME]]
    listed = [name for each in selector.get("matchExpressions", ()) if each["key"] == _NAME for name in each.get("values", ())]
    return listed or [next(iter(labels.values()), EVERYBODY)]
