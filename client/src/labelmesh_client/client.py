"""The way in: `connect` and the client it returns."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from labelmesh.auth.v1 import sessions_pb2

from labelmesh_client import predictions, projects
from labelmesh_client.accounts import ApiKeys, Users
from labelmesh_client.address import LOCAL_ADDRESS, Address, parse_address
from labelmesh_client.augmentations import Augmentations
from labelmesh_client.connection import Connection
from labelmesh_client.credentials import Credentials, choose_credentials
from labelmesh_client.downloads import fetch
from labelmesh_client.errors import ConfigurationError, NotFound
from labelmesh_client.images import MAX_FILE_BYTES
from labelmesh_client.inputs import Input
from labelmesh_client.models import Models
from labelmesh_client.pipelines import Pipelines
from labelmesh_client.predictions import Answer, Prediction, Predictions, Question
from labelmesh_client.predictionstream import predict_stream
from labelmesh_client.projects import LabelClass, Project
from labelmesh_client.services import Services
from labelmesh_client.timestamps import moment
from labelmesh_client.trainings import Trainings


@dataclass(frozen=True)
class SignedIn:
    """A session that was opened: its token, whose it is, after how many idle seconds it ends, and when it ends at the latest."""

    token: str
    user: str
    idle_timeout_s: float
    end_time: datetime | None


def connect(
    address: str = LOCAL_ADDRESS,
    *,
    api_key: str | None = None,
    token: str | None = None,
    user: str | None = None,
    password: str | None = None,
    patience_s: float = 30.0,
    ca_file: str | Path | None = None,
) -> Client:
    """A client for the gateway at `address` (see `parse_address`), with an API key, a session's token, or a user and password.

    Nothing is sent yet. While the server is away, reads and repeatable calls are tried again for `patience_s` seconds. `ca_file` (PEM)
    names whom to trust for TLS instead of the system's list. Raises ConfigurationError.

    >>> with connect("https://labels.example.org", api_key=key) as client:
    ...     project = client.project("Handwritten digits")
    """
    credentials = choose_credentials(api_key=api_key, token=token, user=user, password=password)
    return Client(parse_address(address), credentials, patience_s=patience_s, ca_file=ca_file)


class Client:
    """One connection to labelmesh. Threads may share it; close it, or use it in a `with`."""

    def __init__(self, address: Address, credentials: Credentials, *, patience_s: float = 30.0, ca_file: str | Path | None = None) -> None:
        self.address = address
        try:
            certificates = Path(ca_file).read_bytes() if ca_file else None
            self._tls = ssl.create_default_context(cafile=str(ca_file)) if ca_file else None
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"The CA file {ca_file} cannot be used: {error}.") from None
        self.services = Services(Connection(address, credentials, patience_s=patience_s, ca_certificates=certificates))
        self.users = Users(self.services)
        self.api_keys = ApiKeys(self.services)
        self.models = Models(self.services)
        self.trainings = Trainings(self.services)
        self.predictions = Predictions(self.services)
        self.pipelines = Pipelines(self.services)
        self.augmentations = Augmentations(self.services)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends calls in flight (Cancelled) and the connection."""
        self.services.connection.close()

    # Sessions

    def sign_in(self, user: str, password: str) -> SignedIn:
        """Opens a session. Raises Unauthenticated (WRONG_CREDENTIALS) or ResourceExhausted (SIGN_IN_THROTTLED)."""
        reply = self.services.sessions.SignIn(sessions_pb2.SignInRequest(name=user, password=password))
        session = reply.session
        return SignedIn(reply.token, session.user.name, session.idle_timeout.ToTimedelta().total_seconds(), moment(session, "end_time"))

    def sign_out(self) -> None:
        """Ends the session that this client uses."""
        self.services.sessions.SignOut(sessions_pb2.SignOutRequest())

    # Projects

    def projects(self) -> Iterator[Project]:
        """Projects that the caller may see, newest first."""
        return (Project(self, facts) for facts in projects.list_projects(self.services))

    def project(self, name_or_id: str) -> Project:
        """A project by its id or its exact name. Raises NotFound, or ConfigurationError when several have the name."""
        if _is_uuid(name_or_id):
            return Project(self, projects.get_project(self.services, name_or_id))
        found = self.find_project(name_or_id)
        if found is None:
            raise NotFound(f"There is no project “{name_or_id}”, or you may not see it.", reason="PROJECT_NOT_FOUND")
        return found

    def find_project(self, name: str) -> Project | None:
        """The project of exactly this name, or None. Raises ConfigurationError when several have it."""
        found = [project for project in self.projects() if project.display_name == name]
        if len(found) > 1:
            raise ConfigurationError(f"{len(found)} projects are named “{name}”; use the id of one: {', '.join(one.id for one in found)}.")
        return found[0] if found else None

    def create_project(
        self,
        display_name: str,
        classes: Sequence[LabelClass],
        *,
        description: str = "",
        restricted: bool = False,
        repeat_rate: float | None = None,
        lease_duration_s: float | None = None,
        suggestion_model: str = "",
    ) -> Project:
        """Makes a project with 1 to 1,000 classes, for managers and keys with `labeling.manage`.

        `repeat_rate` is the share of calls that show an annotator an image again (0 to 0.5, by default 0.2); `lease_duration_s` how long an
        image is held (1 to 3,600, by default 120); `restricted` projects are seen only by accounts and keys that name them, and managers;
        `suggestion_model` is the model whose suggestions annotators may be shown.
        """
        facts = projects.create_project(
            self.services,
            display_name,
            classes,
            description=description,
            restricted=restricted,
            repeat_rate=repeat_rate,
            lease_duration_s=lease_duration_s,
            suggestion_model=suggestion_model,
        )
        return Project(self, facts)

    # Models

    def predict(self, model: str | Question, given: Input) -> Prediction:
        """What a model says of a picture: a file's content or path, an image of a project, an address, or a tensor.

        Raises InvalidArgument for what is no picture, ResourceExhausted (MODEL_BUSY), Unavailable, DeadlineExceeded.

        >>> client.predict("digits", Path("seven.png")).result.best.label
        '7'
        >>> client.predict(Question("digits", alias="canary", top_k=3), content)
        """
        return predictions.predict(self.services, Question.of(model), given)

    def predict_batch(self, model: str | Question, given: Iterable[Input]) -> Iterator[Answer]:
        """An answer or an error for each input, in their order, many to a call. See `predictions.predict_batch`."""
        return predictions.predict_batch(self.services, Question.of(model), given)

    def predict_stream(self, model: str | Question, given: Iterable[Input]) -> Iterator[Answer]:
        """The same over a stream, for inputs as they come. See `predictionstream.predict_stream`."""
        return predict_stream(self.services, Question.of(model), given)

    def download(self, url: str, *, max_bytes: int = MAX_FILE_BYTES, deadline_s: float = 60.0) -> bytes:
        """The file at an image's URL, which may be relative to the gateway. Raises DownloadError past `max_bytes` or `deadline_s`."""
        absolute = self.address.resolve(url)
        return fetch(absolute, max_bytes=max_bytes, deadline_s=deadline_s, use_proxy=not self.address.is_loopback, tls=self._tls)


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
