"""connote as the worker of engines that spread work over machines: Ray Data, Spark, Daft, Dask, and Lance.

:class:`ArrowEmbedder` is what all of them run; a function for each engine wires it, and imports its engine only when it is called.
"""

from connote.integrations.arrow import ArrowEmbedder
from connote.integrations.engines import daft_embed, dask_embed, lance_embed, ray_embed, spark_embed
from connote.integrations.threads import engine_threads

__all__ = [
    "ArrowEmbedder",
    "daft_embed",
    "dask_embed",
    "engine_threads",
    "lance_embed",
    "ray_embed",
    "spark_embed",
]
