"""CompressAI's models as .qtl files: the same symbols and pixels as its own, in files of ours."""

from __future__ import annotations

import pickle
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

import quantal
from quantal import container, media
from quantal.codecs.files import (
    Target,
    decode_picture,
    encode_picture,
    read_latents,
    verify,
)
from quantal.codecs.zoo import ARCHITECTURES, HEAD, prior, sequential
from quantal.codecs.zoo.codec import ZooCodec
from quantal.codecs.zoo.coding import Known
from quantal.codecs.zoo.tables import table_sets
from quantal.codecs.zoo.weights import FileName, architecture_of, read, read_state
from quantal.errors import (
    ArgumentError,
    BitstreamError,
    CorruptError,
    DivergenceError,
    ModelError,
    QuantalWarning,
    TruncatedError,
    UnsupportedVersionError,
)

Weights = Callable[[str], Path]
HYPER = "mbt2018-mean"
SEQUENTIAL = "mbt2018"


def load(architecture: str, weights: Weights) -> ZooCodec:
    codec = quantal.load(f"compressai/{architecture}", "cpu", weights(architecture))
    assert isinstance(codec, ZooCodec)
    return codec


def coded(codec: ZooCodec, picture: media.Picture, quality: int = 3) -> bytes:
    return encode_picture(picture, codec, Target(quality=quality)).data


@pytest.fixture(scope="module")
def picture(small_photograph: Image.Image) -> media.Picture:
    return media.from_image(small_photograph)


class CompressAI:
    """The same weights in CompressAI's own hands."""

    def __init__(self, architecture: str, weights: Weights, quality: int = 3) -> None:
        self.network = read(weights(architecture)).network
        self._options = {}
        if architecture.endswith("-vbr"):
            self._options = {"s": quality - 1}
            scale = self.network.Gain[quality - 1].detach().abs()
            self.network.update(force=True, scale=scale)

    @torch.inference_mode()
    def __call__(self, pixels: np.ndarray) -> tuple[int, np.ndarray]:
        """Bytes of the strings, and the picture, float32 in 0..255."""
        height, width = pixels.shape[:2]
        multiple = self.network.downsampling_factor
        edges = ((0, -height % multiple), (0, -width % multiple), (0, 0))
        padded = torch.from_numpy(np.pad(pixels, edges, mode="edge"))
        x = padded.permute(2, 0, 1)[None].float() / 255
        out = self.network.compress(x, **self._options)
        drawn = self.network.decompress(out["strings"], out["shape"], **self._options)["x_hat"]
        size = sum(len(group[0]) for group in out["strings"])
        return size, drawn[0, :, :height, :width].permute(1, 2, 0).clamp(0, 1).numpy() * 255


# -- the same as CompressAI, in our files ----------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_pixels_and_bytes_are_those_of_compressai(
    architecture: str, zoo_weights: Weights, picture: media.Picture
) -> None:
    codec = load(architecture, zoo_weights)
    data = coded(codec, picture)
    size, drawn = CompressAI(architecture, zoo_weights)(picture.pixels)
    ours = codec.synthesise_unrounded(read_latents(data, codec=codec))
    assert np.abs(ours - drawn).max() < 0.01
    # 29 bytes of header, directory and checksum, 5 of the image part's head; sets of words.
    assert len(data) < 1.01 * size + 48
    assert np.array_equal(decode_picture(data, codec=codec).pixels, ours.round().astype(np.uint8))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_was_written_is_read(
    architecture: str, zoo_weights: Weights, picture: media.Picture
) -> None:
    codec = load(architecture, zoo_weights)
    latents = read_latents(coded(codec, picture), codec=codec)
    assert len(latents.symbols) == (1 if "factorized" in architecture else 2)
    assert all(symbols.dtype is torch.int32 for symbols in latents.symbols)
    assert all(len(symbols.unique()) > 2 for symbols in latents.symbols)
    again = codec.dequantise(latents.symbols, picture.width, picture.height, latents.rate)
    assert torch.equal(again.y_hat, latents.y_hat)
    assert torch.equal(again.z_hat, latents.z_hat)


