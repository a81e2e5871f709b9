"""Print a hash of every symbol in each .qtl file; run by test_exactness.py under many conditions.

python symbols.py FILE... [--threads N] [--no-onednn] [--channels-last] [--by-torch] [--by-numpy]
                       [--autocast] [--lower-precision] [--among-others FILE...]
"""

from __future__ import annotations

import argparse
import hashlib
import io
from pathlib import Path

import numpy as np
import torch

import quantal
from quantal import container
from quantal.codecs.contract import Latents
from quantal.codecs.video.codec import Reconstruction, Video
from quantal.entropy.exact import ExactNet
from quantal.errors import BitstreamError
from quantal.files.matching import coded_part


def digest(latents: Latents) -> str:
    """SHA-256 over all symbols, little endian, in coding order."""
    result = hashlib.sha256()
    for part in latents.symbols:
        result.update(part.astype("<i4").tobytes())
    return result.hexdigest()


def clip_digest(data: bytes) -> str:
    """SHA-256 over the vectors and symbols of all frames, decoded with their references."""
    reader = container.ClipReader(io.BytesIO(data))
    header = reader.header
    codec = quantal.load(header.codec, "cpu")
    assert isinstance(codec, Video)
    result = hashlib.sha256()
    for group in reader.groups():
        reference: Reconstruction | None = None
        for frame in group.frames:
            place = (frame.payload, header.width, header.height, frame.rate)
            if reference is None:
                reference = codec.decode_intra(*place)
                parts = codec.picture.parse(*place)
            else:
                reference = codec.decode_predicted(frame.payload, reference, frame.rate)
                symbols = reference.symbols
                vectors = symbols.vectors
                parts = [symbols.y] if vectors is None else [vectors.field, symbols.y]
            for part in parts:
                result.update(np.ascontiguousarray(part).astype("<i4").tobytes())
    return result.hexdigest()


def digest_among_others(data: bytes) -> str:
    """The hash of a picture that is read together with others, one of them damaged."""
    payload, *place = coded_part(container.read(data))
    codec = quantal.load(container.read(data).header.codec, "cpu")
    damaged = payload[: len(payload) // 2] + b"\1" + payload[len(payload) // 2 + 1 :]
    # From 16 on, torch has other algorithms without oneDNN.
    found = codec.read_many([payload, damaged, *[payload] * 15], *place)
    digests = {digest(each) for each in found if isinstance(each, Latents)}
    assert isinstance(found[1], BitstreamError) and len(digests) == 1
    return digests.pop()


def digest_of(data: bytes) -> str:
    """The hash of a picture or of a clip."""
    if container.media_of(data) == "video":
        return clip_digest(data)
    return digest(quantal.latents.read(data))


def disturb(options: argparse.Namespace) -> None:
    """Make the integer network run in another way than it would by itself."""
    plain = ExactNet.__call__

    def call(self: ExactNet, x: np.ndarray, rate_index: int) -> np.ndarray:
        if options.by_torch:
            return by_torch(self, x, rate_index, options.channels_last)
        if options.by_numpy:
            self.run_by(self.by_numpy)
        return plain(self, np.asfortranarray(x) if options.channels_last else x, rate_index)

    ExactNet.__call__ = call  # type: ignore[method-assign]


def by_torch(net: ExactNet, values: np.ndarray, rate_index: int, channels_last: bool) -> np.ndarray:
    """The same network as convolutions of torch, in a batch with others."""
    x = torch.from_numpy(values)[None].double()
    x = torch.cat((torch.flip(x, (0, 1)), x, -x))
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        for layer in net.layers:
            weight = torch.from_numpy(layer.weight).double()
            bias = torch.from_numpy(layer.bias)[min(rate_index, len(layer.bias) - 1)].double()
            pad = weight.shape[-1] // 2
            sums = torch.nn.functional.conv2d(x, weight, padding=pad, groups=layer.groups)
            sums += bias[:, None, None] + (1 << layer.shift >> 1)
            x = (sums * 2.0**-layer.shift).floor().clamp(layer.low, layer.high)
            x = torch.nn.functional.pixel_shuffle(x, layer.shuffle)
    return x[1].int().numpy()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--threads", type=int, default=0)
    for flag in ("--no-onednn", "--channels-last", "--by-torch", "--by-numpy", "--autocast"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--lower-precision", action="store_true")
    parser.add_argument("--among-others", type=Path, nargs="+", default=[])
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.backends.mkldnn.enabled = not options.no_onednn  # type: ignore[assignment]
    if options.lower_precision:
        torch.set_float32_matmul_precision("medium")
    disturb(options)
    with torch.autocast("cpu", torch.bfloat16, enabled=options.autocast):
        for file in options.files:
            print(digest_of(file.read_bytes()))
        for file in options.among_others:
            print(digest_among_others(file.read_bytes()))


if __name__ == "__main__":
    main()
