"""Starting the processes of a run on this machine, by what torchrun is made of."""

from __future__ import annotations

import logging
import sys
import uuid
from collections.abc import Sequence

from quantal.errors import ArgumentError

__all__ = ["launch"]


def launch(processes: int, arguments: Sequence[str]) -> int:
    """Run `python -m quantal` in several processes that know of one another, and wait for them.

    When one of them fails, the others are stopped.

    Args:
        processes: how many.
        arguments: of the command.

    Returns:
        The exit status: 0 if all succeeded, else that of the first that failed, or 128 and the
        number of a signal.

    Raises:
        ArgumentError: If this torch has no processes.
    """
    try:
        from torch.distributed.elastic.multiprocessing.api import SignalException
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.launcher.api import LaunchConfig, elastic_launch
    except ImportError as error:
        raise ArgumentError(
            "this torch can't train in several processes; set `processes: 1`"
        ) from error
    # Each process prints its own error; that it has failed says nothing more.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "quantal", *arguments)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except SignalException as signal:
        return 128 + int(signal.sigval)
    return 0
