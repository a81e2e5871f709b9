"""Quantal: learned image and video codecs that write real files.

Names are looked up on first use, so that `import quantal` stays quick and loads neither torch nor
numpy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quantal import latents as latents
    from quantal.codecs.registry import load
    from quantal.files.clip_decode import open_clip as open
    from quantal.files.clip_face import compress_clip, decompress_clip, write_clip
    from quantal.files.face import compress, decompress, read, samples, write

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "compress",
    "compress_clip",
    "decompress",
    "decompress_clip",
    "latents",
    "load",
    "open",
    "read",
    "samples",
    "write",
    "write_clip",
]

_HOMES = {
    "compress": "quantal.files.face:compress",
    "compress_clip": "quantal.files.clip_face:compress_clip",
    "decompress": "quantal.files.face:decompress",
    "decompress_clip": "quantal.files.clip_face:decompress_clip",
    "load": "quantal.codecs.registry:load",
    "open": "quantal.files.clip_decode:open_clip",
    "read": "quantal.files.face:read",
    "samples": "quantal.files.face:samples",
    "write": "quantal.files.face:write",
    "write_clip": "quantal.files.clip_face:write_clip",
}
_ROOMS = (
    "clips",
    "codecs",
    "container",
    "cubes",
    "entropy",
    "errors",
    "eval",
    "files",
    "latents",
    "media",
    "train",
    "transforms",
)


def __getattr__(name: str) -> object:
    module, _, home = _HOMES.get(name, f"quantal.{name}" if name in _ROOMS else "").partition(":")
    if module:
        from quantal.extras import imported

        value: object = imported(module, f"functions of {module.removeprefix('quantal.')}")
        if home:
            value = globals()[name] = getattr(value, home)
        return value
    raise AttributeError(f"module 'quantal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_ROOMS})
