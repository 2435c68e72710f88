"""connote inside the engines themselves, each on this machine."""

import gc
import os
import pickle
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import connote.embedder
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from connote._connote import available_cores, available_threads
from connote.integrations import ArrowEmbedder, daft_embed, dask_embed, engine_threads, lance_embed, ray_embed

ROWS = 600


def table(rows=ROWS):
    """Texts with nulls among them, and one that is too long."""
    texts = [None if number % 50 == 7 else f"text number {number} about garlic" for number in range(rows)]
    texts[11] = "word " * 300
    return pa.table({"id": pa.array(range(rows)), "text": pa.array(texts)})


def vectors(column):
    return [None if row is None else np.array(row, np.float32).tobytes() for row in column.to_pylist()]


@pytest.fixture(scope="module")
def expected():
    """The bits of a single process, by id."""
    return vectors(ArrowEmbedder()(table()).column("embedding"))


def check(found, expected):
    """A table in any order of rows."""
    found = found.sort_by("id")
    assert found.column("id").to_pylist() == list(range(len(expected))), "every row once"
    assert vectors(found.column("embedding")) == expected


def test_tables_and_batches(minilm, expected):
    assert [index for index, row in enumerate(expected) if row is None] == list(range(7, ROWS, 50))
    embedder = pickle.loads(pickle.dumps(ArrowEmbedder(threads=1)))
    whole = embedder(table())
    assert whole.schema.field("embedding").type == pa.list_(pa.float32(), 384)
    assert vectors(whole.column("embedding")) == expected
    batches = list(embedder.batches(table().to_batches(max_chunksize=100)))
    assert isinstance(batches[0], pa.RecordBatch)
    assert vectors(pa.Table.from_batches(batches).column("embedding")) == expected
    stream = embedder.batches(table().to_reader(max_chunksize=100))
    assert stream.schema == whole.schema, "what a reader becomes knows its schema before its batches"
    assert vectors(stream.read_all().column("embedding")) == expected
    assert embedder(whole).schema.names == ["id", "text", "embedding"], "a column that is there is replaced"
    with pytest.raises(ValueError, match="no column `words`; there is id, text"):
        ArrowEmbedder(column="words")(table())


def test_columns_have_names_of_their_own():
    for named, said in [
        ({"column": "body", "error_column": "body"}, "error_column and column are both `body`"),
        ({"title_column": "title", "error_column": "title"}, "error_column and title_column are both `title`"),
        ({"error_column": "embedding"}, "error_column and out are both `embedding`"),
        ({"out": "text"}, "out and column are both `text`"),
        ({"out": "title", "title_column": "title"}, "out and title_column are both `title`"),
    ]:
        with pytest.raises(ValueError, match=said):
            ArrowEmbedder(**named)


def test_a_poison_row_is_reported_and_not_fatal(caplog, expected):
    found = ArrowEmbedder(error_column="error", truncate="error")(table())
    errors = found.column("error").to_pylist()
    assert errors[11].startswith("too_long: ")
    assert [index for index, error in enumerate(errors) if error] == [11]
    rows = vectors(found.column("embedding"))
    assert rows[11] is None
    assert rows[:11] == expected[:11]
    assert rows[12:] == expected[12:]
    ArrowEmbedder(truncate="error")(table())
    assert "row 11 of a batch, whose text begins 'word word" in caplog.text


def test_titles_have_a_column(dense):
    found = ArrowEmbedder(str(dense.path), task="document", title_column="title", dimensions=128)(
        pa.table({"title": ["Garlic", None], "text": ["a", "b"]})
    )
    expected = dense.embed(["a", "b"], task="document", title=["Garlic", None], dimensions=128)
    assert vectors(found.column("embedding")) == [row.tobytes() for row in expected]


