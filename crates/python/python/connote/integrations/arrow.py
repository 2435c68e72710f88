"""Tables in, the same tables with a column of vectors out: the one callable that every engine runs."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from connote import opened
from connote.embedder import Embedder
from connote.integrations.threads import engine_threads, spark_task

if TYPE_CHECKING:
    import pyarrow as pa

    Batch = TypeVar("Batch", pa.Table, pa.RecordBatch)

__all__ = ["ArrowEmbedder"]

_log = logging.getLogger("connote")


class ArrowEmbedder:
    """Adds a column of vectors to Arrow tables and record batches.

    Args:
        path: A GGUF file or a name, as :class:`connote.Embedder`; found on the machine where it runs.
        column: The column of texts.
        out: The column of vectors: ``fixed_size_list<float>[dimensions]``. One of that name is replaced.
        title_column: A column of titles, for document prompts.
        error_column: A column that says why a text has no vector, null where it has one; one of that name is replaced. Without it
            such a text is logged, with its beginning.
        threads: As :class:`connote.Embedder`; 0 asks the engine (:func:`connote.integrations.engine_threads`), then the machine.
        fixed_size: Whether ``out`` is a ``fixed_size_list`` or a ``list``. Default: a list in tasks of Spark, which has no other.
        options: Anything else that :class:`connote.Embedder` or :meth:`connote.Embedder.embed` takes: ``task``, ``dimensions``,
            ``output``, ``pooling``, ...

    The model is opened with the first table, once a process, whatever the number of these objects, and stays open for the next
    task's (a process keeps the two that were used last); what is pickled is these arguments. Processes of a machine share the
    packed weights (``share_weights=False``: each its own, in large pages). A null text gives a null row, and so does a text that
    fails: it is reported, and the other rows have their vectors. The output depends on the texts alone, so that a job that is
    tried again gives the same bits.

    Raises:
        ValueError: If columns that are written have the name of each other, or of one that is read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        column: str = "text",
        out: str = "embedding",
        *,
        title_column: str | None = None,
        error_column: str | None = None,
        threads: int = 0,
        fixed_size: bool | None = None,
        **options: Any,
    ) -> None:
        taken = {"column": column, "title_column": title_column}
        for argument, name in (("out", out), ("error_column", error_column)):
            for other, same in taken.items():
                if name is not None and name == same:
                    raise ValueError(f"{argument} and {other} are both `{name}`; give one of them another name")
            taken[argument] = name
        self.path = None if path is None else os.fspath(path)
        self.column = column
        self.out = out
        self.title_column = title_column
        self.error_column = error_column
        self.threads = threads
        self.fixed_size = fixed_size
        opening = inspect.signature(Embedder).parameters
        self._opening = {name: options.pop(name) for name in opening if name in options}
        # Engines start several processes on a machine.
        self._opening.setdefault("share_weights", True)
        self._how = options
        self._embedder: Embedder | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_embedder": None}

    @property
    def output(self) -> str:
        """What values are written as."""
        return str(self._how.get("output", "float32"))

    @property
    def embedder(self) -> Embedder:
        """The process's embedder of these arguments."""
        if self._embedder is None:
            threads = self.threads or engine_threads()
            embedder = Embedder.shared(self.path, threads, **self._opening)
            if self.title_column is not None:
                # A setting that is wrong for every row with a title ends the job at its first, instead of leaving it none.
                named = {name: self._how[name] for name in ("task", "prompt") if name in self._how}
                embedder.tokenize([""], title="", **named)
            self._embedder = embedder
        opened.keep(self._embedder)
        return self._embedder

    def __call__(self, batch: Batch) -> Batch:
        """A table or record batch with its column of vectors."""
        import pyarrow as pa

        if self.column not in batch.schema.names:
            raise ValueError(f"there is no column `{self.column}`; there is {', '.join(batch.schema.names)}")
        how = dict(self._how)
        if self.title_column is not None:
            how["title"] = batch.column(self.title_column)
        vectors = self.embedder.embed_vectors(batch.column(self.column), strict=False, **how)
        values = pa.array(vectors)
        if not (self.fixed_size if self.fixed_size is not None else spark_task() is None):
            values = values.cast(pa.list_(values.type.value_type))
        batch = _with_column(batch, self.out, values)
        said: list[str | None] = [None] * batch.num_rows
        for index, kind, message in vectors.failures:
            said[index] = f"{kind}: {message}"
            if self.error_column is None:
                begins = _beginning(batch.column(self.column)[index])
                _log.warning("row %d of a batch, %s, has no vector (%s): %s", index, begins, kind, message)
        if self.error_column is not None:
            batch = _with_column(batch, self.error_column, pa.array(said, pa.string()))
        return batch

    def settings(self) -> tuple[Any, ...]:
        """All that vectors depend on but the texts: the name of the vector space, and what is done to texts and values."""
        named = {name: self._how[name] for name in ("task", "prompt", "dimensions", "normalize") if name in self._how}
        return self.embedder.fingerprint(**named), sorted(self._how.items()), self._opening.get("cpu_level")

    def batches(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """As :meth:`__call__` for each of them, as they are asked for: what Spark's ``mapInArrow`` takes. What becomes of a
        ``pyarrow.RecordBatchReader``, which knows its schema before its batches, is one, too, as Lance's and Parquet's writers want
        it; then the model is opened at once."""
        found = map(self, batches)
        if (schema := getattr(batches, "schema", None)) is None:
            return found
        import pyarrow as pa

        reader: Iterator[pa.RecordBatch] = pa.RecordBatchReader.from_batches(self.schema(schema), found)
        return reader

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """The schema of what becomes of tables of this one. Opens the model, for its dimensions."""
        return self(schema.empty_table()).schema


def _beginning(text: Any) -> str:
    """What a row of a batch, which has no number in its job, is found by."""
    try:
        words = str(text.as_py())
    except UnicodeDecodeError:
        return "whose text is not UTF-8"
    return f"whose text begins {words[:40]!r}" if len(words) > 40 else f"whose text is {words!r}"


def _with_column(batch: Any, name: str, values: Any) -> Any:
    import pyarrow as pa

    field = pa.field(name, values.type)
    at = batch.schema.get_field_index(name)
    if at < 0:
        return batch.append_column(field, values)
    return batch.set_column(at, field, values)
