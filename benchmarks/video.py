"""Speed of video codecs: frames per second there and back, by size and threads.

    python benchmarks/video.py [--codecs video-s,video-m,x264-medium,x265-medium,vp9-good3]
                               [--sizes 416x240,640x360,1280x720] [--threads 1,2] [--frames 16]
                               [--quality 50] [--repeats 3] [--clip FILE]
                               [--json FILE] [--markdown FILE]

Quantal's codecs go from RGB frames in memory to the bytes of a .qtl file and back; a codec without
weights runs untrained and is marked; QUANTAL_WEIGHTS names a folder with more. The others go from
yuv420p frames in memory to packets and back through PyAV, without B frames and look-ahead, at one
quantiser each. Frames are those of a clip, mirrored or cropped to the size, or a drawn one: a
photograph that moves behind another, with noise.

Every measurement is a process of its own on as many cores as it has threads. It codes the first
frames once to warm up, then the clip `repeats` times; frames per second are the best and, in
brackets, the median. The first frame is an intra frame, all others are predicted. PSNR is against
the RGB frames; that of the others includes what 4:2:0 costs.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from quantal import codecs
from quantal.markdown import table

OURS = tuple(info.name for info in codecs.available() if info.media == "video")
_X265 = "keyint=48:bframes=0:rc-lookahead=0:scenecut=0:info=0:log-level=none:pools={threads}"
#: Name -> encoder, decoder, options.
CLASSICAL: dict[str, tuple[str, str, dict[str, str]]] = {
    "x264-veryfast": (
        *("libx264", "h264"),
        {"preset": "veryfast", "tune": "psnr,zerolatency", "qp": "27", "sc_threshold": "0"},
    ),
    "x264-medium": (
        *("libx264", "h264"),
        {"preset": "medium", "tune": "psnr,zerolatency", "qp": "27", "sc_threshold": "0"},
    ),
    "x265-medium": (
        *("libx265", "hevc"),
        {"preset": "medium", "tune": "psnr", "x265-params": f"qp=27:{_X265}"},
    ),
    "svtav1-8": (
        *("libsvtav1", "libdav1d"),
        {
            "preset": "8",
            "crf": "36",
            "svtav1-params": "tune=1:keyint=48:pred-struct=1:lookahead=0:scd=0:lp={threads}",
        },
    ),
    "vp9-good3": (
        *("libvpx-vp9", "vp9"),
        {
            "deadline": "good",
            "cpu-used": "3",
            "crf": "34",
            "b": "0",
            "lag-in-frames": "0",
            "auto-alt-ref": "0",
            "row-mt": "1",
        },
    ),
}
CODECS = (*OURS, *CLASSICAL)
USUAL = tuple(name for name in CODECS if name not in ("x264-veryfast", "svtav1-8"))
WARMING = 3  # frames
COLUMNS = ("codec", "threads", "encodes, frames/s", "decodes, frames/s", "bpp", "PSNR-RGB")

Pixels = NDArray[np.uint8]


class Coder(NamedTuple):
    """A codec to measure.

    Attributes:
        encode: maps frames as `ready` gives them to a code.
        decode: maps a code to decoded frames.
        size: bytes of the frames in a code.
        ready: maps RGB frames to what the codec takes.
        shown: maps a decoded frame to RGB.
    """

    encode: Callable[[list[Any]], Any]
    decode: Callable[[Any], list[Any]]
    size: Callable[[Any], int]
    ready: Callable[[Pixels], list[Any]]
    shown: Callable[[Any], Pixels]


@dataclass
class Row:
    """Measurements of one codec at one size with one number of threads."""

    codec: str
    size: str
    threads: int
    untrained: bool
    encode: list[float]
    decode: list[float]
    bpp: float
    psnr: float


def ours(name: str, weights: str | None, quality: int) -> Coder:
    import quantal
    from quantal import container
    from quantal.codecs.video_contract import VideoCodec

    codec = quantal.load(name, "cpu", weights=weights)
    assert isinstance(codec, VideoCodec)

    def size(data: bytes) -> int:
        groups = container.ClipReader(io.BytesIO(data)).groups()
        return sum(len(frame.payload) for group in groups for frame in group.frames)

    def decode(data: bytes) -> list[Pixels]:
        with quantal.open(data, codec=codec) as clip:
            return [frame.pixels for frame in clip]

    return Coder(
        lambda frames: quantal.compress_clip(frames, codec, quality=quality),
        decode,
        size,
        list,
        lambda frame: frame,
    )


def classical(name: str, threads: int) -> Coder:
    encoder, decoder, options = CLASSICAL[name]
    options = {key: value.format(threads=threads) for key, value in options.items()}

    def ready(frames: Pixels) -> list[Any]:
        return [av.VideoFrame.from_ndarray(f, "rgb24").reformat(format="yuv420p") for f in frames]

    def encode(frames: list[Any]) -> list[bytes]:
        context = av.CodecContext.create(encoder, "w")
        context.width, context.height = frames[0].width, frames[0].height
        context.pix_fmt, context.gop_size, context.max_b_frames = "yuv420p", 48, 0
        context.framerate, context.time_base = Fraction(25), Fraction(1, 25)
        context.thread_count, context.options = threads, options
        packets = []
        for number, frame in enumerate([*frames, None]):
            if frame is not None:
                frame.pts, frame.time_base = number, context.time_base
            packets += [bytes(packet) for packet in context.encode(frame)]
        return packets

    def decode(packets: list[bytes]) -> list[Any]:
        context = av.CodecContext.create(decoder, "r")
        context.thread_count = threads
        given = [*map(av.Packet, packets), None]
        return [frame for packet in given for frame in context.decode(packet)]

    return Coder(
        encode,
        decode,
        lambda packets: sum(map(len, packets)),
        ready,
        lambda frame: frame.to_ndarray(format="rgb24"),
    )


def fitted(picture: Pixels, width: int, height: int) -> Pixels:
    """Return a picture of exactly that size, mirrored where it is smaller, to keep its detail."""
    sides = zip((height, width), picture.shape[:2], strict=True)
    edges = [(0, max(wanted - has, 0)) for wanted, has in sides]
    return np.pad(picture, (*edges, (0, 0)), mode="symmetric")[:height, :width]


def clip_of(path: str | None, width: int, height: int, count: int) -> Pixels:
    """Return frames, uint8 [count, H, W, 3]."""
    if path:
        from quantal import clips

        with clips.read(path) as clip:
            frames = [fitted(frame.pixels, width, height) for frame in islice(clip, count)]
        if len(frames) < count:
            raise SystemExit(f"{path} has {len(frames)} frames; give --frames {len(frames)}")
        return np.stack(frames)
    return np.stack(list(drawn(width, height, count)))


def drawn(width: int, height: int, count: int) -> Iterator[Pixels]:
    """Yield frames of a photograph that moves by (3, 1) pixels a frame behind a still one."""
    from skimage import data

    noise = np.random.default_rng(0)
    behind = fitted(data.coffee(), width + 3 * count, height + count)
    side = height // 2
    before = fitted(data.astronaut()[:side, 100:], side, side)
    top, left = height // 4, (width - side) // 2
    for number in range(count):
        frame = behind[number : number + height, 3 * number : 3 * number + width].astype(float)
        frame[top : top + side, left : left + side] = before
        frame += noise.normal(0, 1.5, frame.shape)
        yield np.clip(np.rint(frame), 0, 255).astype(np.uint8)


def work(task: dict[str, Any]) -> dict[str, Any]:
    """Return the measurements of one process."""
    threads = task["threads"]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    if task["codec"] in OURS:
        import torch

        torch.set_num_threads(threads)
        coder = ours(task["codec"], task["weights"], task["quality"])
    else:
        coder = classical(task["codec"], threads)
    width, height = map(int, task["size"].split("x"))
    frames = clip_of(task["clip"], width, height, task["frames"])
    coder.decode(coder.encode(coder.ready(frames[:WARMING])))
    times = []
    for _ in range(task["repeats"]):
        given = coder.ready(frames)
        start = time.perf_counter()
        coded = coder.encode(given)
        middle = time.perf_counter()
        decoded = coder.decode(coded)
        times.append((middle - start, time.perf_counter() - middle))
    encode, decode = ([len(frames) / seconds for seconds in own] for own in zip(*times))  # noqa: B905
    return {
        "encode": encode,
        "decode": decode,
        "bpp": coder.size(coded) * 8 / frames[..., 0].size,
        "psnr": psnr(frames, map(coder.shown, decoded)),
    }


def psnr(frames: Pixels, decoded: Iterator[Pixels]) -> float:
    """Return the mean PSNR over frames in dB."""
    errors = [np.square(a.astype(float) - b).mean() for a, b in zip(frames, decoded, strict=True)]
    return float(np.mean([10 * np.log10(255**2 / error) for error in errors]))


def write_untrained(name: str, path: Path) -> None:
    """Write weights of a video codec as they are before training."""
    import torch

    from quantal.codecs.info import Card
    from quantal.codecs.pyramid.weights import write_entropy_net_weights
    from quantal.train import build, read_recipe
    from quantal.train.families.video import TRAINER

    recipe = read_recipe(Path(__file__).parents[1] / "recipes" / f"{name}.yaml")
    torch.manual_seed(0)
    net: Any = build(recipe.codec, recipe.model)
    TRAINER.start(net, None)
    net.eval()
    with torch.no_grad():
        for value in (*net.parameters(), *net.buffers()):
            if value.is_floating_point():
                value.copy_(value.half().float())  # as the file holds them
    write_entropy_net_weights(path, net, net.entropy.freeze(), Card())


def measured(options: argparse.Namespace, folder: Path) -> Iterator[list[Row]]:
    """Yield the rows of each size."""
    trained = {info.name for info in codecs.available() if info.weights}
    names = options.codecs.split(",")
    for unknown in set(names) - set(CODECS):
        raise SystemExit(f"there is no codec {unknown!r} here; there are: {', '.join(CODECS)}")
    made = {name: folder / f"{name}.safetensors" for name in names if name in OURS}
    made = {name: path for name, path in made.items() if name not in trained}
    for name, path in made.items():
        write_untrained(name, path)
    for size in options.sizes.split(","):
        rows = []
        for threads in map(int, options.threads.split(",")):
            for name in names:
                task = {key: getattr(options, key) for key in ("clip", "frames", "repeats")}
                task |= {"codec": name, "size": size, "threads": threads}
                task |= {"quality": options.quality, "weights": str(made.get(name) or "") or None}
                rows.append(Row(name, size, threads, name in made, **child(task)))
        yield rows


def child(task: dict[str, Any]) -> dict[str, Any]:
    """Return what work() finds in a process of its own."""
    command = [sys.executable, __file__, "--work", json.dumps(task)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(task["threads"]), "SVT_LOG": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.strip().rpartition("\n")[2])
    return found


def cells(row: Row) -> list[str]:
    def speed(values: list[float]) -> str:
        digits = 0 if max(values) >= 100 else 1
        return f"{max(values):.{digits}f} ({statistics.median(values):.{digits}f})"

    return [
        row.codec + " *" * row.untrained,
        str(row.threads),
        speed(row.encode),
        speed(row.decode),
        f"{row.bpp:.3f}",
        f"{row.psnr:.2f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--codecs", default=",".join(USUAL))
    parser.add_argument("--sizes", default="416x240,640x360,1280x720", help="WIDTHxHEIGHT,...")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--quality", type=int, default=50, help="of ours")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clip", help="a file of video; a drawn clip if not given")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        print(json.dumps(work(json.loads(options.work))))
        return

    all_rows, texts = [], []
    with tempfile.TemporaryDirectory() as folder:
        for rows in measured(options, Path(folder)):
            shown = Table(title=rows[0].size)
            for column in COLUMNS:
                shown.add_column(column, no_wrap=True)
            for row in rows:
                shown.add_row(*cells(row))
            Console(width=100).print(shown)
            all_rows += rows
            texts.append(
                f"**{rows[0].size}**\n\n{table(COLUMNS, map(cells, rows), compact=True)}\n"
            )
    note = (
        "\\* with weights that were never trained\n" if any(r.untrained for r in all_rows) else ""
    )
    if options.markdown:
        options.markdown.write_text("\n".join([*texts, note]).rstrip() + "\n")
    if options.json:
        found = {"machine": platform.platform(), "rows": [asdict(row) for row in all_rows]}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
