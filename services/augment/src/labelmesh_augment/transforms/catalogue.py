"""Every transform there is."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from labelmesh_augment.transforms import bending, composition, cropping, moving, sizing
from labelmesh_augment.transforms.transform import Transform

# By name, in the order in which people look for them.
CATALOGUE: Mapping[str, Transform] = MappingProxyType(
    {transform.name: transform for module in (moving, cropping, sizing, bending, composition) for transform in module.TRANSFORMS}
)
