"""one_label.py ADDRESS [SECONDS]: gives one label in a mesh with the demo, as `guest`, and sees that it counts. Needs Python alone.

Waits so long for the demo's project (600 s by default). Ends with 0 when the label is in the statistics, else with a sentence and 1.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from typing import Any

GUEST = {"name": "guest", "password": "123456"}


def call(address: str, path: str, body: Mapping[str, Any] | None = None, token: str = "") -> dict[str, Any]:
    """A call by JSON; raises OSError where it fails."""
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address + path, data, headers), timeout=15) as reply:
        answer: dict[str, Any] = json.load(reply)
    return answer


def project_of_demo(address: str, seconds: float) -> tuple[str, dict[str, Any]]:
    """Signs in and waits for a project with images; the token and the project."""
    deadline, why = time.monotonic() + seconds, "nobody answers"
    while time.monotonic() < deadline:
        try:
            token = str(call(address, "/v1/sessions", GUEST)["token"])
            projects = call(address, "/v1/projects", token=token).get("projects", [])
            if projects and int(projects[0].get("imagesCount", 0)) > 0:
                return token, projects[0]
            why = f"there are no images: {projects}"
        except (OSError, ValueError) as problem:
            why = str(problem)
        time.sleep(2)
    raise TimeoutError(f"no demo after {seconds:.0f} s: {why}")


def label(address: str, seconds: float) -> str:
    """Gives the label; what there is to say of it."""
    token, project = project_of_demo(address, seconds)
    place = f"/v1/projects/{project['id']}"
    given = labels_given(address, place, token)
    client = "one-label"
    lease = call(address, f"{place}/leases", {"requestId": str(uuid.uuid4()), "clientId": client}, token)["next"]["lease"]
    body = {"requestId": str(uuid.uuid4()), "clientId": client, "leaseId": lease["id"], "classId": project["classes"][0]["id"]}
    call(address, f"{place}/annotations", body, token)
    after = labels_given(address, place, token)
    if after != given + 1:
        raise ValueError(f"{given} labels before, {after} after")
    return f"{project['displayName']}: {after} labels"


def labels_given(address: str, place: str, token: str) -> int:
    return int(call(address, f"{place}/statistics", token=token)["project"].get("labels", 0))


if __name__ == "__main__":
    try:
        print(label(sys.argv[1].rstrip("/"), float(sys.argv[2]) if len(sys.argv) > 2 else 600))
    except urllib.error.HTTPError as refusal:
        sys.exit(f"{refusal.url}: {refusal} {refusal.read().decode(errors='replace')}")
    except (OSError, KeyError, ValueError) as problem:
        sys.exit(f"{type(problem).__name__}: {problem}")
