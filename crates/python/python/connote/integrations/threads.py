"""How many threads a process of an engine may use."""

from __future__ import annotations

import os
import sys
from typing import Any

from connote import _connote

__all__ = ["engine_threads"]


def engine_threads() -> int:
    """Threads that the engine around this process gives to it: Ray's ``num_cpus``, Spark's ``spark.task.cpus``, the threads of a
    Dask worker. 0 where no engine is asked: then connote takes what affinity and cgroup limits give.

    Never more than affinity and cgroup limits give: engines count what they were told of, a container's limit or not. Only engines
    that are loaded already are asked: nothing is imported.
    """
    # What was said by number goes before what an engine says.
    if os.environ.get("CONNOTE_THREADS"):
        return 0
    for ask in (_ray, _spark, _dask):
        threads = ask()
        if threads:
            # Not as OMP_NUM_THREADS says: Dask sets it to 1 in every worker, for libraries that know nothing of its threads.
            return min(threads, _connote.available_cores())
    return 0


def _ray() -> int:
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return 0
    context = ray.get_runtime_context()
    # The driver has no resources of its own.
    if context.worker.mode != ray.WORKER_MODE:
        return 0
    cpus = context.get_assigned_resources().get("CPU", 0)
    return max(1, int(cpus))


def _spark() -> int:
    context = spark_task()
    return 0 if context is None else max(1, int(context.cpus()))


def spark_task() -> Any:
    """The task of Spark that runs here, if one does."""
    if "pyspark" not in sys.modules:
        return None
    from pyspark import TaskContext

    return TaskContext.get()


def _dask() -> int:
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return 0
    try:
        worker = distributed.get_worker()
    except ValueError:
        return 0
    # All tasks of a worker share one embedder, which shares out its threads.
    return max(1, int(worker.state.nthreads))
