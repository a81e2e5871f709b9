"""Registers the little codec of video: `--plugin tests/little_video_plugin.py`."""

from __future__ import annotations

from quantal.codecs import register
from tests.little_video import LittleVideo

register(LittleVideo())
