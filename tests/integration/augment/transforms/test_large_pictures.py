"""Steps that change pixels where they are need little more than the picture they make, however large it is."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# Of the picture's own size: what is made of it, one more like it in between, and room for one.
_MOST_TIMES_ITS_SIZE = 3.0
# Tables, and what does not grow with a picture.
_BESIDES_MB = 16
_MOST_SECONDS = 15.0

_PROGRAM = """
import json, pathlib, re, sys, time
import cv2
import numpy as np
from labelmesh_augment.pictures.picture import Size
from labelmesh_augment.transforms.catalogue import CATALOGUE
from labelmesh_augment.transforms.effects import Cover, PixelStep
from labelmesh_augment.transforms.transform import Family, Kind

cv2.setNumThreads(1)
status, references = pathlib.Path("/proc/self/status"), pathlib.Path("/proc/self/clear_refs")

def resident(name):
    return int(re.search(name + r":\\s+(\\d+) kB", status.read_text()).group(1)) * 1024

def ends(parameter):
    match parameter.kind:
        case Kind.NUMBER | Kind.INTEGER:
            values = (parameter.minimum, parameter.maximum)
        case Kind.BOOLEAN:
            values = (False, True)
        case Kind.CHOICE:
            values = (parameter.choices[0], parameter.choices[-1])
        case Kind.COLOUR:
            values = ((0, 0, 0), (255, 0, 255))
        case Kind.KEY:
            values = ("0" * 32, "f" * 32)
    return [(value,) * 4 for value in values] if parameter.many else values

depth, channels = sys.argv[1], int(sys.argv[2])
small = np.random.default_rng(1).integers(0, np.iinfo(depth).max, (300, 400, channels), dtype=depth, endpoint=True)
colour = cv2.resize(small, (4000, 3000)).reshape((3000, 4000, 3) if channels == 3 else (3000, 4000))
colour.flags.writeable = False
found = {}
for name, transform in CATALOGUE.items():
    if transform.family not in (Family.COLOUR, Family.QUALITY, Family.ERASING, Family.WEATHER):
        continue
    for end in (0, 1):
        drawn = {parameter.name: ends(parameter)[end] for parameter in transform.drawn or transform.parameters}
        for effect in transform.act(drawn, Size(4000, 3000), ()):
            if not isinstance(effect, PixelStep | Cover):
                continue
            change = effect.change if isinstance(effect, PixelStep) else effect.paint
            references.write_text("5")  # The peak is what is there now.
            before, started = resident("VmRSS"), time.process_time()
            made = change(colour)
            seconds = time.process_time() - started
            assert made.shape == colour.shape and made.dtype == colour.dtype
            del made
            found[f"{name} {'most' if end else 'least'}"] = ((resident("VmHWM") - before) / 2**20, seconds)
print(json.dumps([colour.nbytes / 2**20, found]))
"""


@pytest.mark.parametrize(("depth", "channels"), [("uint8", 3), ("uint16", 3), ("uint8", 1), ("uint16", 1)])
def test_no_step_takes_more_than_three_times_the_size_of_its_picture(depth: str, channels: int) -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM, depth, str(channels)], capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    size, found = json.loads(done.stdout)
    assert len({name.split()[0] for name in found}) == 15
    assert not {name: growth for name, (growth, _) in found.items() if growth > _MOST_TIMES_ITS_SIZE * size + _BESIDES_MB}
    assert not {name: seconds for name, (_, seconds) in found.items() if seconds > _MOST_SECONDS}
