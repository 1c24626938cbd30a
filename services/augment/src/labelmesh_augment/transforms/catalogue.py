"""Every transform there is."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from labelmesh_augment.transforms import bending, colour, composition, cropping, erasing, mixing, moving, quality, sizing, weather
from labelmesh_augment.transforms.transform import Transform

# By name, in the order in which people look for them.
CATALOGUE: Mapping[str, Transform] = MappingProxyType(
    {
        transform.name: transform
        for module in (moving, cropping, sizing, bending, colour, quality, erasing, weather, mixing, composition)
        for transform in module.TRANSFORMS
    }
)