@pytest.mark.parametrize("architecture", ["bmshj2018-factorized", HYPER, SEQUENTIAL])
@settings(max_examples=20)
@given(size=st.tuples(st.integers(1, 200), st.integers(1, 200)), seed=st.integers(0, 1 << 20))
@example(size=(1, 1), seed=0)
@example(size=(64, 128), seed=0)
def test_any_picture_of_any_size(
    architecture: str, zoo_weights: Weights, size: tuple[int, int], seed: int
) -> None:
    codec = load(architecture, zoo_weights)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    latents = read_latents(coded(codec, media.from_array(pixels)), codec=codec)
    assert codec.synthesise(latents).shape == pixels.shape
    y = codec.analyse(pixels)[0]
    # A latent is never further from what was read than half a step of its quantiser.
    assert (latents.y_hat - y).abs().max() <= 0.5 + 1e-3


@pytest.mark.parametrize("architecture", ["bmshj2018-hyperprior", "cheng2020-attn"])
def test_large_pictures_have_no_seams(architecture: str, zoo_weights: Weights) -> None:
    codec = load(architecture, zoo_weights)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 1536 + 320, 3), dtype=np.uint8)
    y = codec.analyse(pixels)
    with torch.inference_mode():
        whole = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        assert torch.allclose(y, codec._net.g_a(whole), atol=1e-3)
        latents = codec._latents(prior.Walk([], y[0].round(), y[0]), 1856, 64, 5)
        expected = codec._net.g_s(y.round()).clamp(0, 1) * 255
    drawn = torch.from_numpy(codec.synthesise_unrounded(latents)).permute(2, 0, 1)
    assert torch.allclose(drawn, expected[0], atol=1e-2)


