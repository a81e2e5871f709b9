"""What a worker does with a batch, in whatever engine it runs: read, compute, write, report."""

from __future__ import annotations

import functools
import hashlib
import platform
import posixpath
import socket
import time
from dataclasses import replace

from quantal.engine.manifest import OPTIONS, part_of, read_part, write_part
from quantal.engine.places import FullError, Place
from quantal.engine.rows import Batch, Job, Product, Result, Row, Status
from quantal.engine.shards import bundle, key_of
from quantal.engine.tables import cell, table
from quantal.errors import ModelError, OutputError

__all__ = ["do"]


def do(batch: Batch, job: Job) -> list[Result]:
    """Do the rows of a batch, and write down that it is finished.

    A batch that is finished already, as when its result was lost with the machine that held it, is
    not done again. Errors become results, so that nothing unpicklable crosses processes.
    """
    try:
        source, target = Place(job.source), Place(job.target)
        part = part_of(job, batch)
        if not target.exists(OPTIONS):  # which the caller has written
            raise OutputError(
                f"{socket.gethostname()} does not see {target.name}; name a folder that all nodes "
                "share, or a store"
            )
        if target.exists(part):
            return read_part(target, part)
        if job.split:
            results = _in_table(batch, job, source, target)
        elif job.tar:
            results = _in_tar(batch, job, source, target)
        else:
            results = _in_files(batch, job, source, target)
        if all(result.status != Status.halted for result in results):
            write_part(target, part, results)
        return results
    except Exception as error:
        reason = job.describe(error)
        return [Result.of(row, status=Status.halted, error=reason) for row in batch.rows[:1]]


def _in_files(batch: Batch, job: Job, source: Place, target: Place) -> list[Result]:
    results: list[Result] = []
    for row in batch.rows:
        result, product = _made(row, job, source)
        if product is not None and product.data is not None:
            result = _written(target, row, result, product.data, job)
        results.append(result)
        if result.status == Status.halted:
            break
    return results


def _in_tar(batch: Batch, job: Job, source: Place, target: Place) -> list[Result]:
    """Write all results of a batch as one tar, with what lies beside their pictures in tars."""
    tar = f"{job.run}-{batch.number:06}.tar"
    results: list[Result] = []
    files: list[tuple[str, bytes]] = []
    for row in batch.rows:
        result, product = _made(row, job, source)
        if product is not None and product.data is not None:
            files.append((row.output, product.data))
            for name, offset, size in row.beside:
                ending = name.removeprefix(key_of(row.member))
                files.append(
                    (key_of(row.output) + ending, source.read(row.path, offset, offset + size))
                )
            result = replace(result, output=posixpath.join(tar, row.output))
        results.append(result)
    if files:
        return _gathered(target, tar, bundle(files), results, batch, job)
    return results


def _in_table(batch: Batch, job: Job, source: Place, target: Place) -> list[Result]:
    """Write all results of a batch as one shard, with the other columns of their rows."""
    shard = f"{job.split}-{job.run}-{batch.number:06}.parquet"
    results: list[Result] = []
    made: list[tuple[Row, bytes]] = []
    for row in batch.rows:
        result, product = _made(row, job, source)
        if product is not None and product.data is not None:
            made.append((row, product.data))
            result = replace(result, output=posixpath.join(shard, row.output))
        results.append(result)
    if made:
        return _gathered(target, shard, table(source, made), results, batch, job)
    return results


def _gathered(
    target: Place, path: str, data: bytes, results: list[Result], batch: Batch, job: Job
) -> list[Result]:
    """Write what holds all results of a batch."""
    try:
        target.write(path, data)
    except FullError as error:
        return [Result.of(batch.rows[0], status=Status.halted, error=job.describe(error))]
    return results


def _made(row: Row, job: Job, source: Place) -> tuple[Result, Product | None]:
    """Read a file and compute its result."""
    start = time.perf_counter()
    try:
        if row.column:
            content = cell(source, row)
        elif row.member:
            content = source.read(row.path, row.offset, row.offset + row.size)
        else:
            content = source.read(row.path)
        product = job.function(source.url(row.name), content)
        expected = job.options.get("model_hash", product.model_hash)
        if product.model_hash != expected:
            raise ModelError(
                f"the model of {socket.gethostname()} has hash {product.model_hash}, expected "
                f"{expected}; install the same weights on all nodes"
            )
    except Exception as error:
        seconds = time.perf_counter() - start
        return (
            Result.of(row, status=Status.failed, error=job.describe(error), seconds=seconds),
            None,
        )
    data = content if product.data is None else product.data
    return (
        Result.of(
            row,
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            note=product.note,
            seconds=time.perf_counter() - start,
            model_hash=product.model_hash,
            processor=processor(),
        ),
        product,
    )


def _written(target: Place, row: Row, result: Result, data: bytes, job: Job) -> Result:
    """Write a result; a place that is full ends the whole work, other errors that of a row."""
    try:
        target.write(row.output, data)
    except FullError as error:
        return Result.of(row, status=Status.halted, error=job.describe(error))
    except Exception as error:
        return Result.of(row, status=Status.failed, error=job.describe(error))
    return result


@functools.cache
def processor() -> str:
    """Return what this machine computes with."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip() == "model name":
                    return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
