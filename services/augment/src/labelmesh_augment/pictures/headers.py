"""What a file says of itself, and how much of it is taken. Every reader judges this before a decoder sees the body."""

from __future__ import annotations

from dataclasses import dataclass, field

from labelmesh_chassis.errors import InvalidArgument

from labelmesh_augment.pipelines.pipeline import Format

# EXIF's orientation of pictures that are stored as they are seen.
UPRIGHT = 1
# More often than this no picture is played; formats count to 65,535.
FOREVER = 0
ONCE = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a file: bytes, pixels of all frames together, pixels of a side, frames."""

    bytes: int = 16 * 1024 * 1024
    pixels: int = 50_000_000
    side: int = 30_000
    frames: int = 1_000


@dataclass(frozen=True, slots=True)
class Header:
    """Pixels as stored; `orientation` is EXIF's, 1 to 8."""

    format: Format
    stored_width: int
    stored_height: int
    frames: int = 1
    orientation: int = UPRIGHT

    @property
    def width(self) -> int:
        """Of the upright picture."""
        return self.stored_height if self.orientation >= 5 else self.stored_width

    @property
    def height(self) -> int:
        """Of the upright picture."""
        return self.stored_width if self.orientation >= 5 else self.stored_height

    @property
    def pixels(self) -> int:
        """Of all frames together."""
        return self.stored_width * self.stored_height * self.frames


@dataclass(frozen=True, slots=True)
class Nature:
    """What writing a file like the one that was read needs, besides its pixels.

    `quality` is that of the luma, 1 to 100, 0 where the format has none; `sampling` is how many luma samples there are for one of chroma,
    across and down. `profile` is ICC's, `exif` a TIFF structure without the prefix "Exif", `xmp` a packet, all as they were in the file.
    `plays` is how often an animation is shown, FOREVER or a number. `compression` is TIFF's.
    """

    format: Format
    quality: int = 0
    chroma_quality: int = 0
    sampling: tuple[int, int] = (0, 0)
    lossless: bool = False
    profile: bytes | None = field(default=None, repr=False)
    exif: bytes | None = field(default=None, repr=False)
    xmp: bytes | None = field(default=None, repr=False)
    plays: int = ONCE
    compression: int = 0


def refused(reason: str, problem: str) -> InvalidArgument:
    """A file that is not taken."""
    return InvalidArgument(reason, problem, field="source")


def damaged(name: str, what: str = "") -> InvalidArgument:
    """A file whose parts contradict one another."""
    return refused("NOT_AN_IMAGE", f"the {name} is damaged{': ' if what else ''}{what}")


def truncated(name: str, content: bytes) -> InvalidArgument:
    """A file that ends before its end."""
    return refused("TRUNCATED", f"the {name} ends early: {len(content):,} bytes are not the whole file; send it again")


def check(header: Header, limits: Limits, name: str) -> Header:
    """The header, if the picture is within limits. InvalidArgument: TOO_MANY_PIXELS, TOO_MANY_FRAMES; NOT_AN_IMAGE without pixels."""
    width, height = header.stored_width, header.stored_height
    if width < 1 or height < 1 or header.frames < 1:
        raise damaged(name, f"it has {width} x {height} pixels in {header.frames} frames")
    if header.frames > limits.frames:
        raise refused("TOO_MANY_FRAMES", f"the {name} has {header.frames:,} frames; at most {limits.frames:,} are taken")
    if width > limits.side or height > limits.side:
        raise refused("TOO_MANY_PIXELS", f"the {name} is {width:,} x {height:,} pixels; at most {limits.side:,} on a side are taken")
    if header.pixels > limits.pixels:
        frames = f" in {header.frames:,} frames" if header.frames > 1 else ""
        raise refused(
            "TOO_MANY_PIXELS", f"the {name} has {width:,} x {height:,} pixels{frames}; at most {limits.pixels:,} in all are taken"
        )
    return header
