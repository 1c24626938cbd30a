"""What lenses, sensors and files do to a picture."""

from __future__ import annotations

from labelmesh_augment.transforms.transform import Transform

TRANSFORMS: tuple[Transform, ...] = ()