@pytest.mark.parametrize("architecture", [HYPER, "cheng2020-anchor"])
def test_bands_of_z_have_no_seams(
    architecture: str, zoo_weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = load(architecture, zoo_weights)
    z_hat = torch.randn(8, 20, 2, dtype=torch.float64)
    whole = torch.cat([told for _, told in codec._prior._told(z_hat)], dim=1)
    monkeypatch.setattr(prior, "_BAND", 4)
    bands = list(codec._prior._told(z_hat))
    assert [rows.stop - rows.start for rows, _ in bands] == [8] * 10
    assert torch.allclose(torch.cat([told for _, told in bands], dim=1), whole, atol=1e-12)


def test_alpha_and_metadata_travel_too(zoo_weights: Weights, small_photograph: Image.Image) -> None:
    codec = load("bmshj2018-factorized", zoo_weights)
    image = small_photograph.convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    data = codec.compress(image, quality=3)
    assert np.array_equal(
        np.asarray(codec.decompress(data).getchannel("A")), np.asarray(image.getchannel("A"))
    )


# -- order, tables, check value --------------------------------------------------------------


def test_positions_of_a_diagonal_do_not_see_one_another() -> None:
    height, width = 7, 12
    order = np.full((height, width), -1)
    for time, (rows, columns) in enumerate(sequential.diagonals(height, width)):
        assert (order[rows, columns] == -1).all()
        order[rows, columns] = time
    assert (order >= 0).all()
    for row, column in np.ndindex(height, width):
        for dy, dx in zip(sequential._SEEN_ROWS - 2, sequential._SEEN_COLUMNS - 2, strict=True):
            y, x = row + int(dy), column + int(dx)
            if y >= 0 and 0 <= x < width:
                assert order[y, x] < order[row, column]


def test_tables_are_compressais_to_the_last_count(zoo_weights: Weights) -> None:
    network = read(zoo_weights(HYPER)).network
    model = network.gaussian_conditional
    (tables,) = table_sets(model)
    for table in (0, 30, 63):
        length = int(model.cdf_length[table])
        counts = model.quantized_cdf[table, :length].numpy()
        assert np.array_equal(tables.weights(table), np.diff(counts) * 256)
        assert tables.first[table] == int(model.offset[table])


def test_more_channels_than_tables_in_a_set(tmp_path: Path, zoo_weights: Weights) -> None:
    zoo_weights(HYPER)  # skips where there is no CompressAI
    from compressai.models import FactorizedPrior

    file = tmp_path / "bmshj2018-factorized-8.pth"
    torch.save(FactorizedPrior(4, 320).state_dict(), file)
    codec = quantal.load("compressai/bmshj2018-factorized", "cpu", file)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    data = codec.compress(pixels)
    latents = codec.latents(data)
    assert latents.symbols[0].shape[0] == 320
    assert container.probe(data).quality == 8


def test_networks_that_compute_otherwise_are_noticed(
    zoo_weights: Weights, picture: media.Picture
) -> None:
    codec = load(HYPER, zoo_weights)
    data = coded(codec, picture)
    payload = container.read(data).part("image") or b""
    header = container.probe(data).header
    shape = (picture.width, picture.height, header.rate)
    other = ZooCodec(zoo_weights(HYPER), torch.device("cpu"))
    bias = other._prior._synthesis[-1].bias
    bias[: len(bias) // 2] *= 1.5  # of scales alone
    with pytest.raises(DivergenceError, match="floating point"):
        other.read(payload, *shape)
    with pytest.raises(DivergenceError):
        decode_picture(data, codec=other)
    # One latent with another scale, at which the same symbol would have been read by chance.
    number, check = HEAD.unpack_from(payload)
    forged = HEAD.pack(number, check ^ 1) + payload[HEAD.size :]
    with pytest.raises(DivergenceError, match="check value"):
        codec.read(forged, *shape)


def test_the_check_value_is_of_indices_too(zoo_weights: Weights, picture: media.Picture) -> None:
    codec = load(HYPER, zoo_weights)
    latents = read_latents(coded(codec, picture), codec=codec)
    rows, columns = latents.y_hat.shape[1:]
    checks = []
    for factor in (1.0, 1.5):
        bias = codec._prior._synthesis[-1].bias
        kept = bias.clone()
        bias[: len(bias) // 2] *= factor
        known = Known(latents.symbols)
        codec._prior.walk(known, rows, columns, 3)
        checks.append(known.check)
        bias.copy_(kept)
    assert checks[0] != checks[1]


@pytest.mark.parametrize("architecture", [HYPER, SEQUENTIAL])
def test_threads_and_layout_do_not_change_what_is_read(
    architecture: str, zoo_weights: Weights, picture: media.Picture
) -> None:
    codec = load(architecture, zoo_weights)
    data = coded(codec, picture)
    threads = torch.get_num_threads()
    symbols = []
    for count in (1, 3):
        torch.set_num_threads(count)
        other = ZooCodec(zoo_weights(architecture), torch.device("cpu"))
        if count > 1:
            other._prior._synthesis.to(memory_format=torch.channels_last)
        symbols.append(read_latents(data, codec=other).symbols)
    torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*symbols, strict=True))


# -- weights ---------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_weights_tell_their_architecture(architecture: str, zoo_weights: Weights) -> None:
    assert architecture_of(read_state(zoo_weights(architecture))) == architecture
    assert quantal.load("compressai", "cpu", zoo_weights(architecture)).name == "compressai"


def test_the_same_weights_in_any_wrapping(zoo_weights: Weights, tmp_path: Path) -> None:
    plain = load(HYPER, zoo_weights)
    state = torch.load(zoo_weights(HYPER), weights_only=True)
    network = read(zoo_weights(HYPER)).network
    updated = network.state_dict()
    wrappings: dict[str, Any] = {
        "parallel.pth": {f"module.{key}": value for key, value in state.items()},
        "checkpoint.pth.tar": {"epoch": 3, "state_dict": state, "optimizer": {"state": {}}},
        "updated.pth": updated,
        "old.pth": {
            re.sub(r"\.(matrices|biases|factors)\.", r"._\1.", key): value
            for key, value in state.items()
        },
        "bare.pth": {k: v for k, v in state.items() if "_cdf" not in k and "_offset" not in k},
    }
    for name, content in wrappings.items():
        torch.save(content, tmp_path / name)
    save_file({k: v.contiguous() for k, v in updated.items()}, tmp_path / "these.safetensors")
    for name in (*wrappings, "these.safetensors"):
        other = quantal.load(f"compressai/{HYPER}", "cpu", tmp_path / name)
        assert other.model_hash == plain.model_hash, name


def test_tables_stay_but_for_those_that_weights_have_outgrown(
    zoo_weights: Weights, tmp_path: Path
) -> None:
    network = read(zoo_weights(HYPER)).network
    fresh = {key: value.clone() for key, value in network.state_dict().items()}
    name = "gaussian_conditional._quantized_cdf"
    rounded, stale = dict(fresh), dict(fresh)
    rounded[name] = fresh[name].clone()
    rounded[name][40, 90] += 1
    stale[name] = fresh[name].clone()
    stale[name][40, 80:100] += 200
    hashes = []
    for state in (fresh, rounded, stale):
        torch.save(state, tmp_path / "these.pth")
        codec = ZooCodec(tmp_path / "these.pth", torch.device("cpu"))
        hashes.append(codec.model_hash)
    assert hashes[0] == hashes[2] != hashes[1]


def test_wrong_weights_are_named(zoo_weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"of mbt2018-mean, expected mbt2018$"):
        quantal.load("compressai/mbt2018", "cpu", zoo_weights(HYPER))
    state = torch.load(zoo_weights(HYPER), weights_only=True)
    cases: dict[str, tuple[Any, str]] = {
        "another.pth": ({"conv.weight": torch.zeros(1)}, "no picture architecture"),
        "cut.pth": ({k: v for k, v in state.items() if "h_s.2" not in k}, "don't fit mbt2018-mean"),
        "list.pth": ([1, 2], "holds no weights"),
        "tables.pth": (
            {**state, "entropy_bottleneck.quantiles": torch.zeros(3, 1, 3)},
            "don't fit mbt2018-mean",
        ),
    }
    for name, (content, words) in cases.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(ModelError, match=words):
            quantal.load("compressai", "cpu", tmp_path / name)
    for name in ("broken.pth", "broken.safetensors"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
        with pytest.raises(ModelError, match="can't be read"):
            quantal.load("compressai", "cpu", tmp_path / name)


def test_values_that_are_not_finite_are_named(
    zoo_weights: Weights, tmp_path: Path, picture: media.Picture
) -> None:
    state = torch.load(zoo_weights(HYPER), weights_only=True)
    state["g_a.6.bias"][0] = float("nan")
    torch.save(state, tmp_path / "these-3.pth")
    codec = quantal.load("compressai", "cpu", tmp_path / "these-3.pth")
    with pytest.raises(ModelError, match="not finite"):
        encode_picture(picture, codec, Target(quality=3))


def test_no_code_in_a_pickle_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
            return (Path.touch, (tmp_path / "touched",))

    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"g_a.0.weight": Evil()}))
    with pytest.raises(ModelError, match="can't be read"):
        quantal.load("compressai", "cpu", tmp_path / "evil.pth")
    assert not (tmp_path / "touched").exists()


