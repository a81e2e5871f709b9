"""The engine of many machines: actors on a cluster of Ray that is there already.

Tasks name files and results are rows, so that nothing large goes through the object store. Plain
actors are enough, and say over which task one died: Ray Data is made for rows that travel.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import pickle
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import quantal
from quantal import extras
from quantal.engine.pool import Death, Describe
from quantal.engine.processes import share_cores
from quantal.errors import ArgumentError, InstallError, QuantalError
from quantal.processes import kept_signals

__all__ = ["Ray"]

T = TypeVar("T")
R = TypeVar("R")

_OLDEST = (2, 40)
_TRIES = 3  # of a task over which actors die, and of actors that don't start
_LOOK = 1.0  # seconds after which tasks that take too long are looked for
_DIED = (
    "the worker process or its machine died, also when it was tried again; if memory ran out, "
    "fewer --jobs help"
)


class Ray:
    """A cluster of Ray: RAY_ADDRESS, one that runs on this machine, or a new one on it alone.

    Args:
        workers: How many actors; default: for each node as many as it has CPUs, less one.

    Raises:
        InstallError: Ray is missing or too old.
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
            self._nodes = self._places(workers)
        except BaseException:
            self.close()
            raise
        self.workers = len(self._nodes)

    def _connect(self) -> None:
        address = os.environ.get("RAY_ADDRESS")
        try:
            _reach(address or "")
            with kept_signals():
                self._ray.init(
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    **({} if address else {"include_dashboard": False}),
                )
        except Exception as error:
            where = f"at {address} " if address else ""
            text = getattr(error, "strerror", None) or " ".join(str(error).split())[:300]
            raise QuantalError(
                f"the Ray cluster {where}does not answer: {text}; see `ray status`"
            ) from error

    def _places(self, asked: int | None) -> list[str]:
        """Return a node for each actor; a node keeps a CPU for itself where it has several."""
        nodes = {
            node["NodeID"]: int(node["Resources"].get("CPU", 0))
            for node in self._ray.nodes()
            if node["Alive"]
        }
        total = sum(nodes.values())
        if not total:
            raise ArgumentError(
                f"the Ray cluster has no CPUs on {len(nodes)} nodes, expected at least one; start "
                "a node with `ray start --num-cpus N`"
            )
        if asked is not None and asked > total:
            raise ArgumentError(
                f"{asked} workers need as many CPUs, and the Ray cluster has {total}; ask for "
                "fewer, or start more nodes"
            )
        kept = [node for node, cpus in nodes.items() if cpus > 1]
        used = [node for node, cpus in nodes.items() for _ in range(cpus - (node in kept))]
        return used if asked is None else [*used, *kept][:asked]

    def spread(
        self,
        function: Callable[[T], R],
        tasks: Sequence[T],
        describe: Describe,
        timeout: float | None = None,
    ) -> Generator[tuple[int, R | Death], None, None]:
        """Apply a function to every task, and yield numbers of tasks with results, in any order.

        An actor that dies, alone or with its machine, costs the task that it had in hand, which
        another does again. A task over which actors die time and again is a Death.

        Args:
            function: Raises nothing; it and its results are picklable.
            tasks: Picklable too.
            describe: Not used: what actors can't say themselves is Ray's own text.
            timeout: Seconds that a task may take; None for no limit.

        Raises:
            QuantalError: No actor starts, or a node lacks what the work needs.
        """
        crew = _Crew(self._ray, self._nodes[: len(tasks)], function)
        left = deque(range(len(tasks)))
        deaths: Counter[int] = Counter()
        try:
            while left or crew.busy:
                crew.employ(left, tasks)
                for number, result in crew.wait():
                    if not isinstance(result, Death):
                        yield number, result
                        continue
                    deaths[number] += 1
                    if deaths[number] < _TRIES:
                        left.appendleft(number)
                    else:
                        yield number, result
                if timeout is not None:
                    for number in crew.stop_late(timeout):
                        yield number, Death(f"gave no answer within {timeout:g} s and was stopped")
        finally:
            crew.end()

    def close(self) -> None:
        """Leave the cluster, and end it if it was started here."""
        if self._own:
            self._ray.shutdown()


