"""The edge of labelmesh: Envoy's configuration and the OpenAPI document, both made from the contract's descriptors."""

from __future__ import annotations

from labelmesh_gateway.rendering import render, write
from labelmesh_gateway.settings import GatewaySettings

__all__ = ["GatewaySettings", "render", "write"]
