"""The engine of many machines: Ray Data, with a pool of actors on a cluster that is there already.

Its rows are tasks as bytes, which name files; what actors are made with is small and plain, so that
nothing large stays in the object store.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import pickle
import socket
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

import quantal
from quantal import extras
from quantal.engine.pool import Death, Describe
from quantal.engine.processes import share_cores
from quantal.errors import ArgumentError, InstallError, QuantalError

__all__ = ["Ray"]

T = TypeVar("T")
R = TypeVar("R")

_OLDEST = (2, 40)
_RETRIES = 2  # of a task whose worker died
_DIED = (
    "the worker process or its machine died, also when it was tried again; if memory ran out, "
    "fewer --jobs help"
)


class Ray:
    """A cluster of Ray: RAY_ADDRESS, one that runs on this machine, or a new one on it alone.

    Args:
        workers: How many actors; default: for each machine as many as it has CPUs, less one.

    Raises:
        InstallError: Ray is missing, too old, or without its part for data.
        ArgumentError: The cluster has no CPUs, or fewer than workers.
        QuantalError: It does not answer.
    """

    name = "ray"

    def __init__(self, workers: int | None = None) -> None:
        self._ray = _ray()
        self._own = not self._ray.is_initialized()
        if self._own:
            self._connect()
        try:
            self.workers = self._workers(workers)
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        address = os.environ.get("RAY_ADDRESS")
        try:
            self._ray.init(
                log_to_driver=False,
                logging_level=logging.ERROR,
                **({} if address else {"include_dashboard": False}),
            )
        except Exception as error:
            where = f"at {address} " if address else ""
            text = " ".join(str(error).split())[:300]
            raise QuantalError(
                f"the Ray cluster {where}does not answer: {text}; see `ray status`"
            ) from error

    def _workers(self, asked: int | None) -> int:
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        cpus = [int(node["Resources"].get("CPU", 0)) for node in nodes]
        if not sum(cpus):
            raise ArgumentError(
                f"the Ray cluster has {len(nodes)} nodes and no CPUs, expected at least one; start "
                "a node with `ray start --num-cpus N`"
            )
        if asked is not None and asked > sum(cpus):
            raise ArgumentError(
                f"{asked} workers need as many CPUs, and the Ray cluster has {sum(cpus)}; ask for "
                "fewer, or start more nodes"
            )
        return asked or sum(max(count - 1, 1) for count in cpus if count)

    def spread(
        self, function: Callable[[T], R], tasks: Sequence[T], describe: Describe
    ) -> Generator[tuple[int, R | Death], None, None]:
        """Apply a function to every task, and yield numbers of tasks with results, in any order.

        A worker or a machine that dies costs the tasks that it had in hand, which others do again;
        a task over which workers die time and again is a Death.

        Args:
            function: Raises nothing; it and its results are picklable.
            tasks: Picklable too.
            describe: Not used, since actors pass errors on by themselves.
        """
        left = set(range(len(tasks)))
        context = self._ray.data.DataContext.get_current()
        quiet = {
            "enable_progress_bars": False,
            "print_on_execution_start": False,
            "max_errored_blocks": -1,  # they are named in the end, with the others done
        }
        before = {name: getattr(context, name) for name in quiet}
        _hush()
        try:
            for name, value in quiet.items():
                setattr(context, name, value)
            for number, result in self._results(function, tasks):
                if number in left:  # a lost result may come twice
                    left.discard(number)
                    yield number, result
        finally:
            for name, value in before.items():
                setattr(context, name, value)
        for number in sorted(left):
            yield number, Death(_DIED)

    def _results(
        self, function: Callable[[T], R], tasks: Sequence[T]
    ) -> Generator[tuple[int, R], None, None]:
        data = self._ray.data
        items = [{"number": n, "task": pickle.dumps(task)} for n, task in enumerate(tasks)]
        results = data.from_items(items, override_num_blocks=len(items)).map_batches(
            _Actor,
            fn_constructor_args=(pickle.dumps(function), _environment(), quantal.__version__),
            batch_size=1,
            batch_format="pyarrow",
            compute=data.ActorPoolStrategy(size=min(self.workers, len(items))),
            num_cpus=1,
            max_restarts=-1,
            max_task_retries=_RETRIES,
        )
        try:
            for table in results.iter_batches(
                batch_size=None, batch_format="pyarrow", prefetch_batches=0
            ):
                for row in table.to_pylist():
                    if row["refused"]:
                        raise QuantalError(row["refused"])
                    yield row["number"], pickle.loads(row["result"])
        except QuantalError:
            raise
        except self._ray.exceptions.RayError as error:
            cause = " ".join(str(error).split())[-300:]
            raise QuantalError(f"the Ray cluster gave up: {cause}; see `ray status`") from error

    def close(self) -> None:
        """Leave the cluster, and end it if it was started here."""
        if self._own:
            self._ray.shutdown()


class _Actor:
    """A worker on a node of the cluster, with one thread.

    Args:
        function: Pickled; of modules that the node has.
        environment: Variables that workers need.
        version: Of Quantal, where the call was made.
    """

    def __init__(self, function: bytes, environment: dict[str, str], version: str) -> None:
        os.environ.update(environment)
        share_cores(os.cpu_count() or 1)
        from threadpoolctl import threadpool_limits

        threadpool_limits(1, user_api="blas")  # numpy is loaded already
        self._refused = ""
        here = socket.gethostname()
        if quantal.__version__ != version:
            self._refused = (
                f"{here} has Quantal {quantal.__version__}, expected {version}; install the same "
                "on all nodes"
            )
            return
        try:
            self._function = pickle.loads(function)
        except Exception as error:
            self._refused = f"{here} can't load the work: {type(error).__name__}: {error}"

    def __call__(self, table: Any) -> Any:
        import pyarrow

        number, task = (table.column(name)[0].as_py() for name in ("number", "task"))
        result = b"" if self._refused else pickle.dumps(self._function(pickle.loads(task)))
        return pyarrow.table(
            {
                "number": [number],
                "result": pyarrow.array([result], pyarrow.binary()),
                "refused": [self._refused],
            }
        )


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("QUANTAL_")}


def _ray() -> Any:
    """Return the package with its part for data.

    Raises:
        InstallError: It is missing or too old.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = extras.imported("ray", "engines of many machines")
    try:
        version = importlib.metadata.version("ray")
    except importlib.metadata.PackageNotFoundError:
        version = str(getattr(ray, "__version__", "0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < _OLDEST:
        wanted = ".".join(map(str, _OLDEST))
        raise InstallError(
            f"Ray {version} is too old, expected {wanted} or later: pip install -U 'quantal[ray]'"
        )
    extras.imported("pyarrow", "engines of many machines")
    extras.imported("ray.data", "engines of many machines")
    return ray


def _hush() -> None:
    """Leave the terminal to us: Ray Data reports each run there."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
