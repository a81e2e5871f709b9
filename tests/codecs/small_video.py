"""Small untrained video codecs, for tests: quick, and livelier than trained ones."""

from __future__ import annotations

from pathlib import Path

import torch
from small import ORDERS, write_small
from torch import nn

from quantal.codecs.backends import backend_of
from quantal.codecs.info import Card
from quantal.codecs.pyramid.weights import write_entropy_net_weights
from quantal.codecs.video.codec import Video
from quantal.codecs.video.net import VideoConfig, VideoNet
from quantal.codecs.weights import read_header

__all__ = ["small_video", "write_small_video"]


def write_small_video(folder: Path, motion: bool) -> Path:
    """Weights of an untrained codec, and beside them those of its picture codec."""
    picture = folder / "context-s.safetensors"
    if not picture.exists():
        write_small(picture, "places", True)
    torch.manual_seed(11)
    config = VideoConfig(
        picture="context-s",
        picture_hash=read_header(picture)["hash"],
        motion=motion,
        channels=ORDERS["places"],
        z_channels=6,
        hyper_width=8,
        mean_width=8,
        scale_width=8,
        past_width=4,
    )
    net = VideoNet(config)
    entropy = net.entropy
    with torch.no_grad():
        rms = torch.full((config.channels,), 0.3)
        entropy.calibrate(rms)
        entropy.set_sizes(0.5 * rms, rms)
        for leave in entropy.mean.leaves:
            nn.init.normal_(leave.conv.weight, 0, 0.2)  # type: ignore[union-attr, arg-type]
        for step in entropy.scale.steps:
            step.leave.conv.weight.mul_(20)  # type: ignore[union-attr, operator]
        entropy.hyper_analysis.leave.weight.mul_(10)
        entropy.lean.fill_(0.1)
        for value in (*net.parameters(), *net.buffers()):
            if value.is_floating_point():
                value.copy_(value.half().float())
    path = folder / ("moved.safetensors" if motion else "still.safetensors")
    write_entropy_net_weights(path, net.eval(), entropy.freeze(), Card())
    return path


def small_video(folder: Path, motion: bool) -> Video:
    """An untrained codec."""
    return Video("video-s", write_small_video(folder, motion), backend_of("torch", "cpu"))
