"""`quantal view`: what it serves, to whom, and how it says what is wrong."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from typer.testing import CliRunner

from quantal.cli import app, view
from quantal.cli._inputs import expand
from quantal.latents.features import encode

GOLDEN = Path(__file__).parents[1] / "golden"
PICTURE = GOLDEN / "context-s" / "grey.qtl"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page that was not built: its content is of no interest here."""
    folder = tmp_path / "page"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html>", encoding="utf-8")
    (folder / "assets" / "main.js").write_text("export {}", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("nobody's", encoding="utf-8")
    monkeypatch.setattr(view, "PAGE", folder)
    return folder


@pytest.fixture
def server(page: Path) -> Iterator[view.PageServer]:
    import threading

    with view.PageServer(view.Site(expand([str(PICTURE)], {".qtl"}).sources)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def _get(
    server: view.PageServer, path: str, host: str | None = None, method: str = "GET"
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request(method, path, headers={} if host is None else {"Host": host})
    response = connection.getresponse()
    return response.status, dict(response.getheaders()), response.read()


def test_the_named_files_are_served_with_their_names(server: view.PageServer) -> None:
    status, _, listed = _get(server, "/files.json")
    assert status == 200
    (entry,) = json.loads(listed)
    assert entry["name"] == "grey.qtl"
    assert _get(server, f"/{entry['src']}")[2] == PICTURE.read_bytes()


def test_nothing_else_is_served(server: view.PageServer) -> None:
    for path in (
        "/files/1",
        "/files/../secret.txt",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/assets/",
        "//etc/passwd",
        "/models/vq.md",
        "/models/../weights/vq.md",
    ):
        assert _get(server, path)[0] == 404, path
    assert _get(server, "/", method="POST")[0] == 501


def test_it_answers_to_this_machines_names_alone(server: view.PageServer) -> None:
    port = server.server_port
    assert _get(server, "/", f"127.0.0.1:{port}")[0] == 200
    assert _get(server, "/", f"localhost:{port}")[0] == 200
    assert _get(server, "/files/0", "elsewhere.example")[0] == 403
    assert server.server_address[0] == "127.0.0.1"


def test_pages_are_isolated_and_scripts_are_scripts(server: view.PageServer) -> None:
    _, headers, _ = _get(server, "/assets/main.js")
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Content-Type"] == "text/javascript"
    status, headers, body = _get(server, "/?list=files.json", method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, "15", b"")


def test_models_are_packed_when_they_are_asked_for(server: view.PageServer) -> None:
    index = json.loads(_get(server, "/models/index.json")[2])
    (entry,) = index["context-s"]
    assert entry["hash"] == "e3eaf41a"
    status, _, data = _get(server, f"/models/{entry['file']}")
    assert status == 200
    assert len(data) < 6_000_000  # the weights file has 6.8 MB, with all of its encoder


def test_a_file_that_went_away_is_an_error_in_words(page: Path, tmp_path: Path) -> None:
    path = tmp_path / "gone.qtl"
    path.write_bytes(PICTURE.read_bytes())
    site = view.Site(expand([str(path)], {".qtl"}).sources)
    path.unlink()
    with pytest.raises(OSError):
        site.content("files/0")


def _call(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["view", "--no-open", *words])
    return result.exit_code, result.output


def test_a_missing_page_says_how_to_build_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "PAGE", tmp_path)
    status, said = _call(str(PICTURE))
    assert status == 1
    assert "build it with `make web`" in said


def test_files_that_are_no_pictures_are_refused_by_name(page: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.qtl"
    cut.write_bytes(PICTURE.read_bytes()[:-1])
    text = tmp_path / "text.qtl"
    text.write_text("no picture", encoding="utf-8")
    clip = tmp_path / "clip.qtl"
    clip.write_bytes((GOLDEN / "video-s" / "clip.qtl").read_bytes()[:-1])
    features = tmp_path / "features.qtl"
    features.write_bytes(encode(np.ones((2, 3), np.float32), max_error=0.1))
    status, said = _call(*map(str, (cut, text, clip, features, tmp_path / "none.qtl")))
    assert status == 1
    assert "cut.qtl: the file has" in said
    assert "text.qtl: not a .qtl file" in said
    assert "clip.qtl: the index is damaged" in said
    assert "features.qtl: the file holds features, expected a picture" in said
    assert "none.qtl" in said


def test_a_port_that_is_taken_is_named(page: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, said = _call("--port", str(port))
    assert status == 2
    assert f"port {port} can't be served" in said


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of Unix")
def test_ctrl_c_ends_it_quietly(page: Path, usual_signals: None) -> None:
    code = (
        "import sys, pathlib; from quantal.cli import main, view; "
        f"view.PAGE = pathlib.Path({str(page)!r}); main()"
    )
    words = ["view", str(PICTURE), "--no-open"]
    with subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().split()[0]
        parts = urlsplit(address)
        connection = http.client.HTTPConnection("127.0.0.1", parts.port or 0, timeout=60)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert process.stderr.read() == ""