def test_without_compressai_the_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "compressai", None)
    monkeypatch.setitem(sys.modules, "compressai.zoo", None)
    torch.save({"g_a.0.weight": torch.zeros(1)}, tmp_path / "these.pth")
    with pytest.raises(ModelError, match=r'pip install "quantal\[compressai\]"'):
        quantal.load("compressai", "cpu", tmp_path / "these.pth")


# -- qualities -------------------------------------------------------------------------------


def test_names_of_files() -> None:
    def parsed(name: str) -> FileName | None:
        return FileName.of(Path(name))

    assert parsed("mbt2018-mean-3-723404a8.pth.tar") == FileName("mbt2018-mean", "mse", 3)
    assert parsed("cheng2020-attn-ms-ssim-6-1a2b3c4d.safetensors") == FileName(
        "cheng2020-attn", "ms-ssim", 6
    )
    assert parsed("bmshj2018-factorized-prior-1-446d5c7f.pth.tar") == FileName(
        "bmshj2018-factorized", "mse", 1
    )
    assert parsed("mbt2018-mse-vbr-f12581a1.pth.tar") == FileName("mbt2018-vbr", "mse", None)
    assert parsed("weights.pth") is None


def test_quality_says_which_weights_these_are(
    zoo_weights: Weights, tmp_path: Path, picture: media.Picture
) -> None:
    codec = load(HYPER, zoo_weights)
    encoded = encode_picture(picture, codec)
    assert encoded.quality == container.probe(encoded.data).quality == 3
    with pytest.raises(ArgumentError, match=r"quality 4 was asked for, .* are of 3"):
        encode_picture(picture, codec, Target(quality=4))
    unnamed = tmp_path / "mine.pth"
    unnamed.write_bytes(zoo_weights(HYPER).read_bytes())
    codec = quantal.load(f"compressai/{HYPER}", "cpu", unnamed)
    with pytest.raises(ArgumentError, match=r"doesn't tell .*: 1, 2, 3, 4, 5, 6, 7, 8"):
        encode_picture(picture, codec)
    assert encode_picture(picture, codec, Target(quality=7)).quality == 7


