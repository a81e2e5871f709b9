"""Wrong types of any argument of a public function are errors of ours."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import quantal
import quantal.pillow
from quantal import codecs, container, files, media
from quantal.errors import QuantalError


class NoPath:
    def __fspath__(self) -> int:
        return 5


class NoFile:
    def read(self, count: int = -1) -> int:
        return 5


def closed() -> io.BytesIO:
    file = io.BytesIO(b"bytes")
    file.close()
    return file


PIXELS = np.zeros((16, 16, 3), np.uint8)
PICTURE = media.from_array(PIXELS)
PNG = media.write(PICTURE, "png")
WRONG = {
    "None": None,
    "int": 5,
    "huge": 10**30,
    "nan": float("nan"),
    "complex": 1j,
    "bool": True,
    "str": "x",
    "surrogate": "\ud800",
    "NUL": "a\0b",
    "empty": "",
    "bytes": b"x",
    "list": [1, "a"],
    "ragged": [[1], [1, 2]],
    "dict": {"a": 1},
    "object": object(),
    "class": NoPath,
    "path": NoPath(),
    "file": NoFile(),
    "closed": closed(),
    "text file": io.StringIO("x"),
    "array": np.array([1, 2]),
    "objects": np.zeros((2, 2), object),
    "no pixels": np.zeros((0, 0, 3), np.uint8),
    "tensor": torch.zeros(2),
    "scalar": torch.tensor(3),
    "strided": memoryview(b"abcd")[::2],
    "image": Image.new("RGB", (4, 4)),
    "no image": Image.new("RGB", (0, 0)),
    "function": len,
}


def calls() -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """Return functions with right arguments, each of which is replaced."""
    codec = codecs.load("hyperprior")
    data = quantal.compress(PIXELS, codec)
    info, file = container.probe(data), container.read(data)
    part = file.parts[0]
    head = file.header
    targets = {"quality": None, "bpp": None, "psnr": None, "max_bytes": None}
    options = {**targets, "effort": 0, "resilient": False, "strip": ()}
    drawing = {"device": "cpu", "codec": codec, "max_parts": None, "conceal": False}
    alpha = media.encode_alpha(PIXELS[:, :, 0])
    image = Image.new("RGB", (4, 4))

    def header(**fields: Any) -> bytes:
        return container.write(container.Header(**fields), [part])

    def parts(**fields: Any) -> bytes:
        return container.write(head, [part, container.Part(**fields)])

    return {
        "compress": (quantal.compress, {"image": PIXELS, "codec": codec, **options}),
        "compress by name": (
            quantal.compress,
            {"image": PIXELS, "codec": codec.name, "device": "cpu"},
        ),
        "decompress": (quantal.decompress, {"data": data, **drawing}),
        "latents": (quantal.latents.read, {"data": data, "device": "cpu", "codec": codec}),
        "read": (quantal.read, {"path": "a.qtl", **drawing}),
        "write": (quantal.write, {"path": "b.qtl", "image": PIXELS, "codec": codec}),
        "load": (codecs.load, {"name": codec.name, "device": "cpu", "weights": None}),
        "register": (codecs.register, {"codec": None}),
        "encode_picture": (
            files.encode_picture,
            {"picture": PICTURE, "codec": codec, "target": None, "effort": 0},
        ),
        "decode_picture": (files.decode_picture, {"data": data, **drawing}),
        "read_latents": (files.read_latents, {"data": data, "codec": codec}),
        "verify": (files.verify, {"data": data, "codec": codec}),
        "Target": (files.Target, targets),
        "media.read": (media.read, {"source": PNG}),
        "read_indices": (media.read_indices, {"source": PNG}),
        "from_image": (media.from_image, {"image": image, "metadata": {}}),
        "exif": (lambda exif: media.from_image(image, {"exif": exif}), {"exif": None}),
        "from_array": (media.from_array, {"array": PIXELS}),
        "Picture": (media.Picture, {"pixels": PIXELS, "alpha": None, "icc": b"", "xmp": b""}),
        "strip": (media.strip, {"picture": PICTURE, "kinds": "all"}),
        "media.write": (media.write, {"picture": PICTURE, "format": "png"}),
        "to_image": (media.to_image, {"picture": PICTURE}),
        "encode_alpha": (media.encode_alpha, {"alpha": PIXELS[:, :, 0]}),
        "decode_alpha": (media.decode_alpha, {"data": alpha, "width": 16, "height": 16}),
        "probe": (container.probe, {"data": data, "size": len(data), "cut": False}),
        "container.read": (container.read, {"data": data, "cut": False, "damaged": False}),
        "read_part": (
            container.read_part,
            {"file": io.BytesIO(data), "info": info, "kind": "image"},
        ),
        "container.write": (container.write, {"header": head, "parts": [part]}),
        "Header": (header, dict(vars(head))),
        "Part": (parts, {"kind": "exif", "data": b"exif"}),
        "quality_to_rate": (container.quality_to_rate, {"quality": 60}),
        "rate_to_quality": (container.rate_to_quality, {"rate": 60}),
    }


@pytest.mark.filterwarnings("ignore::quantal.errors.QuantalWarning")
def test_wrong_types_are_errors_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.qtl").write_bytes(quantal.compress(PIXELS, "hyperprior"))
    wrong = []
    for name, (call, arguments) in calls().items():
        for argument in arguments:
            for kind, value in WRONG.items():
                try:
                    call(**{**arguments, argument: value})
                except QuantalError:
                    pass
                except Exception as error:
                    wrong.append(f"{name}({argument}={kind}): {error!r}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("option", ["quality", "codec", "effort", "strip", "exif", "weights"])
def test_wrong_options_of_save_are_errors_of_ours(option: str) -> None:
    for value in (object(), 1j, [5], np.zeros((2, 2))):
        with pytest.raises(QuantalError):
            Image.new("RGB", (16, 16)).save(
                io.BytesIO(), "QTL", **{"codec": "hyperprior", option: value}
            )
