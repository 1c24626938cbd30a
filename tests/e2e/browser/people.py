"""Accounts, projects and images for the browser's tests, made through the gateway's JSON."""

from __future__ import annotations

import base64
import io
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw

from tests.support.mesh import LocalMesh

PASSWORD = "correct-horse-battery"
TEN_DIGITS = tuple(str(digit) for digit in range(10))


@dataclass(frozen=True)
class Account:
    name: str
    password: str = PASSWORD


def picture(number: int, *, side: int = 28) -> bytes:
    """A PNG that differs for each number."""
    image = Image.new("L", (side, side), 235)
    draw = ImageDraw.Draw(image)
    for bit in range(16):
        if number >> bit & 1:
            x, y = bit % 4 * side // 4, bit // 4 * side // 4
            draw.rectangle((x, y, x + side // 4 - 1, y + side // 4 - 1), fill=30)
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


class Office:
    """What an admin does to prepare a test."""

    def __init__(self, mesh: LocalMesh) -> None:
        self.mesh = mesh
        self._token = ""

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """A call as the admin; signs in again where the session has ended meanwhile."""
        status, reply = self.mesh.call(method, path, body, token=self._token)
        if status == 401:
            self._token = self.mesh.sign_in("admin", self.mesh.admin_password)
            status, reply = self.mesh.call(method, path, body, token=self._token)
        assert status == 200, (status, reply)
        answer: dict[str, Any] = reply
        return answer

    def account(self, role: str = "ROLE_ANNOTATOR") -> Account:
        """A new account."""
        account = Account(f"person-{uuid.uuid4().hex[:8]}")
        body = {"requestId": str(uuid.uuid4()), "name": account.name, "password": account.password, "role": role}
        self.call("POST", "/v1/users", body)
        return account

    def project(self, images: int, *, first: int = 0, repeat_rate: float = 0.0, lease_seconds: int = 120) -> str:
        """A new project with the ten digits as classes and so many images; returns its id."""
        classes = [{"id": digit, "displayName": digit, "hotkey": digit} for digit in TEN_DIGITS]
        body = {
            "requestId": str(uuid.uuid4()),
            "displayName": f"Project {uuid.uuid4().hex[:6]}",
            "classes": classes,
            "repeatRate": repeat_rate,
            "leaseDuration": f"{lease_seconds}s",
        }
        project_id = str(self.call("POST", "/v1/projects", body)["project"]["id"])
        if images:
            self.add_images(project_id, range(first, first + images))
        return project_id

    def add_images(self, project_id: str, numbers: range) -> None:
        self.add_pictures(project_id, {f"{number}.png": picture(number) for number in numbers})

    def add_pictures(self, project_id: str, pictures: Mapping[str, bytes]) -> None:
        """Adds files by their names."""
        files = [{"name": name, "content": base64.b64encode(content).decode()} for name, content in pictures.items()]
        results = self.call("POST", f"/v1/projects/{project_id}/images:add", {"images": files})["results"]
        assert {result["outcome"] for result in results} <= {"OUTCOME_ADDED", "OUTCOME_DUPLICATE"}, results

    def suggest(self, project_id: str, model: str) -> None:
        """From now on the model suggests in this project."""
        self.call("PATCH", f"/v1/projects/{project_id}", {"suggestionModel": model, "updateMask": "suggestionModel"})

    def predictions(self, model: str) -> list[dict[str, Any]]:
        """The newest stored predictions of a model."""
        predictions: list[dict[str, Any]] = self.call("GET", f"/v1/predictions?model={model}&pageSize=50")["predictions"]
        return predictions

    def annotations(self, project_id: str) -> list[dict[str, Any]]:
        """All annotations of a small project."""
        reply = self.call("GET", f"/v1/projects/{project_id}/annotations?pageSize=1000")
        annotations: list[dict[str, Any]] = reply["annotations"]
        return annotations

    def statistics(self, project_id: str) -> dict[str, Any]:
        project: dict[str, Any] = self.call("GET", f"/v1/projects/{project_id}/statistics")["project"]
        return project
