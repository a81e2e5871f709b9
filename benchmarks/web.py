"""Time the page in headless Chromium: the first picture of a codec, and the next ones.

    python benchmarks/web.py PICTURES [--codecs context-s,vq] [--quality 60] [--threads]

Needs `make web`, Chromium and the package playwright. A plain host of static files serves the page,
so networks run in one thread; --threads isolates the page, which lets it use several.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

import quantal

PAGE = Path(__file__).parents[1] / "web" / "dist" / "page"
#: Times that a picture is drawn again.
ROUNDS = 5
_ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}
_DRAW = """async ([src, rounds]) => {
    const { Decoder } = await import("./quantal.js");
    const data = new Uint8Array(await (await fetch(src)).arrayBuffer());
    const decoder = new Decoder("./");
    const times = [];
    for (let round = 0; round <= rounds; round++) {
        const start = performance.now();
        const picture = await decoder.decode(data);
        times.push([performance.now() - start, picture.times.parse, picture.times.draw]);
    }
    decoder.close();
    return times;
}"""


@contextmanager
def served(files: Path, isolated: bool) -> Iterator[str]:
    """Serve the page, and coded pictures below files/."""

    class Handler(SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            if path.startswith("/files/"):
                return str(files / path.removeprefix("/files/"))
            return super().translate_path(path)

        def end_headers(self) -> None:
            for name, value in _ISOLATION.items() if isolated else ():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *a: Handler(*a, directory=str(PAGE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def measure(browser: Any, address: str, src: str) -> list[list[float]]:
    """Return milliseconds of every round: in all, of reading symbols, of drawing."""
    page = browser.new_context().new_page()
    page.goto(address)
    found: list[list[float]] = page.evaluate(_DRAW, [src, ROUNDS])
    page.context.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--codecs", default="context-s,context-m,vq")
    parser.add_argument("--quality", type=int, default=60)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--threads", action="store_true")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    pictures = sorted(options.pictures.glob("*.png"))[: options.count]
    print("| codec | first, s | next, s | of these, reading | drawing |")
    print("|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as engine:
        browser = engine.chromium.launch(
            executable_path=options.chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        with served(Path(folder), options.threads) as address:
            for codec in options.codecs.split(","):
                firsts, best = [], []
                for picture in pictures:
                    data = quantal.compress(
                        Image.open(picture).convert("RGB"), quality=options.quality, codec=codec
                    )
                    (Path(folder) / "picture.qtl").write_bytes(data)
                    first, *others = measure(browser, address, "files/picture.qtl")
                    firsts.append(first[0])
                    best.append(min(others))
                mean = [statistics.mean(each) / 1000 for each in zip(*best, strict=True)]
                cells = [statistics.mean(firsts) / 1000, *mean]
                print(f"| `{codec}` | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")
        browser.close()


if __name__ == "__main__":
    main()
