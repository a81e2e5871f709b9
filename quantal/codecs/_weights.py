"""The weights file of a codec: written at export, read and checked at load.

Floating-point networks are float16. Everything that decides how bits are read is integers: the
probability tables, the integer network, z's units; their hash stands in every coded file. A hash
of the floats serves to notice damage alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantal.codecs._context_net import ContextNet
from quantal.codecs._hyperprior_net import HyperpriorNet
from quantal.codecs._net import CodecNet, NetConfig
from quantal.codecs._tensors import check_digest, digest, load_tensors, save_tensors
from quantal.entropy.hyperprior import Z_LIMIT
from quantal.entropy.rates import RATE_INDICES
from quantal.entropy.scales import SCALES
from quantal.entropy.tables import TableSet
from quantal.errors import ModelError

__all__ = ["Weights", "Z_TABLE_STEP", "read_weights", "write_weights"]

_LAYOUTS: dict[str, type[CodecNet]] = {net.layout: net for net in (HyperpriorNet, ContextNet)}
#: z's tables follow the rate index in steps of this many.
Z_TABLE_STEP = 4


@dataclass(frozen=True)
class Weights:
    """A codec's networks and integers, checked.

    exact: the integer networks, of the type that the networks name. z_units: int32 [64, N], what a
    step of z is worth at each rate index. z_tables: one set of N tables for every four rate
    indices. hash: 4 bytes over all integers.
    """

    net: CodecNet
    exact: Any
    z_units: Tensor
    y_tables: TableSet
    z_tables: tuple[TableSet, ...]
    hash: bytes


def _table_tensors(prefix: str, tables: TableSet) -> dict[str, Tensor]:
    return {
        f"{prefix}.{name}": torch.from_numpy(np.ascontiguousarray(getattr(tables, name)))
        for name in ("first", "offsets", "cumulative")
    }


def _integers(
    exact: Any, z_units: Tensor, y_tables: TableSet, z_tables: tuple[TableSet, ...]
) -> dict[str, Tensor]:
    """Everything that decides how bits are read, by name."""
    tensors = {"exact.z_units": z_units, **_table_tensors("tables.y", y_tables)}
    for place, tables in enumerate(z_tables):
        tensors |= _table_tensors(f"tables.z.{place}", tables)
    return tensors | exact.tensors("exact")


def write_weights(
    path: Path,
    net: CodecNet,
    y_tables: TableSet,
    z_tables: tuple[TableSet, ...],
    card: dict[str, Any],
) -> bytes:
    """Write net (its scale net exported to integers) and tables; returns their hash.

    card: what `quantal codecs` tells; see CodecInfo.
    """
    with torch.no_grad():
        rates = torch.arange(RATE_INDICES, dtype=torch.float32)
        z_units = net.z_unit(rates)[:, :, 0, 0].to(torch.int32)
    exact = net.export_exact(int(z_units.max()) * Z_LIMIT)
    integers = _integers(exact, z_units, y_tables, z_tables)
    floats = {
        f"net.{name}": value.detach().to(torch.float16).contiguous()
        for name, value in net.state_dict().items()
        if name not in net.derived
    }
    metadata = {
        "format": net.layout,
        "model": json.dumps(net.config.to_dict()),
        "card": json.dumps(card),
        "hash": digest(net.layout, integers).hex(),
        "floats": digest(net.layout, floats).hex(),
    }
    save_tensors(path, {**floats, **integers}, metadata)
    return digest(net.layout, integers)


def _read_tables(tensors: dict[str, Tensor], prefix: str) -> TableSet:
    return TableSet(*(tensors[f"{prefix}.{n}"].numpy() for n in ("first", "offsets", "cumulative")))


def _load_net(kind: type[CodecNet], tensors: dict[str, Tensor], model: str) -> CodecNet:
    sizes = json.loads(model)
    with torch.random.fork_rng(devices=[]):  # building a network must not move the user's seed
        net = kind(kind.config_type.from_dict(sizes))
    state = {n[4:]: v.float() for n, v in tensors.items() if n.startswith("net.")}
    missing, unknown = net.load_state_dict(state, strict=False)
    if unknown or set(missing) != net.derived:
        names = ", ".join([*unknown, *sorted(set(missing) ^ net.derived)][:3])
        raise ValueError(f"its tensors are not those of its sizes: {names}")
    net.requires_grad_(False)
    return net.eval()


def _check_fit(
    config: NetConfig, z_units: Tensor, y_tables: TableSet, z_tables: tuple[TableSet, ...]
) -> None:
    """Raise ValueError for integers that are sound in themselves but not those of the networks."""
    channels = config.z_channels
    if tuple(z_units.shape) != (RATE_INDICES, channels) or int(z_units.min()) < 1:
        raise ValueError(f"z's units are not {RATE_INDICES} x {channels} numbers from 1 on")
    if len(y_tables) != SCALES or any(len(tables) != channels for tables in z_tables):
        raise ValueError(f"there are not {SCALES} tables for y and {channels} for each set of z")


def read_weights(path: Path) -> Weights:
    """Read and check a weights file; raises ModelError if it is missing, damaged or another's."""
    tensors, metadata = load_tensors(path)
    layout = metadata.get("format", "")
    if layout not in _LAYOUTS:
        known = ", ".join(map(repr, _LAYOUTS))
        raise ModelError(f"weights {path.name} say format {layout!r}, expected one of {known}")
    try:
        net = _load_net(_LAYOUTS[layout], tensors, metadata["model"])
        z_units = tensors["exact.z_units"]
        exact = net.exact_type.from_tensors(tensors, "exact", int(z_units.max()) * Z_LIMIT)
        net.restore(exact)
        y_tables = _read_tables(tensors, "tables.y")
        sets = range(RATE_INDICES // Z_TABLE_STEP)
        z_tables = tuple(_read_tables(tensors, f"tables.z.{place}") for place in sets)
        _check_fit(net.config, z_units, y_tables, z_tables)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"weights {path.name} are damaged: {error}; install them anew") from error
    integers = _integers(exact, z_units, y_tables, z_tables)
    floats = {name: value for name, value in tensors.items() if name.startswith("net.")}
    check_digest(path, layout, floats, metadata.get("floats"))
    found = check_digest(path, layout, integers, metadata.get("hash"))
    return Weights(net, exact, z_units, y_tables, z_tables, found)
