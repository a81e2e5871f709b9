"""Files that need weights of others: what they say of them, and forged heads."""

from __future__ import annotations

import pytest

import quantal
from quantal import container, media
from quantal.errors import (
    BitstreamError,
    CorruptError,
    ModelError,
    QuantalWarning,
    TruncatedError,
    UnsupportedVersionError,
)
from quantal.files import decode_picture, encode_picture, verify

from .conftest import HYPER, SEQUENTIAL, Weights, coded, load


def test_what_a_file_needs_is_said(zoo_weights: Weights, picture: media.Picture) -> None:
    codec = load(HYPER, zoo_weights)
    data = coded(codec, picture)
    needs = f"weights of compressai/{HYPER}, quality 3, model {codec.model_hash.hex()}"
    for refused in (quantal.decompress, quantal.latents.read):
        with pytest.raises(ModelError, match=needs):
            refused(data)
    assert needs in (verify(data) or "")
    assert verify(data, codec=codec) is None
    other = load("bmshj2018-hyperprior", zoo_weights)
    with pytest.raises(ModelError, match="needs the model"):
        quantal.decompress(data, codec=other)
    with pytest.raises(ModelError, match="has no weights of its own: name yours"):
        quantal.load(f"compressai/{HYPER}")


def test_warnings_go_to_both_sides(zoo_weights: Weights, picture: media.Picture) -> None:
    codec = load(SEQUENTIAL, zoo_weights)
    encoded = encode_picture(picture, codec)
    drawn = decode_picture(encoded.data, codec=codec)
    assert encoded.warnings == drawn.warnings == codec.warnings
    with pytest.warns(QuantalWarning) as said:
        assert codec.compress(picture.pixels) == encoded.data
        codec.decompress(encoded.data)
    assert [str(one.message) for one in said] == [*codec.warnings, *codec.warnings]
    assert "another machine" in codec.warnings[0] and "sequential" in codec.warnings[1]
    assert load("bmshj2018-factorized", zoo_weights).warnings == ()


def test_forged_heads_are_refused(zoo_weights: Weights, picture: media.Picture) -> None:
    codec = load(HYPER, zoo_weights)
    data = coded(codec, picture)
    payload = container.read(data).part("image") or b""
    rate = container.probe(data).header.rate
    shape = (picture.width, picture.height)
    with pytest.raises(TruncatedError):
        codec.parse(payload[:4], *shape, rate)
    with pytest.raises(UnsupportedVersionError, match="newer Quantal"):
        codec.parse(b"\xff" + payload[1:], *shape, rate)
    with pytest.raises(CorruptError, match="head is damaged"):
        codec.parse(b"\0" + payload[1:], *shape, rate)
    for wrong in (1, 252):
        with pytest.raises(CorruptError, match="rate"):
            codec.parse(payload, *shape, wrong)
    with pytest.raises(CorruptError, match="needs at least"):
        codec.parse(payload, 32768, 32768, rate)
    with pytest.raises(BitstreamError):
        codec.parse(payload[:-9], *shape, rate)
