"""Clients of the first digit server work as they are."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.models.asking import Asker, reason_in
from tests.e2e.models.digits import SIDE, known_digits

TIMEOUT_S = 30


def as_they_do(address: str, key: str, image: object) -> bytes:
    """What such a client does, with nothing but Python's own library."""
    request = urllib.request.Request(f"{address}/predict", json.dumps({"image": image}).encode(), {"x-api-key": key})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
        answer: bytes = reply.read()
    return answer


def test_a_picture_as_rows_of_numbers_answers_with_its_digit_and_nothing_else(asker: Asker) -> None:
    for known in known_digits():
        assert json.loads(as_they_do(asker.mesh.address, asker.key, known.image)) == {"prediction": known.digit}


def test_shares_of_one_are_the_same_picture_and_the_longer_path_is_the_same(asker: Asker) -> None:
    known = known_digits()[3]
    shares = [[value / 255 for value in row] for row in known.image]
    assert asker.classic(shares) == (200, {"prediction": known.digit})
    assert asker.classic(known.image, "/inference/predict") == (200, {"prediction": known.digit})


def test_picture_and_prediction_are_stored_and_the_picture_is_the_one_that_was_sent(asker: Asker) -> None:
    known = known_digits()[5]
    assert asker.classic(known.image)[0] == 200
    status, reply = asker.mesh.call("GET", "/v1/predictions?pageSize=1", key=asker.key)
    assert status == 200, reply
    (stored,) = reply["predictions"]
    assert stored["result"]["classification"]["classes"][0]["label"] == str(known.digit)
    assert (stored["model"], stored["alias"], stored["width"], stored["height"]) == ("digits", "stable", SIDE, SIDE)
    with urllib.request.urlopen(asker.mesh.address + stored["pictureUrl"], timeout=TIMEOUT_S) as reply:
        picture = Image.open(io.BytesIO(reply.read()))
    assert picture.convert("L").tobytes() == bytes(value for row in known.rows for value in row)


def test_a_picture_of_the_wrong_shape_a_missing_key_and_a_wrong_one_are_told_apart(asker: Asker) -> None:
    image = known_digits()[0].image
    status, reply = asker.classic(image[:-1])
    assert (status, reason_in(reply)) == (400, "WRONG_SHAPE")
    status, reply = asker.mesh.call("POST", "/predict", {"image": image})
    assert (status, reason_in(reply)) == (401, "CREDENTIAL_MISSING")
    status, reply = asker.mesh.call("POST", "/predict", {"image": image}, key="lmk_00000000_nonsense")
    assert (status, reason_in(reply)) == (401, "API_KEY_INVALID")


def test_a_key_that_may_only_label_does_not_ask_models(asker: Asker) -> None:
    status, reply = asker.mesh.call("POST", "/predict", {"image": known_digits()[0].image}, key=asker.mesh.api_key("labeling.read"))
    assert (status, reason_in(reply)) == (403, "SCOPE_MISSING")


@pytest.mark.parametrize("language", ["curl", "import json, os"])
def test_the_examples_that_the_interface_gives_work(asker: Asker, tmp_path: Path, language: str) -> None:
    with urllib.request.urlopen(f"{asker.mesh.address}/predict", timeout=TIMEOUT_S) as reply:
        told = reply.read().decode()
    blocks = re.findall(r"((?:^    .*\n|\n(?=    ))+)", told, re.MULTILINE)
    example = "\n".join(line.removeprefix("    ") for line in next(block for block in blocks if language in block).splitlines())
    command = ["sh", "-c", example] if language == "curl" else [sys.executable, "-c", example]
    environment = {**os.environ, "KEY": asker.key, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ('{"prediction":1}' if language == "curl" else "1")
