"""Programs that show a run while it trains: TensorBoard, and Weights & Biases."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from quantal.extras import imported, install_error
from quantal.train.recipe import Recipe

__all__ = ["Dashboard", "dashboard_of"]


class Dashboard(ABC):
    """Where numbers and pictures of a run are shown."""

    @abstractmethod
    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        """Add a value to each of some curves."""

    @abstractmethod
    def picture(self, step: int, name: str, pixels: Tensor) -> None:
        """Add a picture uint8 [3, H, W]."""

    @abstractmethod
    def close(self) -> None:
        """Write what is not written yet."""


class TensorBoard(Dashboard):
    """Files for `tensorboard --logdir OUT`.

    Args:
        recipe: of the run; files are in the folder `tensorboard` of its `out`.
    """

    def __init__(self, recipe: Recipe) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            raise install_error(error, "logs for TensorBoard") or error from error
        self._writer: Any = SummaryWriter(Path(recipe.out) / "tensorboard")  # type: ignore[no-untyped-call]

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, step: int, name: str, pixels: Tensor) -> None:
        self._writer.add_image(name, pixels, step)

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases(Dashboard):
    """A run of Weights & Biases; with WANDB_MODE=offline in a folder alone, `wandb sync` sends it.

    Args:
        recipe: of the run, which is named like the folder `out`.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._wandb: Any = imported("wandb", "logs for Weights & Biases")
        out = Path(recipe.out).resolve()
        self._run = self._wandb.init(
            project="quantal",
            name=out.name,
            id=f"{zlib.crc32(str(out).encode()):08x}",  # a resumed run is the same run
            resume="allow",
            dir=str(out),
            config=recipe.to_dict(),
        )
        self._run.define_metric("*", step_metric="step")

    def numbers(self, step: int, values: Mapping[str, float]) -> None:
        if values:
            self._run.log({"step": step, **values})

    def picture(self, step: int, name: str, pixels: Tensor) -> None:
        shown = self._wandb.Image(pixels.permute(1, 2, 0).numpy())
        self._run.log({"step": step, name: shown})

    def close(self) -> None:
        self._run.finish()


_KINDS: dict[str, type[TensorBoard] | type[WeightsAndBiases]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
}


@contextmanager
def dashboard_of(recipe: Recipe) -> Iterator[Dashboard | None]:
    """Yield the dashboard that a recipe names, and close it; None without one.

    Raises:
        InstallError: If its package is missing.
    """
    if recipe.dashboard is None:
        yield None
        return
    found = _KINDS[recipe.dashboard](recipe)
    try:
        yield found
    finally:
        found.close()
