"""What the tests of the page share: Node, the page as it is built, and a browser."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from quantal.cli import view
from quantal.cli._inputs import expand
from quantal.codecs.packed import write_packed

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
_OLDEST_NODE = 20

#: A container has no sandbox and no display, and the browser has nothing to say to its maker.
_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]


def npm(*words: str) -> str:
    """Run npm in web/; return what it prints, or fail with it."""
    done = subprocess.run(
        ["npm", *words], cwd=WEB, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="session")
def node() -> None:
    """Node and the packages of web/; a test is skipped where they are not."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("needs Node 20 and npm")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.strip().lstrip("v").split(".")[0]) < _OLDEST_NODE:
        pytest.skip(f"needs Node {_OLDEST_NODE}, found {version.stdout.strip()}")
    if not (WEB / "node_modules" / ".package-lock.json").is_file():
        pytest.skip("needs the packages of web/: `make test` fetches them, or `npm ci` in web/")


@pytest.fixture(scope="session")
def built(node: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built page, without models."""
    folder = tmp_path_factory.mktemp("page")
    npm("run", "kernel")
    npm("exec", "--", "vite", "build", "--outDir", str(folder), "--logLevel", "error")
    return folder


@pytest.fixture
def page(built: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, where `quantal view` finds it."""
    monkeypatch.setattr(view, "PAGE", built)
    return built


@pytest.fixture(scope="session")
def site(built: Path) -> Path:
    """The same with models of one codec: what `make web` makes for web hosts has all."""
    write_packed(built / "models", ["context-s"])
    return built


@contextmanager
def _running(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


Serve = Callable[..., str]


@pytest.fixture
def serve(page: Path) -> Iterator[Serve]:
    """Serve files as `quantal view` does; gives the address."""
    with ExitStack() as running:

        def start(*files: Path) -> str:
            server = view.PageServer(view.Site(expand([str(f) for f in files], {".qtl"}).sources))
            running.enter_context(_running(server))
            return server.address

        yield start


@pytest.fixture
def host() -> Iterator[Callable[[Path], str]]:
    """A plain host of static files, as any is; gives the address of a folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with ExitStack() as running:

        def start(folder: Path) -> str:
            server = ThreadingHTTPServer(
                ("127.0.0.1", 0), lambda *args: Quiet(*args, directory=str(folder))
            )
            running.enter_context(_running(server))
            return f"http://127.0.0.1:{server.server_port}/"

        yield start


# Not for the whole session: other tests start a browser of their own, and Playwright runs one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("needs a Chromium")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=found, args=_ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Opened:
    """A page in the browser, and everything it complained about or asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[[str], Opened]]:
    """Open an address; what the page asks for has to be on this machine."""
    opened: list[Opened] = []

    def start(address: str) -> Opened:
        found = Opened(browser.new_context(viewport={"width": 1280, "height": 900}).new_page())
        found.page.on("console", lambda message: found.complaints.append(message.text))
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.on("request", lambda request: found.requests.append(request.url))
        opened.append(found)
        found.page.goto(address)
        return found

    yield start
    for each in opened:
        each.page.context.close()
        own = ("http://127.0.0.1", "file:", "data:", "blob:")
        assert [url for url in each.requests if not url.startswith(own)] == []
