"""`quantal view`: shows .qtl files in a browser, which decodes them itself."""

from __future__ import annotations

import functools
import io
import json
import mimetypes
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, unquote, urlsplit

import typer

from quantal.cli._inputs import expand
from quantal.cli._options import Plugin, Recursive
from quantal.cli._sources import Source
from quantal.cli._streams import say
from quantal.errors import ArgumentError, QuantalError
from quantal.names import printable

__all__ = ["PAGE", "PageServer", "Site", "view"]

PAGE = Path(__file__).parents[1] / "page"
"""Where the built page lies, in a checkout and in an installed package."""

_HOST = "127.0.0.1"
_FILES, _LIST, _MODELS = "files/", "files.json", "models/"
#: A page that is isolated from others may use threads; nothing here is for other pages to read.
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def view(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE...]", help=".qtl files, folders, or - for standard input."),
    ] = None,
    recursive: Recursive = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the server; 0 selects a free one.")
    ] = 0,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Print the address without opening a browser.")
    ] = False,
    plugin: Plugin = None,
) -> int:
    """Show pictures and clips in a browser, until Ctrl-C.

    The page is served to this machine only; the browser decodes the files. Without FILE the page
    opens empty, and files can be dropped on it.
    """
    check_page()
    found = expand(inputs or [], {".qtl"}, recursive)
    failures, good = list(found.failures), []
    for source in found.sources:
        try:
            _check(source)
            good.append(source)
        except Exception as error:
            failures.append(source.failure(error))
    for failure in failures:
        say(failure.line, err=True)
    if failures and not good:
        return 1
    try:
        server = PageServer(Site(good), port)
    except OSError as error:
        raise ArgumentError(
            f"port {port} can't be served: {error.strerror or error}; name another port, or 0 for "
            "one that is free"
        ) from error
    with server:
        say(f"{server.address}  (Ctrl-C ends)")
        try:
            if not no_open:
                webbrowser.open(server.address)
            server.serve_forever()
        except KeyboardInterrupt:
            pass  # the usual end
    return 1 if failures else 0


def check_page() -> None:
    """Raise QuantalError unless the page has been built."""
    if not (PAGE / "index.html").is_file():
        raise QuantalError(
            f"the page is missing: there is no {printable(PAGE / 'index.html')}; in a checkout, "
            "build it with `make web` (needs Node 20 and npm); wheels contain it"
        )


def _check(source: Source) -> None:
    """Check structure and checksums of a file.

    Raises:
        BitstreamError: It is damaged, or neither a picture nor a clip.
    """
    from quantal import container

    start = source.bytes(container.HEADER_LIMIT)
    media = container.media_of(start)
    if media == "video":
        content = source.content()
        with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
            clip = container.ClipReader(file)
            for _ in clip.groups():  # each is checked as it is read; sound is not played
                pass
            clip.check_index()
        return
    if media == "picture":
        # The header first: other files are refused before they are read as a whole.
        container.probe(start, source.size())
    container.read(source.bytes())


@dataclass(frozen=True)
class _Content:
    """What answers a request."""

    kind: str
    data: bytes


class Site:
    """What is served: the page, the models that it asks for, and the named files; nothing else.

    Args:
        sources: the files.
    """

    def __init__(self, sources: list[Source]) -> None:
        self._sources = sources
        self._page = {
            file.relative_to(PAGE).as_posix(): file for file in PAGE.rglob("*") if file.is_file()
        }

    def content(self, path: str) -> _Content | None:
        """Return what is at a path below the root; None if there is nothing.

        Raises:
            OSError, QuantalError: If it can't be read any more.
        """
        name = path or "index.html"
        if name == _LIST:
            entries = [
                {"name": printable(source.relative.name), "src": f"{_FILES}{number}"}
                for number, source in enumerate(self._sources)
            ]
            return _Content("application/json", json.dumps(entries).encode())
        if name.startswith(_FILES):
            known = {f"{_FILES}{place}": source for place, source in enumerate(self._sources)}
            if name not in known:
                return None
            return _Content("image/x-quantal", known[name].bytes())
        if name.startswith(_MODELS):
            data = _model(name.removeprefix(_MODELS))
            return None if data is None else _Content("application/octet-stream", data)
        file = self._page.get(name)
        return None if file is None else _Content(_kind(file), file.read_bytes())


def _kind(file: Path) -> str:
    """Return the media type of a file of the page, whatever this system calls scripts."""
    if file.suffix in (".js", ".mjs"):
        return "text/javascript"
    return mimetypes.guess_type(file.name)[0] or "application/octet-stream"


@functools.lru_cache(maxsize=4)
def _model(name: str) -> bytes | None:
    """Return a packed model by its name, or their index; None if there is none."""
    from quantal.codecs import packed

    if name == packed.INDEX:
        return json.dumps(packed.packed_index()).encode()
    for path in [path for paths in packed.packed_files().values() for path in paths]:
        if name == f"{path.stem}{packed.SUFFIX}":
            return packed.packed_weights(path)
    return None


class PageServer(ThreadingHTTPServer):
    """Serves a site to this machine.

    Args:
        site: what is served.
        port: 0 for one that is free.

    Attributes:
        address: what a browser opens.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, site: Site, port: int = 0) -> None:
        self.site = site
        super().__init__((_HOST, port), _Handler)
        self.hosts = {f"{name}:{self.server_port}" for name in (_HOST, "localhost")}
        self.address = f"http://{_HOST}:{self.server_port}/?list={quote(_LIST)}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that goes away in the middle is no error."""


class _Handler(BaseHTTPRequestHandler):
    server: PageServer

    def do_GET(self) -> None:
        self._answer(lambda data: self.wfile.write(data))

    def do_HEAD(self) -> None:
        self._answer(lambda data: None)

    def _answer(self, send: Callable[[bytes], object]) -> None:
        status, content = self._found()
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", content.kind)
        self.send_header("Content-Length", str(len(content.data)))
        self.end_headers()
        send(content.data)

    def _found(self) -> tuple[HTTPStatus, _Content]:
        # A page of another name that leads here, as by rebinding of names, gets nothing.
        if self.headers.get("Host") not in self.server.hosts:
            return HTTPStatus.FORBIDDEN, _text("served to this machine alone")
        path = unquote(urlsplit(self.path).path).removeprefix("/")
        try:
            content = self.server.site.content(path)
        except (OSError, QuantalError) as error:
            return HTTPStatus.INTERNAL_SERVER_ERROR, _text(str(error))
        if content is None:
            return HTTPStatus.NOT_FOUND, _text("there is no such file here")
        return HTTPStatus.OK, content

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: requests are not for people."""


def _text(message: str) -> _Content:
    return _Content("text/plain; charset=utf-8", message.encode("utf-8", "replace"))