class _Crew:
    """The actors of one call, those that are starting, and the task that each has in hand.

    Ray would start dead actors anew by itself, but with their tasks in hand: where no CPU is left
    for one, its task would wait for ever.

    Args:
        ray: The package.
        nodes: Identifiers of nodes, one for each actor.
        function: What they do.
    """

    def __init__(self, ray: Any, nodes: Sequence[str], function: Callable[[Any], object]) -> None:
        self._ray = ray
        self._actor = ray.remote(_Actor)
        self._arguments = (pickle.dumps(function), _environment(), quantal.__version__)
        self._idle: list[Any] = []
        #: By what is waited for: an actor, and the number of its task; None while it starts.
        self._waiting: dict[Any, tuple[Any, int | None]] = {}
        self._since: dict[int, float] = {}  # when tasks were given, in seconds
        self._failed = 0
        for node in nodes:
            self._hire(node)

    @property
    def busy(self) -> bool:
        """Whether an actor has a task in hand."""
        return any(number is not None for _, number in self._waiting.values())

    def employ(self, left: deque[int], tasks: Sequence[object]) -> None:
        """Give tasks to actors that have none."""
        while left and self._idle:
            actor, number = self._idle.pop(), left.popleft()
            self._waiting[actor.work.remote(tasks[number])] = (actor, number)
            self._since[number] = time.monotonic()

    def wait(self) -> Iterator[tuple[int, Any]]:
        """Wait a little for something to end; yield numbers of tasks with results, or Deaths."""
        ready, _ = self._ray.wait(list(self._waiting), num_returns=1, timeout=_LOOK)
        for reference in ready:
            actor, number = self._waiting.pop(reference)
            try:
                answer = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                self._replace(actor, number, error)
                if number is not None:
                    yield number, Death(_DIED)
                continue
            self._failed = 0
            self._idle.append(actor)
            if number is not None:
                yield number, answer
            elif answer:
                raise QuantalError(answer)

    def stop_late(self, timeout: float) -> Iterator[int]:
        """Stop actors that have had a task for longer, and yield its number."""
        now = time.monotonic()
        for reference, (actor, number) in list(self._waiting.items()):
            if number is not None and now - self._since[number] > timeout:
                del self._waiting[reference]
                self._replace(actor, number, None)
                yield number

    def end(self) -> None:
        """End all actors."""
        for actor in [*self._idle, *(actor for actor, _ in self._waiting.values())]:
            with suppress(Exception):  # of a cluster that is gone
                self._ray.kill(actor)

    def _hire(self, node: str | None) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        strategy = "DEFAULT" if node is None else NodeAffinitySchedulingStrategy(node, soft=True)
        actor = self._actor.options(
            num_cpus=1, max_restarts=0, max_task_retries=0, scheduling_strategy=strategy
        ).remote(*self._arguments)
        self._waiting[actor.refused.remote()] = (actor, None)

    def _replace(self, actor: Any, number: int | None, error: Exception | None) -> None:
        """Put another in the place of a dead actor, wherever there is room."""
        with suppress(Exception):  # it may only be out of reach
            self._ray.kill(actor)
        if number is None:
            self._failed += 1
            if self._failed >= _TRIES:
                cause = " ".join(str(error).split())[-400:]
                raise QuantalError(f"no actor of Ray starts: {cause}") from error
        self._hire(None)


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

        threadpool_limits(1, user_api="blas")  # numpy may be loaded already
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

    def refused(self) -> str:
        """Return why it can't work; empty if it can."""
        return self._refused

    def work(self, task: Any) -> Any:
        """Do a task."""
        return self._function(task)


def _reach(address: str) -> None:
    """Raise an OSError at once if HOST:PORT does not answer; Ray tries it for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("QUANTAL_")}


def _ray() -> Any:
    """Return the package.

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
    return ray
