"""ICC profiles. Source: ICC.1:2022, 7.2: bytes 16 to 19 name the colour space, 36 to 39 are "acsp"."""

from __future__ import annotations

import io

from PIL import Image, ImageCms

MAX_PROFILE = 4 * 1024 * 1024
_SPACES = {b"GRAY": 1, b"RGB ": 3, b"CMYK": 4}


def channels_of(profile: bytes | None) -> int:
    """How many channels a profile is for: 1, 3 or 4; 0 for none, a broken one or one for anything else."""
    if profile is None or not 128 < len(profile) <= MAX_PROFILE or profile[36:40] != b"acsp":
        return 0
    return _SPACES.get(profile[16:20], 0)


def fitting(profile: bytes | None, channels: int) -> bytes | None:
    """The profile, if it says what these channels mean."""
    return profile if channels_of(profile) == channels else None


def rgb_of_cmyk(image: Image.Image, profile: bytes | None) -> Image.Image:
    """A CMYK picture in sRGB: by its profile, or plainly where it has none that can be used."""
    if channels_of(profile) == 4:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile or b""))
            converted = ImageCms.profileToProfile(
                image, source, ImageCms.createProfile("sRGB"), renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB"
            )
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    return image.convert("RGB")