@pytest.mark.parametrize("how", [{}, {"task": "document"}, {"prompt": "a prompt: "}])
def test_a_title_column_that_the_model_has_no_place_for_ends_the_job(minilm, how):
    """all-MiniLM's prompt for documents is none."""
    rows = pa.table({"title": ["Garlic", None], "text": ["a", "b"]})
    with pytest.raises(connote.InvalidRequestError, match="title"):
        ArrowEmbedder(title_column="title", error_column="error", **how)(rows)
    with pytest.raises(connote.InvalidRequestError, match="title"):
        minilm.embed_vectors(["a", "b"], title=["Garlic", None], strict=False, **how)
    assert minilm.embed(["a"], title=[None], **how).shape == (1, 384)


def test_threads_of_an_engine_are_held_to_the_process_s(monkeypatch):
    monkeypatch.setattr("connote.integrations.threads._ray", lambda: 10_000)
    assert engine_threads() == available_cores()


def test_dask_s_one_thread_for_other_libraries_is_not_meant(monkeypatch):
    """Its nannies set OMP_NUM_THREADS."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert available_threads() == 1
    monkeypatch.setattr("connote.integrations.threads._dask", lambda: 10_000)
    assert engine_threads() == available_cores() == len(os.sched_getaffinity(0))


def test_ray_actors_have_a_cpu_at_least():
    with pytest.raises(ValueError, match=r"num_cpus=0\.5"):
        ray_embed(None, num_cpus=0.5)


def test_no_engine_gives_no_threads():
    assert engine_threads() == 0


@pytest.fixture(scope="module")
def ray_cluster():
    """Two raylets, each of two logical CPUs."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 200 << 20})
    cluster.add_node(num_cpus=2, object_store_memory=200 << 20)
    ray.init(address=cluster.address, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray
    ray.shutdown()
    cluster.shutdown()


def recorded():
    """A class that engines pickle by value: this file is not on their path."""

    class Recorded(ArrowEmbedder):
        """Leaves its process id and threads in a folder, and takes its time, so that somebody can come and kill it."""

        def __init__(self, folder, pause, **options):
            super().__init__(**options)
            self.folder, self.pause = folder, pause

        def __call__(self, batch):
            batch = super().__call__(batch)
            with open(os.path.join(self.folder, str(os.getpid())), "w") as file:
                file.write(str(self.embedder.threads))
            time.sleep(self.pause)
            return batch

    return Recorded


def test_ray_data(ray_cluster, tmp_path, expected):
    source = tmp_path / "in"
    source.mkdir()
    for part in range(6):
        pq.write_table(table().slice(part * 100, 100), source / f"{part}.parquet")
    data = ray_embed(ray_cluster.data.read_parquet(str(source)), actors=2, batch_size=50)
    blocks = [ray_cluster.get(one) for one in data.to_arrow_refs()]
    check(pa.concat_tables(blocks), expected)
    assert len(blocks) >= ROWS // 50, "work for both actors, though six small files are one block to Ray"


def test_ray_data_survives_a_killed_worker(ray_cluster, tmp_path, expected):
    pids = tmp_path / "pids"
    pids.mkdir()
    data = ray_cluster.data.from_arrow([table().slice(start, 50) for start in range(0, ROWS, 50)])
    data = data.map_batches(
        recorded(),
        fn_constructor_args=(str(pids), 0.3),
        batch_format="pyarrow",
        batch_size=25,
        compute=ray_cluster.data.ActorPoolStrategy(size=2),
        num_cpus=1,
        max_restarts=3,
        max_task_retries=3,
    )
    found, killed = [], None
    for batch in data.iter_batches(batch_format="pyarrow", batch_size=None):
        found.append(batch)
        if killed is None:
            killed = int(next(iter(pids.iterdir())).name)
            os.kill(killed, signal.SIGKILL)
    assert killed is not None
    assert len(list(pids.iterdir())) >= 3, "another process went on"
    assert {file.read_text() for file in pids.iterdir()} == {"1"}, "a CPU an actor is a thread an actor"
    check(pa.concat_tables(found), expected)


def test_daft(tmp_path, expected):
    import daft

    pq.write_table(table(), tmp_path / "in.parquet")
    found = daft_embed(daft.read_parquet(str(tmp_path / "in.parquet")), batch_size=64)
    assert found.schema()["embedding"].dtype == daft.DataType.embedding(daft.DataType.float32(), 384)
    check(found.to_arrow(), expected)


def test_daft_processes_share_the_machine(expected, monkeypatch):
    import daft
    from connote.integrations import engines

    assert engines._share({"cpus": 3, "use_process": True}) == 3
    monkeypatch.setattr(daft, "get_or_infer_runner_type", lambda: "ray")
    assert engines._share({"use_process": True, "max_concurrency": 2}) == 0, "of many machines"
    monkeypatch.setattr(daft, "get_or_infer_runner_type", lambda: "native")
    for classes, threads in [
        ({"use_process": True, "max_concurrency": 2}, max(1, available_threads() // 2)),
        ({"use_process": True, "max_concurrency": 10_000}, 1),
        ({"max_concurrency": 2}, 0),
    ]:
        assert engines._share(classes) == threads, classes
    frame = daft.from_arrow(table()).into_batches(100)
    options = {"use_process": True, "max_concurrency": 2}
    check(daft_embed(frame, batch_size=50, class_options=options).to_arrow(), expected)


def test_daft_says_which_rows_failed(expected):
    import daft

    frame = daft_embed(daft.from_arrow(table()), batch_size=64, error_column="error", truncate="error")
    assert frame.schema()["embedding"].dtype == daft.DataType.embedding(daft.DataType.float32(), 384)
    found = frame.to_arrow().sort_by("id")
    assert found.schema.names == ["id", "text", "embedding", "error"]
    errors = found.column("error").to_pylist()
    assert errors[11].startswith("too_long: ")
    assert [index for index, error in enumerate(errors) if error] == [11]
    rows = vectors(found.column("embedding"))
    assert rows[11] is None
    assert rows[:11] + rows[12:] == expected[:11] + expected[12:]


def test_daft_reads_titles(dense):
    import daft

    texts = {"title": ["Garlic", None], "text": ["a", "b"]}
    found = daft_embed(
        daft.from_pydict(texts), str(dense.path), title_column="title", task="document", dimensions=128
    )
    expected = dense.embed(["a", "b"], task="document", title=["Garlic", None], dimensions=128)
    assert vectors(found.to_arrow().column("embedding")) == [row.tobytes() for row in expected]


def test_a_model_is_opened_once_whatever_the_functions_and_threads(monkeypatch):
    """An engine may come with a new function for each task, on whatever thread, and forget the last one."""
    opened = []
    native = connote.embedder._connote.Engine

    def count(*arguments, **options):
        opened.append(arguments)
        return native(*arguments, **options)

    monkeypatch.setattr("connote.embedder._connote.Engine", count)
    function = pickle.dumps(ArrowEmbedder(threads=1, pooling="cls"))

    def task(_):
        return pickle.loads(function)(table(12)).num_rows

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(task, range(12))) == [12] * 12
    gc.collect()
    assert task(0) == 12
    assert len(opened) == 1


@pytest.mark.parametrize("output", ["float16", "uint8", "ubinary"])
def test_what_spark_has_no_type_for_is_refused(output):
    from connote.integrations import spark_embed

    with pytest.raises(ValueError, match=f"{output}.*float32, int8 and binary"):
        spark_embed(None, output=output)


def test_dask(tmp_path, expected):
    import dask.dataframe
    import distributed

    frame = dask.dataframe.from_pandas(table().to_pandas(), npartitions=5)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        found = dask_embed(frame).compute()
        threads = [client.submit(engine_threads, pure=False) for _ in range(4)]
        assert set(client.gather(threads)) == {1}
        # pyarrow writes null rows of fixed-size lists to Parquet, and does not read them back.
        dask_embed(frame, fixed_size=False).to_parquet(str(tmp_path / "out"), write_index=False)
    check(pq.read_table(tmp_path / "out"), expected)
    check(pa.Table.from_pandas(found, preserve_index=False), expected)


def test_lance(tmp_path, expected):
    import lance

    dataset = lance.write_dataset(table(), str(tmp_path / "texts.lance"))
    lance_embed(dataset, batch_size=100, checkpoint_file=tmp_path / "checkpoint")
    check(lance.dataset(str(tmp_path / "texts.lance")).to_table(), expected)
    # As a stream that is written as it comes.
    stream = ArrowEmbedder().batches(table().to_reader(max_chunksize=100))
    check(lance.write_dataset(stream, str(tmp_path / "stream.lance")).to_table(), expected)


def test_lance_goes_on_with_the_same_call_only(tmp_path, expected, monkeypatch):
    import lance

    done = []
    embed = ArrowEmbedder.__call__

    def call(self, batch):
        if batch.num_rows and len(done) == 3:
            raise RuntimeError("the machine is gone")
        done.append(batch.num_rows)
        return embed(self, batch)

    where = str(tmp_path / "texts.lance")
    lance.write_dataset(table(), where)
    checkpoint = tmp_path / "checkpoint"
    monkeypatch.setattr(ArrowEmbedder, "__call__", call)
    with pytest.raises(Exception, match="the machine is gone"):
        lance_embed(where, batch_size=100, checkpoint_file=checkpoint)
    assert [rows for rows in done if rows] == [100, 100]
    # Another model's vectors, and other batches, are none of these.
    for options in ({"batch_size": 100, "pooling": "cls"}, {"batch_size": 200}, {"batch_size": 100, "max_tokens": 5}):
        done.clear()
        with pytest.raises(Exception, match="the machine is gone"):
            lance_embed(where, checkpoint_file=checkpoint, **options)
        assert len([rows for rows in done if rows]) == 2, "from the first batch on"
    done.clear()
    monkeypatch.setattr(ArrowEmbedder, "__call__", lambda self, batch: done.append(batch.num_rows) or embed(self, batch))
    lance_embed(where, batch_size=100, checkpoint_file=checkpoint)
    assert sum(done) == ROWS - 200, "what was done is not done again"
    check(lance.dataset(where).to_table(), expected)


@pytest.mark.spark
def test_spark_keeps_columns_with_dots(tmp_path, expected):
    sql = pytest.importorskip("pyspark.sql")
    from connote.integrations import spark_embed

    rows = table().append_column("a.b", table().column("id")).rename_columns(["id", "the.text", "a.b"])
    pq.write_table(rows, tmp_path / "in.parquet")
    builder = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = builder.getOrCreate()
    try:
        frame = spark.read.parquet(str(tmp_path / "in.parquet"))
        spark_embed(frame, column="the.text").write.parquet(str(tmp_path / "out"))
    finally:
        spark.stop()
    found = pq.read_table(tmp_path / "out")
    assert found.schema.names == ["id", "the.text", "a.b", "embedding"]
    check(found, expected)


@pytest.mark.spark
def test_spark(tmp_path, expected):
    sql = pytest.importorskip("pyspark.sql")
    from connote.integrations import spark_embed

    pq.write_table(table(), tmp_path / "in.parquet")
    builder = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
    try:
        frame = spark.read.parquet(str(tmp_path / "in.parquet")).repartition(4)
        found = spark_embed(frame, error_column="error", truncate="error")
        found.write.parquet(str(tmp_path / "out"))
    finally:
        spark.stop()
    result = pq.read_table(tmp_path / "out").sort_by("id")
    assert [bool(error) for error in result.column("error").to_pylist()].count(True) == 1
    rows = vectors(result.column("embedding"))
    assert rows[:11] == expected[:11]
    assert rows[11] is None
    assert rows[12:] == expected[12:]
