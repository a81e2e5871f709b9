"""Channels are ranked by the picture they make, from weights alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quantal.transforms import PyramidAnalysis, PyramidSynthesis, initialise_with_klt, rank_channels


class Spread(nn.Module):
    """Draws channel c of every latent with its own strength."""

    def __init__(self, strengths: Tensor) -> None:
        super().__init__()
        self.strengths = strengths

    def forward(self, latents: Tensor) -> Tensor:
        return (latents * self.strengths[:, None, None]).sum(1, keepdim=True) + 0.5


def test_strength_times_size_decides() -> None:
    strengths = torch.tensor([1.0, 5.0, 2.0, 0.0])
    assert rank_channels(Spread(strengths), torch.ones(4)) == [1, 2, 0, 3]
    assert rank_channels(Spread(strengths), torch.tensor([9.0, 1.0, 2.0, 100.0])) == [0, 1, 2, 3]


def test_more_channels_than_are_tried_at_a_time() -> None:
    strengths = torch.rand(100, generator=torch.Generator().manual_seed(1))
    assert (
        rank_channels(Spread(strengths), torch.ones(100))
        == strengths.argsort(descending=True).tolist()
    )


def test_a_klt_is_ranked_by_its_energies() -> None:
    torch.manual_seed(1)
    coarse = torch.rand(8, 3, 8, 8)
    pictures = nn.functional.interpolate(coarse, (64, 64), mode="bicubic").clamp(0, 1)
    analysis = PyramidAnalysis((8, 12, 16), (0, 0, 0))
    synthesis = PyramidSynthesis((8, 12, 16), (0, 0, 0))
    rms = initialise_with_klt(analysis, synthesis, pictures)
    assert rank_channels(synthesis, rms) == list(range(16))