def test_sizes_of_the_zoo_exclude_qualities(zoo_weights: Weights, tmp_path: Path) -> None:
    zoo_weights(HYPER)
    from compressai.zoo import models

    torch.save(models["cheng2020-anchor"](quality=1).state_dict(), tmp_path / "mine.pth")
    codec = quantal.load("compressai/cheng2020-anchor", "cpu", tmp_path / "mine.pth")
    assert codec.rate_of(3) == container.quality_to_rate(3)
    with pytest.raises(ArgumentError, match=r"quality 5 was asked for, .* are of 1, 2, 3"):
        codec.rate_of(5)


@pytest.mark.parametrize("target", [Target(bpp=1.0), Target(psnr=30.0), Target(max_bytes=900)])
def test_a_single_rate_can_not_be_aimed(
    target: Target, zoo_weights: Weights, picture: media.Picture
) -> None:
    with pytest.raises(ArgumentError, match="single rate"):
        encode_picture(picture, load(HYPER, zoo_weights), target)


def test_a_model_of_several_rates_can_be_aimed(
    zoo_weights: Weights, picture: media.Picture
) -> None:
    codec = load("mbt2018-mean-vbr", zoo_weights)
    sizes = {q: len(coded(codec, picture, q)) for q in range(1, 9)}
    assert sorted(sizes.values()) == list(sizes.values())
    assert encode_picture(picture, codec).quality == 5
    assert encode_picture(picture, codec, Target(max_bytes=sizes[6])).quality == 6
    bpp = 8 * sizes[4] / (picture.width * picture.height)
    assert encode_picture(picture, codec, Target(bpp=bpp)).quality == 4
    with pytest.raises(ArgumentError, match="quality 9 was asked for"):
        encode_picture(picture, codec, Target(quality=9))


# -- files without their weights, damaged files ----------------------------------------------


def test_what_a_file_needs_is_said(zoo_weights: Weights, picture: media.Picture) -> None:
    codec = load(HYPER, zoo_weights)
    data = coded(codec, picture)
    needs = f"weights of compressai/{HYPER}, quality 3, model {codec.model_hash.hex()}"
    for refused in (quantal.decompress, quantal.latents):
        with pytest.raises(ModelError, match=needs):
            refused(data)
    assert needs in (verify(data) or "")
    assert verify(data, codec=codec) is None
    other = load("bmshj2018-hyperprior", zoo_weights)
    with pytest.raises(ModelError, match="needs the model"):
        quantal.decompress(data, codec=other)
    with pytest.raises(ModelError, match="has no weights of its own: name yours with --weights"):
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
