"""Pillow reads and writes .qtl files once this module is imported.

    import quantal.pillow
    Image.open("photo.jpg").save("photo.qtl", quality=60)
    Image.open("photo.qtl").show()

Opening reads header and metadata; torch is not loaded before a picture is decoded or saved. A clip
is an image of many frames, as Pillow has them of GIF: `n_frames`, `seek`, `tell`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile

from quantal import container, media
from quantal.errors import ArgumentError, QuantalWarning, TruncatedError
from quantal.media import EXIF_PREFIX

if TYPE_CHECKING:
    from PIL._imaging import PixelAccess

    from quantal.files import StoredClip

__all__ = ["QtlImageFile"]

_TARGETS = ("quality", "bpp", "psnr", "max_bytes")
_METADATA = ("icc_profile", "exif", "xmp")
_OTHERS = ("codec", "device", "weights", "effort", "resilient", "strip", "content")


class QtlImageFile(ImageFile.ImageFile):
    """A .qtl file as a Pillow image of mode L, LA, RGB or RGBA.

    `info` has the codec, the quality, ICC profile, EXIF and XMP from the start. Of a clip it has
    the tags as a dict in "metadata", since Pillow gives names such as "exif" a meaning, and in
    "duration" how long the frame is shown in milliseconds.
    """

    format = "QTL"
    format_description = "Quantal"

    def _open(self) -> None:
        self._reader: container.ClipReader | None = None
        self._clip: StoredClip | None = None
        self._group: container.Group | None = None
        self._frame = 0
        self._following = -1  # the frame that comes next without seeking
        file = self._file()
        beginning = file.read(container.HEADER_LIMIT)
        if container.media_of(beginning) == "video":
            self._open_clip(file)
            return
        info = container.probe(beginning, file.seek(0, os.SEEK_END))
        has_alpha = any(part.name == "alpha" for part in info.parts)
        self._mode = ("L" if info.header.grey else "RGB") + ("A" if has_alpha else "")
        self._size = info.header.width, info.header.height
        self.info.update(codec=info.header.codec, quality=info.quality)
        for kind, key in (("icc", "icc_profile"), ("exif", "exif"), ("xmp", "xmp")):
            content = container.read_part(file, info, kind)
            if content:
                self.info[key] = (EXIF_PREFIX if kind == "exif" else b"") + content
        self.tile = []  # there is nothing for Pillow to decode

    def _open_clip(self, file: IO[bytes]) -> None:
        self._reader = container.ClipReader(file)
        header = self._reader.header
        self._close_exclusive_fp_after_loading = False
        self._mode, self._size, self.tile = "RGB", (header.width, header.height), []
        self.info.update(codec=header.codec, quality=container.rate_to_quality(header.rate))
        self.info["metadata"] = dict(self._reader.about.metadata)
        if not self.n_frames:
            raise TruncatedError("the clip has no frames; fetch the file again")
        self.info["duration"] = self._duration(0)

    @property
    def n_frames(self) -> int:
        """Number of frames, 1 of a picture."""
        return 1 if self._reader is None else self._reader.known_groups().frames

    @property
    def is_animated(self) -> bool:
        """Whether there are several frames."""
        return self.n_frames > 1

    def seek(self, frame: int) -> None:
        """Go to a frame of a clip, from 0.

        Raises:
            EOFError: There is none.
            BitstreamError: The file is damaged there; the image stays at its frame.
        """
        if frame == self._frame:
            return
        duration = self._duration(frame)
        self._frame, self._im = frame, None
        self.info["duration"] = duration

    def tell(self) -> int:
        """Return the number of the frame."""
        return self._frame

    def _duration(self, frame: int) -> float:
        """Return how long a frame of a clip is shown in milliseconds, which stands in its group."""
        if self._reader is None:
            raise EOFError(f"there is no frame {frame}; the image is a picture")
        group = self._group
        if group is None or not group.frame <= frame < group.frame + group.count:
            try:
                group = self._group = next(self._reader.groups_at_frame(frame))
            except ArgumentError as error:  # Pillow ends with EOFError
                raise EOFError(str(error)) from error
        duration = group.frames[frame - group.frame].duration
        return float(1000 * duration * self._reader.header.time_base)

    def _load_frame(self) -> None:
        from quantal.files import StoredClip

        if self._clip is None:
            self._clip = StoredClip(self._file())
        following, self._following = self._following, -1  # until the frame is there
        if following != self._frame:
            self._clip.seek_frame(self._frame)
        frame = next(self._clip, None)
        if frame is None:
            raise EOFError(f"frame {self._frame} is no longer there; open the file again")
        image = Image.fromarray(frame.pixels)
        self._following = self._frame + 1
        self.im, self._mode = image.im, image.mode
        _warn(self._clip.warnings)

    def load(self) -> PixelAccess | None:
        """Decode the picture or the frame, once."""
        if self._im is None and self._reader is not None:
            self._load_frame()
        if self._im is None:
            from quantal.files import decode_picture

            picture = decode_picture(self._read())
            image = media.to_image(picture)
            self.im = image.im
            self._mode = image.mode
            self.info.update(image.info)
            if self._exclusive_fp:
                self._file().close()
            self.fp = None
            _warn(picture.warnings)
        return super().load()

    def verify(self) -> None:
        """Check structure and checksums.

        Raises:
            BitstreamError: If the file is damaged.
        """
        if self._reader is None:
            container.read(self._read())
        else:
            for _ in self._reader.groups():
                pass
        super().verify()

    def _read(self) -> bytes:
        file = self._file()
        file.seek(0)
        return file.read()

    def _file(self) -> IO[bytes]:
        if self.fp is None:
            raise ValueError("the file behind this image is closed; open it again")
        return self.fp


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(container.MAGIC)


def _save(im: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    """Save an image as a .qtl file.

    Options of `Image.save` are those of `quantal.compress`, `weights` for a codec given by name,
    and `icc_profile`, `exif`, `xmp`; metadata that is not given is taken from `im.info`.
    """
    from quantal import codecs
    from quantal.files import Target
    from quantal.files.encode import encode_picture, suited
    from quantal.files.matching import named_codec

    options: dict[str, Any] = im.encoderinfo
    known = (*_TARGETS, *_METADATA, *_OTHERS)
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ArgumentError(
            f"a .qtl file has no option {unknown[0]!r}; its options are {', '.join(known)}"
        )
    target = Target(**{key: options[key] for key in _TARGETS if key in options})
    codec = named_codec(
        options.get("codec", codecs.DEFAULT_CODEC),
        options.get("device", "auto"),
        options.get("weights"),
    )
    picture = media.from_image(im, {key: options[key] for key in _METADATA if key in options})
    picture = suited(media.strip(picture, options.get("strip", ())), codec)
    effort, resilient = options.get("effort", 0), options.get("resilient", False)
    content = options.get("content", "auto")
    encoded = encode_picture(picture, codec, target, effort, resilient=resilient, content=content)
    _warn((*picture.warnings, *encoded.warnings))
    fp.write(encoded.data)


def _warn(messages: Iterable[str]) -> None:
    for message in messages:
        warnings.warn(message, QuantalWarning, stacklevel=4)


Image.register_open(QtlImageFile.format, QtlImageFile, _accept)
Image.register_save(QtlImageFile.format, _save)
Image.register_extension(QtlImageFile.format, ".qtl")
Image.register_mime(QtlImageFile.format, "image/x-quantal")
