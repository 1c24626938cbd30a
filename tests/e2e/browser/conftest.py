"""A real Chromium, and a mesh whose sessions end soon."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.e2e.browser.desk import Desk
from tests.e2e.browser.people import Office
from tests.e2e.browser.shades import add_models
from tests.support.mesh import LocalMesh

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
)
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
IDLE_SECONDS = 12
"""How soon sessions of `impatient_mesh` end; the countdown then begins half of it before."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next((found for name in CHROMIUM_NAMES if (found := shutil.which(name))), None)
    assert program, "these tests need Chromium (Debian, Ubuntu: apt-get install chromium)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB", timezone_id="UTC")
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def desk_at(context: BrowserContext) -> Iterator[Callable[[LocalMesh], Desk]]:
    """Opens pages of one browser; at the end none of them may have failed."""
    desks: list[Desk] = []

    def open_desk(mesh: LocalMesh) -> Desk:
        desks.append(Desk(context.new_page(), mesh.address))
        return desks[-1]

    yield open_desk
    assert [complaint for desk in desks for complaint in desk.complaints] == []


@pytest.fixture
def desk(desk_at: Callable[[LocalMesh], Desk], mesh: LocalMesh) -> Desk:
    return desk_at(mesh)


@pytest.fixture
def other_desk(browser: Browser, mesh: LocalMesh) -> Iterator[Desk]:
    """The page in the browser of another person."""
    context = browser.new_context(locale="en-GB", timezone_id="UTC")
    desk = Desk(context.new_page(), mesh.address)
    yield desk
    context.close()
    assert desk.complaints == []


@pytest.fixture(scope="session")
def office(mesh: LocalMesh) -> Office:
    return Office(mesh)


@pytest.fixture(scope="session")
def models_mesh(mesh_with_models: LocalMesh, tmp_path_factory: pytest.TempPathFactory) -> LocalMesh:
    """Serves digits, and the models of shades.py."""
    add_models(mesh_with_models, tmp_path_factory.mktemp("shades"))
    return mesh_with_models


@pytest.fixture
def models_desk(desk_at: Callable[[LocalMesh], Desk], models_mesh: LocalMesh) -> Desk:
    return desk_at(models_mesh)


@pytest.fixture(scope="session")
def models_office(models_mesh: LocalMesh) -> Office:
    return Office(models_mesh)


@pytest.fixture(scope="package")
def impatient_mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    """A mesh without demo data whose sessions end after IDLE_SECONDS without activity."""
    mesh = LocalMesh(tmp_path_factory.mktemp("impatient"), LABELMESH_SESSION_IDLE_SECONDS=str(IDLE_SECONDS))
    mesh.up("--no-demo", "--no-models")
    yield mesh
    mesh.end()


@pytest.fixture(scope="package")
def impatient_office(impatient_mesh: LocalMesh) -> Office:
    return Office(impatient_mesh)
