"""A function for each engine: it wires :class:`ArrowEmbedder`, and imports its engine when it is called."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from connote import _connote
from connote.integrations.arrow import ArrowEmbedder
from connote.integrations.threads import engine_threads

if TYPE_CHECKING:
    import dask.dataframe
    import daft
    import lance
    import pyarrow as pa
    import pyspark.sql
    import ray.data

__all__ = ["daft_embed", "dask_embed", "lance_embed", "ray_embed", "spark_embed"]


def ray_embed(
    dataset: ray.data.Dataset,
    path: str | os.PathLike[str] | None = None,
    column: str = "text",
    out: str = "embedding",
    *,
    actors: int | tuple[int, int] = 1,
    num_cpus: float = 1,
    batch_size: int = 1024,
    map_options: dict[str, Any] | None = None,
    **options: Any,
) -> ray.data.Dataset:
    """A Ray dataset with a column of vectors, computed by a pool of actors.

    Args:
        actors: How many, or the least and the most of them.
        num_cpus: CPUs, and so threads, of an actor; at least 1, for a thread is the least that computes.
        batch_size: Rows of a batch, which is what is computed again when an actor is lost.
        map_options: Anything else for ``Dataset.map_batches``.
        options: As :class:`ArrowEmbedder`.
    """
    if num_cpus < 1:
        raise ValueError(f"num_cpus={num_cpus!r}: an actor computes with a thread at least, so give it 1 CPU or more")
    import ray.data

    pool = {"size": actors} if isinstance(actors, int) else {"min_size": actors[0], "max_size": actors[1]}
    # A block is what an actor gets: Ray reads little data as one, which leaves all other actors without work.
    return dataset.repartition(target_num_rows_per_block=batch_size).map_batches(
        ArrowEmbedder,
        fn_constructor_args=(path, column, out),
        fn_constructor_kwargs=options,
        batch_format="pyarrow",
        batch_size=batch_size,
        zero_copy_batch=True,
        compute=ray.data.ActorPoolStrategy(**pool),
        num_cpus=num_cpus,
        udf_modifying_row_count=False,
        **(map_options or {}),
    )


def spark_embed(
    frame: pyspark.sql.DataFrame,
    path: str | os.PathLike[str] | None = None,
    column: str = "text",
    out: str = "embedding",
    **options: Any,
) -> pyspark.sql.DataFrame:
    """A Spark data frame with a column of vectors (``array<float>``), by ``mapInArrow``. A task has ``spark.task.cpus`` threads.

    ``options`` are those of :class:`ArrowEmbedder`.
    """
    embedder = ArrowEmbedder(path, column, out, fixed_size=False, **options)
    if embedder.output not in ("float32", "int8", "binary"):
        raise ValueError(
            f"output {embedder.output!r}: Spark has neither 16-bit floats nor unsigned bytes; there is float32, int8 and binary"
        )
    from pyspark.sql import types

    values = types.FloatType() if embedder.output == "float32" else types.ByteType()
    added = [types.StructField(out, types.ArrayType(values))]
    if embedder.error_column is not None:
        added.append(types.StructField(embedder.error_column, types.StringType()))
    # Replaced columns go last, as the schema has them. `drop` takes names as they are, where `select` reads `a.b` as a field of
    # `a`, and so does `mapInArrow`, for which such columns have another name.
    kept = frame.drop(*(field.name for field in added))
    names = [field.name for field in kept.schema.fields]
    plain = [f"__connote_{index}" if "." in name or "`" in name else name for index, name in enumerate(names)]
    by_name = dict(zip(names, plain, strict=True))
    embedder.column = by_name.get(column, column)
    embedder.title_column = by_name.get(embedder.title_column, embedder.title_column)
    kept = kept.toDF(*plain)
    found = kept.mapInArrow(embedder.batches, types.StructType([*kept.schema.fields, *added]))
    return found.toDF(*names, *(field.name for field in added))


def daft_embed(
    frame: daft.DataFrame,
    path: str | os.PathLike[str] | None = None,
    column: str = "text",
    out: str = "embedding",
    *,
    batch_size: int = 1024,
    class_options: dict[str, Any] | None = None,
    **options: Any,
) -> daft.DataFrame:
    """A Daft data frame with a column of vectors (``Embedding``), computed by ``@daft.cls``.

    Args:
        batch_size: Rows of a batch.
        class_options: Arguments of ``daft.cls``: ``max_concurrency``, ``use_process``, ``cpus``, ``max_retries``, ...
            Default: one instance, with all threads of the process. Several of a process share them; with processes of their own
            (``use_process=True``) each has its share, or ``cpus`` threads where that is given.
        options: As :class:`ArrowEmbedder`.
    """
    import daft
    import pyarrow as pa

    classes = {"max_concurrency": 1, **(class_options or {})}
    embedder = ArrowEmbedder(path, column, out, **options)
    here, own = os.getpid(), _share(classes)
    read = list(dict.fromkeys([column, *([embedder.title_column] if embedder.title_column else [])]))
    field = embedder.schema(pa.schema([(name, pa.string()) for name in read])).field(out)
    values = daft.DataType.from_arrow_type(field.type.value_type)
    vectors = daft.DataType.embedding(values, field.type.list_size)
    error = embedder.error_column

    # A function gives one column: with errors it is one of pairs, which are taken apart.
    class Embed:
        def __call__(self, *columns: daft.Series) -> Any:
            if os.getpid() != here and not embedder.threads:
                embedder.threads = min(own or engine_threads(), _connote.available_threads())
            table = embedder(pa.table(dict(zip(read, (one.to_arrow() for one in columns), strict=True))))
            found = table.column(out).combine_chunks()
            if error is None:
                return found
            return pa.StructArray.from_arrays([found, table.column(error).combine_chunks()], ["vector", "error"])

    given = vectors
    if error is not None:
        plain = daft.DataType.fixed_size_list(values, field.type.list_size)
        given = daft.DataType.struct({"vector": plain, "error": daft.DataType.string()})
    Embed.__call__ = daft.method.batch(  # type: ignore[method-assign]
        Embed.__call__, return_dtype=given, batch_size=batch_size
    )
    embed = daft.cls(Embed, **classes)()
    frame = frame.with_column(out, embed(*(frame[name] for name in read)))
    if error is None:
        return frame
    pair = frame[out]
    return frame.with_columns({error: pair.get("error"), out: pair.get("vector").cast(vectors)})


def _share(classes: dict[str, Any]) -> int:
    """Threads of a process of an instance of Daft's; 0 where its engine is to be asked."""
    if classes.get("cpus"):
        return max(1, int(classes["cpus"]))
    import daft

    # Ray's instances are of many machines.
    if not classes.get("use_process") or daft.get_or_infer_runner_type() == "ray":
        return 0
    return max(1, _connote.available_threads() // max(1, int(classes["max_concurrency"] or 1)))


def dask_embed(
    frame: dask.dataframe.DataFrame,
    path: str | os.PathLike[str] | None = None,
    column: str = "text",
    out: str = "embedding",
    **options: Any,
) -> dask.dataframe.DataFrame:
    """A Dask data frame with a column of vectors (Arrow lists), a partition at a time. A worker's tasks share one model and its
    threads.

    ``options`` are those of :class:`ArrowEmbedder`.
    """
    embedder = ArrowEmbedder(path, column, out, **options)
    return frame.map_partitions(_pandas, embedder, meta=_pandas(frame._meta, embedder))


def _pandas(part: Any, embedder: ArrowEmbedder) -> Any:
    import pandas
    import pyarrow as pa

    names = [embedder.column, *([embedder.title_column] if embedder.title_column else [])]
    table = embedder(pa.table({name: _strings(part[name]) for name in names}))
    part = part.copy(deep=False)
    for name in (embedder.out, *([embedder.error_column] if embedder.error_column else [])):
        values = pandas.arrays.ArrowExtensionArray(table.column(name))
        part[name] = pandas.Series(values, index=part.index)
    return part


def _strings(column: Any) -> Any:
    """A column of pandas as Arrow's; a lone surrogate, which Arrow has no way to write, as the bytes it stands for: no UTF-8, so that
    its row fails alone."""
    import pyarrow as pa

    try:
        return pa.array(column, pa.string(), from_pandas=True)
    except UnicodeEncodeError:
        rows = [text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text for text in column]
        return pa.array(rows, pa.binary(), from_pandas=True).view(pa.string())


def lance_embed(
    dataset: lance.LanceDataset | str | os.PathLike[str],
    path: str | os.PathLike[str] | None = None,
    column: str = "text",
    out: str = "embedding",
    *,
    checkpoint_file: str | os.PathLike[str] | None = None,
    batch_size: int = 1024,
    **options: Any,
) -> lance.LanceDataset:
    """Adds a column of vectors to a Lance data set, in place.

    Args:
        checkpoint_file: Where finished batches are kept, so that the same call goes on from there when it was interrupted. What makes
            a call the same (the model, columns, options, batches, the data set's version) goes into a file's name as its ending, since
            Lance knows batches by their number alone: another call begins anew.
        batch_size: Rows of a batch.
        options: As :class:`ArrowEmbedder`.
    """
    import lance
    import pyarrow as pa

    dataset = lance.dataset(os.fspath(dataset)) if isinstance(dataset, str | os.PathLike) else dataset
    embedder = ArrowEmbedder(path, column, out, **options)
    read = [column, *([embedder.title_column] if embedder.title_column else [])]
    whole = embedder.schema(pa.schema([dataset.schema.field(name) for name in read]))
    added = pa.schema([field for field in whole if field.name not in read])

    def embed(batch: pa.RecordBatch) -> pa.RecordBatch:
        return embedder(batch).select(added.names)

    if checkpoint_file is not None:
        same = (dataset.uri, dataset.version, embedder.settings(), read, added.to_string(), batch_size)
        checkpoint_file = f"{os.fspath(checkpoint_file)}-{hashlib.sha256(repr(same).encode()).hexdigest()[:16]}"
    udf = lance.batch_udf(output_schema=added, checkpoint_file=checkpoint_file)(embed)
    dataset.add_columns(udf, read_columns=read, batch_size=batch_size)
    return dataset


