"""What tests of training share."""

from __future__ import annotations

from typing import Any

import pytest
import torch

_ALEX = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


@pytest.fixture(scope="session")
def sizes() -> dict[str, Any]:
    """Of a network that trains in seconds, of `hyperprior` or a `context` codec: don't change."""
    return {
        "channels": [8, 12, 16],
        "blocks": [1, 1, 1],
        "z_channels": 8,
        "hyper_width": 8,
        "mean_width": 8,
        "scale_width": 8,
    }


@pytest.fixture(scope="session")
def perceptual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Random weights of AlexNet's shapes, and heads for them."""
    folder = tmp_path_factory.mktemp("perceptual")
    torch.manual_seed(0)
    state = {}
    for number, (out, inside, side) in _ALEX.items():
        fan = inside * side * side
        state[f"features.{number}.weight"] = torch.randn(out, inside, side, side) / fan**0.5
        state[f"features.{number}.bias"] = torch.zeros(out)
    torch.save(state, folder / "alexnet.pth")
    heads = {
        f"lin{place}.model.1.weight": torch.rand(1, out, 1, 1) / out
        for place, (out, _, _) in enumerate(_ALEX.values())
    }
    torch.save(heads, folder / "heads.pth")
    return {"backbone": str(folder / "alexnet.pth"), "heads": str(folder / "heads.pth")}
