"""Weights files of CompressAI's networks: read safely, recognised, made into networks.

The architecture and its sizes follow from the tensors themselves. Tables that a file lacks, or that
are older than its weights, are made anew. Nothing is coded here.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from quantal.codecs.compressai import ARCHITECTURES, FAMILY
from quantal.errors import ModelError

__all__ = [
    "CLASSES",
    "FileName",
    "Trained",
    "architecture_of",
    "build",
    "qualities_of",
    "quiet",
    "read",
    "read_state",
]

#: The classes of compressai.models. The zoo's own table misses one of them.
CLASSES = {
    "bmshj2018-factorized": "FactorizedPrior",
    "bmshj2018-factorized-relu": "FactorizedPriorReLU",
    "bmshj2018-hyperprior": "ScaleHyperprior",
    "mbt2018-mean": "MeanScaleHyperprior",
    "mbt2018": "JointAutoregressiveHierarchicalPriors",
    "cheng2020-anchor": "Cheng2020Anchor",
    "cheng2020-attn": "Cheng2020Attention",
    "bmshj2018-hyperprior-vbr": "ScaleHyperpriorVbr",
    "mbt2018-mean-vbr": "MeanScaleHyperpriorVbr",
    "mbt2018-vbr": "JointAutoregressiveHierarchicalPriorsVbr",
}
#: Keys under which checkpoints of training keep the weights.
_INSIDE = ("state_dict", "model_state_dict", "model")
#: `mbt2018-mean-3-723404a8.pth.tar`; the hash may be missing.
_FILE_NAME = re.compile(
    r"(?P<architecture>.+?)(?P<metric>-ms-ssim|-mse)?-(?P<quality>[1-8]|vbr)(-[0-9a-f]{8,})?"
    r"\.(pth|safetensors)"
)
_BUFFERS = ("_offset", "_quantized_cdf", "_cdf_length")
#: Tables made on another machine may differ by rounding, by this many of 65536 at most.
_ROUNDING = 64

State = dict[str, Tensor]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings of CompressAI and its torch.jit about themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _compressai(module: str) -> Any:
    try:
        with quiet():
            return importlib.import_module(f"compressai.{module}")
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        why = "needs the package" if missing else f"could not load ({error}) the package"
        raise ModelError(
            f'codec {FAMILY!r} {why} compressai: pip install "quantal[compressai]"'
        ) from error


@dataclass(frozen=True)
class FileName:
    """What the name of a file says if it follows the zoo's convention.

    Attributes:
        architecture: name of the network architecture.
        metric: that it was trained for.
        quality: 1..8; None if it serves several.
    """

    architecture: str
    metric: str
    quality: int | None

    @classmethod
    def of(cls, path: Path) -> FileName | None:
        """Parse the name of a file; None if it follows another convention.

        >>> FileName.of(Path("mbt2018-mean-3-723404a8.pth.tar"))
        FileName(architecture='mbt2018-mean', metric='mse', quality=3)
        """
        found = _FILE_NAME.match(path.name)
        if found is None:
            return None
        variable = found["quality"] == "vbr"
        # One of the zoo's, bmshj2018-factorized, is "...-factorized-prior" in names of files.
        architecture = found["architecture"].removesuffix("-prior") + ("-vbr" if variable else "")
        metric = "ms-ssim" if found["metric"] == "-ms-ssim" else "mse"
        return cls(architecture, metric, None if variable else int(found["quality"]))


@dataclass(frozen=True)
class Trained:
    """A network of CompressAI with its weights and tables, on the CPU, and what it is."""

    architecture: str
    network: Any


def read(path: Path, architecture: str = "") -> Trained:
    """Return the network of a weights file.

    Args:
        path: path to the file.
        architecture: the expected one; "" for any.

    Raises:
        ModelError: If CompressAI is missing, or the weights are damaged or of another architecture.
    """
    state = read_state(path)
    try:
        found = architecture_of(state)
        if architecture not in ("", found):
            raise ModelError(f"these are of {found}, expected {architecture}")
        return Trained(found, build(found, state))
    except ModelError as error:
        raise ModelError(f"the weights {path} can't be taken: {error}") from error


def read_state(path: Path) -> State:
    """Return the tensors of a .safetensors, .pth or .pth.tar file; no code in it is run.

    Raises:
        ModelError: If the file can't be read, or holds no named tensors.
    """
    try:
        with quiet():
            if path.suffix == ".safetensors":
                found: Any = load_file(path)
            else:
                found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"the weights {path} can't be read ({reason}); "
            "expected a .safetensors, .pth or .pth.tar file of tensors"
        ) from error
    for key in _INSIDE:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
            break
    if not isinstance(found, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in found.items()
    ):
        raise ModelError(f"{path} holds no weights: expected tensors by name (a state dict)")
    renamed: State = _compressai("zoo").load_state_dict(found)
    return renamed


def architecture_of(state: State) -> str:
    """Return the architecture that names and shapes of tensors belong to.

    Raises:
        ModelError: If there is none.
    """
    if "g_a.0.weight" not in state and "g_a.0.conv1.weight" not in state:
        raise ModelError(
            "these are of no picture architecture of CompressAI's zoo; "
            f"there are: {', '.join(ARCHITECTURES)}"
        )
    if "h_a.0.weight" not in state:
        return "bmshj2018-factorized" + ("" if "g_a.1.beta" in state else "-relu")
    if "context_prediction.weight" in state:
        if "g_a.0.weight" in state:
            base = "mbt2018"
        else:
            attends = any(key.startswith("g_a.3.conv_a.") for key in state)
            base = "cheng2020-attn" if attends else "cheng2020-anchor"
    else:
        # Means stand beside scales, or scales alone.
        outputs, latents = state.get("h_s.4.bias"), state.get("g_a.6.bias")
        both = outputs is not None and latents is not None and len(outputs) == 2 * len(latents)
        base = "mbt2018-mean" if both else "bmshj2018-hyperprior"
    return base + ("-vbr" if "Gain" in state else "")


def build(architecture: str, state: State) -> Any:
    """Return a network with these weights and all tables.

    Raises:
        ModelError: If they don't fit together.
    """
    kind = getattr(_compressai("models"), CLASSES[architecture], None)
    if kind is None:
        raise ModelError(
            f"this CompressAI has no {architecture}; pip install --upgrade 'quantal[compressai]'"
        )
    state = {key: value for key, value in state.items() if key != "QuantOffset"}
    options = {}
    if "gayn2zqstep.0.weight" in state:
        # Tables by gain, of which a file can hold none; and the class can't load any.
        options["vr_entbttlnck"] = True
        state |= {f"entropy_bottleneck.{name}": torch.IntTensor() for name in _BUFFERS}
    # What a model that was never updated says of its tables; some files say nothing of them.
    unsaid: State = {f"entropy_bottleneck.{name}": torch.IntTensor() for name in _BUFFERS}
    if "h_a.0.weight" in state:
        unsaid |= {f"gaussian_conditional.{name}": torch.IntTensor() for name in _BUFFERS}
        unsaid["gaussian_conditional.scale_table"] = torch.Tensor()
    state = unsaid | state
    try:
        with quiet():
            network = kind.from_state_dict(state, **options).eval()
            _refresh_tables(network)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"they don't fit {architecture}: {reason}") from error
    return network


@torch.no_grad()
def _refresh_tables(network: Any) -> None:
    """Make all tables; those of the file stay if they are equal but for rounding.

    A file's tables are then the same integers on every machine, and never older than its weights.
    """
    holders = [module for module in network.modules() if hasattr(module, "_quantized_cdf")]
    stored = [[getattr(module, name).clone() for name in _BUFFERS] for module in holders]
    conditional = getattr(network, "gaussian_conditional", None)
    scales = None if conditional is None else conditional.scale_table.clone()
    if scales is None or not len(scales):
        network.update(force=True)
    else:
        network.update(scale_table=scales, force=True)
    for module, (offset, cdf, length) in zip(holders, stored, strict=True):
        if (
            torch.equal(offset, module._offset)
            and torch.equal(length, module._cdf_length)
            and cdf.shape == module._quantized_cdf.shape
            and int((cdf - module._quantized_cdf).abs().max()) <= _ROUNDING
        ):
            module._quantized_cdf = cdf


def qualities_of(architecture: str, network: Any) -> tuple[int, ...]:
    """Return the qualities 1..8 at which the zoo gives an architecture this network's sizes.

    If the sizes are not the zoo's, all of its qualities.
    """
    if architecture.endswith("-vbr"):
        return tuple(range(1, network.levels + 1))
    sizes = _compressai("zoo.image").cfgs[architecture]
    own = (network.N, network.M)
    return tuple(q for q, size in sizes.items() if size == own[: len(size)]) or tuple(sizes)
