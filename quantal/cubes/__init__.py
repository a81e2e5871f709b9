"""Data cubes of Earth observation and weather: variables coded over time, into .qcube files.

Needs the extra `xarray`; `probe` and `verify` of files without learned codecs do without it and
without torch. After "Video compression for spatiotemporal Earth system data", Pellicer-Valero et
al., 2025. docs/how-to/cubes.md specifies the files.
"""

from __future__ import annotations

from quantal.cubes._datasets import NETCDF_SUFFIXES, is_netcdf, is_zarr
from quantal.cubes._decode import BandInfo, CubeInfo, VariableInfo, decompress, probe, verify
from quantal.cubes._encode import OTHERS, check_options, compress
from quantal.cubes._file import MAGIC
from quantal.cubes._streams import BITS

__all__ = [
    "BITS",
    "MAGIC",
    "NETCDF_SUFFIXES",
    "OTHERS",
    "BandInfo",
    "CubeInfo",
    "VariableInfo",
    "check_options",
    "compress",
    "decompress",
    "is_netcdf",
    "is_zarr",
    "probe",
    "verify",
]
