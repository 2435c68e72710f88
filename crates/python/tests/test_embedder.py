import copy
import errno
import gc
import inspect
import logging
import os
import pickle
import shutil
import struct
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import connote
import numpy as np
import pytest
from conftest import golden
from connote import _connote, opened

TEXTS = ["a cat on the mat", "a feline on a rug", "stock markets fell sharply", "", "naïve café ☕"]


@pytest.mark.parametrize(("fixture", "name"), [("minilm", "minilm"), ("dense", "embeddinggemma")])
def test_vectors_and_ids_are_the_authors(request, fixture, name):
    embedder = request.getfixturevalue(fixture)
    rows = golden(name)
    texts = [row["prompt"] + row["text"] for row in rows]
    assert embedder.tokenize(texts) == [row["ids"] for row in rows]
    assert embedder.count_tokens(texts) == [len(row["ids"]) for row in rows]
    cosines = np.sum(embedder.embed(texts) * np.array([row["embedding"] for row in rows]), axis=1)
    assert cosines.mean() >= 0.9997
    assert cosines.min() >= 0.9985


def test_vectors_are_float32_rows_of_unit_length_that_can_be_written(minilm):
    vectors = minilm.embed(TEXTS)
    assert vectors.shape == (5, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    vectors[0] = 0
    assert minilm.embed([]).shape == (0, 384)


def test_numpy_reads_the_memory_where_it_lies(minilm):
    vectors = minilm.embed_vectors(TEXTS)
    address = vectors.__array_interface__["data"][0]
    array = np.asarray(vectors)
    assert array.__array_interface__["data"][0] == address
    del vectors
    assert np.array_equal(array, minilm.embed(TEXTS)), "the array keeps its memory alive"
    # And what `embed` gives was written where it lies.
    for output in ("float32", "float16", "int8", "uint8", "binary", "ubinary"):
        for texts in (TEXTS, TEXTS[0]):
            array = minilm.embed(texts, output=output)
            assert array.base is None and array.flags.carray, "numpy's own memory, which can be written"
            several = np.asarray(minilm.embed_vectors(TEXTS, output=output))
            assert np.array_equal(array, several if texts is TEXTS else several[0]) and array.dtype == several.dtype


def test_an_embedder_has_one_model_and_says_where_it_has_none(minilm):
    class Unopened(connote.Embedder):
        def __init__(self, *, late):
            if not late:
                super().__init__(threads=1)

    with pytest.raises(AttributeError, match="super"):
        Unopened(late=True).embed(TEXTS)
    own = Unopened(late=False)
    assert np.array_equal(own.embed(TEXTS), minilm.embed(TEXTS))
    before = repr(own), own.path
    with pytest.raises(RuntimeError, match="has its model already"):
        connote.Embedder.__init__(own, "no such file")
    assert (repr(own), own.path) == before
    with pytest.raises(RuntimeError, match="has its model already"):
        minilm._engine = minilm._engine
    # One that could not be opened can be opened later.
    late = Unopened(late=True)
    with pytest.raises(connote.ConnoteError):
        connote.Embedder.__init__(late, "no such file")
    connote.Embedder.__init__(late, threads=1)
    assert late.embed("a cat").shape == (384,)


def test_arguments_of_embed_are_python_s(minilm):
    for name, value in {"normalize": "yes", "truncate": None, "output": None, "strict": 1, "task": 1, "priority": 2}.items():
        with pytest.raises(TypeError, match=f"argument '{name}'"):
            minilm.embed(TEXTS, **{name: value})
    with pytest.raises(TypeError, match="Cancellation, not str"):
        minilm.embed(TEXTS, cancel="now")
    assert list(inspect.signature(minilm.embed).parameters) == [
        "texts", "task", "title", "prompt", "dimensions", "normalize", "truncate", "output",
        "max_tokens", "progress", "priority", "timeout", "cancel", "strict",
    ]  # fmt: skip
    assert connote.Embedder.embed.__doc__.startswith("The vectors of texts")
    whole = minilm.embed(TEXTS)
    for other in (copy.copy(minilm), copy.deepcopy(minilm)):
        assert np.array_equal(other.embed(TEXTS), whole)
    assert np.array_equal(pickle.loads(pickle.dumps(minilm.embed))(TEXTS), whole)


def test_rows_of_arrays_without_a_vector(minilm):
    for output in ("float32", "float16"):
        rows = minilm.embed(["a cat", None, "a\ud800cat"], output=output, strict=False)
        assert np.isnan(rows[1:]).all() and np.array_equal(rows[0], minilm.embed("a cat", output=output))
        assert np.isnan(minilm.embed("a\ud800cat", output=output, strict=False)).all()
    with pytest.raises(connote.ConnoteError, match="surrogate"):
        minilm.embed("a\ud800cat")


def test_what_a_handler_of_the_log_raises_is_raised(minilm):
    class Raises(logging.Handler):
        def emit(self, record):
            raise LookupError(record.getMessage())

    log, handler = logging.getLogger("connote"), Raises()
    log.addHandler(handler)
    try:
        with pytest.raises(LookupError, match="were cut"):
            minilm.embed("word " * 2000)
        with pytest.raises(LookupError, match="no vector"):
            minilm.embed(["a cat", "a\ud800cat"], strict=False)
    finally:
        log.removeHandler(handler)


@pytest.mark.skipif(sys.platform != "linux", reason="bounds of memory")
def test_no_room_for_the_array_is_a_memory_error():
    program = """
import connote, resource
embedder = connote.Embedder(threads=1)
embedder.embed("a")
with open("/proc/self/statm") as file:
    limit = int(file.read().split()[0]) * resource.getpagesize() + (2 << 30)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    embedder.embed(["a"] * 2_000_000)
except MemoryError:
    print("refused")
print(embedder.embed("a").shape)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.stdout.split("\n")[:2] == ["refused", "(384,)"], done.stdout + done.stderr


def test_a_text_alone_has_the_bits_it_has_among_others(minilm):
    together = minilm.embed(TEXTS * 50)
    for index, text in enumerate(TEXTS):
        assert np.array_equal(minilm.embed(text), together[index])


def test_windows_do_not_show(minilm):
    texts = [f"text number {number}" for number in range(1000)]
    seen = []
    watched = minilm.embed(texts, progress=lambda done, total: seen.append((done, total)))
    assert np.array_equal(watched, minilm.embed(texts))
    assert [done for done, _ in seen] == [256, 512, 768, 1000]
    assert {total for _, total in seen} == {1000}


def test_a_bar_by_tqdm(minilm, capsys):
    minilm.embed(TEXTS, progress=True)
    assert "5/5" in capsys.readouterr().err


def test_what_a_progress_function_raises_ends_the_call(minilm):
    def fail(done, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        minilm.embed(TEXTS, progress=fail)


def test_outputs(minilm):
    vectors = minilm.embed(TEXTS)
    assert np.array_equal(minilm.embed(TEXTS, output="float16"), vectors.astype(np.float16))
    bits = np.packbits(vectors > 0, axis=1)
    assert np.array_equal(minilm.embed(TEXTS, output="ubinary"), bits)
    assert np.array_equal(minilm.embed(TEXTS, output="binary"), (bits.astype(np.int16) - 128).astype(np.int8))
    int8 = minilm.embed(TEXTS, output="int8")
    assert int8.dtype == np.int8
    again = int8 / np.linalg.norm(int8.astype(np.float32), axis=1, keepdims=True)
    assert np.sum(again * vectors, axis=1).min() > 0.999
    assert np.array_equal(minilm.embed(TEXTS, output="uint8"), (int8.astype(np.int16) + 128).astype(np.uint8))
    with pytest.raises(connote.InvalidRequestError, match="float32"):
        minilm.embed(TEXTS, output="float64")


def test_tasks_titles_prompts_and_dimensions(dense):
    text = "In autumn, before the ground freezes."
    as_document = dense.embed([text], task="document", title="Garlic")
    assert np.array_equal(as_document, dense.embed([f"title: Garlic | text: {text}"]))
    both = dense.embed([text, text], task="document", title=["Garlic", None])
    assert np.array_equal(both[0], as_document[0])
    assert np.array_equal(both[1], dense.embed(f"title: none | text: {text}"))
    assert np.array_equal(dense.embed(text, prompt="query: "), dense.embed(f"query: {text}"))
    cut = dense.embed(text, dimensions=256)
    whole = dense.embed(text)[:256]
    assert np.allclose(cut, whole / np.linalg.norm(whole), atol=1e-6)
    assert dense.prompts["query"] == "task: search result | query: "
    with pytest.raises(connote.InvalidRequestError, match="one for each"):
        dense.embed([text], task="document", title=["a", "b"])


def test_fingerprints_name_spaces(dense, minilm):
    names = {dense.fingerprint(), dense.fingerprint(task="query"), dense.fingerprint(dimensions=256), minilm.fingerprint()}
    assert len(names) == 4
    assert all(len(name) == 16 for name in names)


def test_similarity_of_texts_and_vectors(minilm):
    of_texts = minilm.similarity("a cat on the mat", ["a feline on a rug", "stock markets fell sharply"])
    assert of_texts.shape == (1, 2)
    assert of_texts[0, 0] > 0.5 > of_texts[0, 1]
    vectors = minilm.embed(TEXTS)
    assert np.allclose(np.diag(minilm.similarity(vectors, vectors)), 1, atol=1e-6)
    with pytest.raises(ValueError, match="384 and 3"):
        minilm.similarity(vectors, [1.0, 2.0, 3.0])


def test_cutting_is_logged_or_an_error(minilm, caplog):
    long = "word " * 300
    with caplog.at_level(logging.WARNING, "connote"):
        vectors = minilm.embed_vectors(["short", long])
    assert vectors.truncated == [False, True]
    assert vectors.tokens == [3, 256]
    assert "1 of 2 texts were longer than 256 tokens" in caplog.text
    for embed in (minilm.embed, minilm.embed_tokens, minilm.embed_each, minilm.embed_arrow):
        caplog.clear()
        embed(["short", long], max_tokens=8)
        assert caplog.messages == ["1 of 2 texts were longer than 8 tokens and were cut"], embed
    with pytest.raises(connote.TooLongError) as error:
        minilm.embed(["short", long], truncate="error")
    assert error.value.index == 1
    assert error.value.kind == "too_long"
    assert isinstance(error.value, ValueError)
    assert not np.array_equal(minilm.embed(long + "end", truncate="start"), minilm.embed(long + "end"))


def test_errors_have_classes_and_say_what_to_do(minilm, tmp_path):
    with pytest.raises(connote.ModelNotFoundError, match="connote pull") as error:
        connote.Embedder("no-such/model")
    assert isinstance(error.value, FileNotFoundError)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(20))
    with pytest.raises(connote.ModelFileError):
        connote.Embedder(broken)
    with pytest.raises(connote.InvalidRequestError, match="384"):
        minilm.embed("a", dimensions=100)
    with pytest.raises(connote.InvalidRequestError, match="question-answering"):
        minilm.embed("a", task="poetry")
    with pytest.raises(connote.DeadlineExceededError):
        minilm.embed(["a text"] * 1000, timeout=0.0)
    with pytest.raises(TypeError, match="input 1"):
        minilm.embed(["a", 1])
    wrong = {"dimensions": "256", "max_tokens": 1.5, "normalize": "yes", "task": 1, "prompt": b"a", "truncate": None, "timeout": "soon"}
    for name, value in {**wrong, "priority": 1, "cancel": True, "output": None, "progress": 1}.items():
        for embed in (minilm.embed, minilm.embed_vectors, minilm.embed_tokens):
            with pytest.raises(TypeError, match=name):
                embed(["a"], **{name: value})
    for embed in (minilm.embed, minilm.embed_vectors):
        with pytest.raises(TypeError, match="strict"):
            embed(["a"], strict=0)
    for name, value in {"dimensions": -1, "max_tokens": -1, "truncate": "\ud800", "priority": "\ud800", "output": "\ud800"}.items():
        with pytest.raises(connote.InvalidRequestError, match=name):
            minilm.embed(["a"], **{name: value})

    class Interrupted:
        def __index__(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minilm.embed("a", dimensions=Interrupted())
    with pytest.raises(TypeError, match="single str"):
        minilm.embed_vectors("a")
    with pytest.raises(connote.InvalidRequestError, match="embed_arrow"):
        minilm.embed(["a", None])
    again = pickle.loads(pickle.dumps(connote.TooLongError("too long", 3)))
    assert (again.index, str(again)) == (3, "input 3: too long")


def test_os_errors_have_the_systems_number(minilm, tmp_path):
    with pytest.raises(OSError, match="no such file") as error:
        connote.Embedder("no-such/model")
    assert error.value.errno == errno.ENOENT
    assert isinstance(error.value.strerror, str)
    again = pickle.loads(pickle.dumps(error.value))
    assert (again.errno, str(again)) == (errno.ENOENT, str(error.value))
    with pytest.raises(TimeoutError) as error:
        minilm.embed(["a text"] * 1000, timeout=0.0)
    assert error.value.errno == errno.ETIMEDOUT
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(20))
    with pytest.raises(connote.ModelFileError) as error:
        connote.Embedder(broken)
    assert error.value.errno is None, "the file is wrong, not the system"
    # Root reads files of any mode, so a link to itself stands for what cannot be opened.
    loop = tmp_path / "loop.gguf"
    loop.symlink_to(loop)
    arguments = {**minilm._arguments}
    del arguments["path_or_name"]
    with pytest.raises(connote.ModelFileError, match=r"loop\.gguf") as error:
        _connote.Engine(loop, **arguments)
    assert error.value.errno == errno.ELOOP


def test_texts_without_a_vector_have_no_invented_one(minilm, caplog):
    texts = ["a", None, "word " * 300, "b"]
    for output, dtype in (("float32", np.float32), ("float16", np.float16)):
        rows = minilm.embed(texts, truncate="error", strict=False, output=output)
        assert rows.dtype == dtype
        assert np.isnan(rows).all(axis=1).tolist() == [False, True, True, False]
    assert "input 2 has no vector (too_long)" in caplog.text
    vectors = minilm.embed_vectors(texts, truncate="error", strict=False)
    assert np.isnan(np.asarray(vectors)[1:3]).all()
    assert [(index, kind) for index, kind, _ in vectors.failures] == [(2, "too_long")]
    with pytest.raises(connote.InvalidRequestError, match="int8.*embed_arrow"):
        minilm.embed(texts, strict=False, output="int8")
    bytes_ = minilm.embed_vectors(texts, truncate="error", strict=False, output="int8")
    with pytest.raises(ValueError, match="embed_each"):
        np.asarray(bytes_)
    each = minilm.embed_each(texts, truncate="error", output="int8")
    assert each[1] is None
    assert isinstance(each[2], connote.TooLongError)
    assert np.array_equal(each[3], minilm.embed("b", output="int8"))


def test_each_text_has_its_own_result(minilm):
    results = minilm.embed_each(["a", None, "word " * 300, "b"], truncate="error")
    assert results[1] is None
    assert isinstance(results[2], connote.TooLongError)
    assert np.array_equal(results[0], minilm.embed("a"))
    assert np.array_equal(results[3], minilm.embed("b"))


def test_rows_of_tokens(minilm):
    rows = minilm.embed_tokens(["a cat", "a feline on a rug"], normalize=False)
    assert [len(one) for one in rows] == minilm.count_tokens(["a cat", "a feline on a rug"])
    mean = rows[0].mean(axis=0)
    assert np.sum(mean / np.linalg.norm(mean) * minilm.embed("a cat")) > 0.99999
    assert minilm.embed_tokens([]) == []


def test_without_a_companion_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "connote_minilm", None)
    with pytest.raises(connote.ModelNotFoundError, match="pip install connote-minilm"):
        connote.Embedder()


def test_numpy_is_not_needed_to_import(tmp_path):
    (tmp_path / "numpy.py").write_text("raise ImportError('hidden')")
    code = """
import connote
embedder = connote.Embedder()
vectors = embedder.embed_vectors(["a cat"])
assert len(vectors) == 1 and vectors.tokens == [4]
try:
    embedder.embed(["a cat"])
except ImportError as error:
    assert "pip install numpy" in str(error)
else:
    raise SystemExit("numpy was there")
"""
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_pickled_by_arguments(minilm):
    pickled = pickle.dumps(minilm)
    assert len(pickled) < 1000
    again = pickle.loads(pickled)
    assert np.array_equal(again.embed(TEXTS), minilm.embed(TEXTS))
    assert pickle.loads(pickled) is again, "one a process"


def test_a_name_beside_a_folder_of_that_name(tmp_path, monkeypatch):
    """It is the name that is pickled, not the folder."""
    (tmp_path / "all-minilm").mkdir()
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(connote.Embedder("all-minilm"))
    assert str(tmp_path).encode() not in pickled
    assert pickle.loads(pickled).dimensions == 384


def test_threads_that_ask_at_once_get_one_embedder(monkeypatch):
    """As LangChain's, LlamaIndex's and the engines' objects ask."""
    opened, barrier = [], threading.Barrier(4)

    class Counted(connote.Embedder):
        def __init__(self, *arguments, **options):
            opened.append(self)
            super().__init__(*arguments, **options)

    def ask(_):
        barrier.wait()
        return Counted.shared(threads=1)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))
    assert len(opened) == 1
    assert all(one is found[0] for one in found)


def test_threads_get_what_they_asked_for(minilm):
    texts = [[f"thread {thread} text {number}" for number in range(40)] for thread in range(8)]
    alone = [minilm.embed(own) for own in texts]
    found = [None] * 8

    def work(thread):
        found[thread] = minilm.embed(texts[thread])

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(one, other) for one, other in zip(found, alone, strict=True))


def test_the_interpreter_is_free_meanwhile(gemma):
    """Another thread counts while this one waits for a call of some seconds."""
    counted, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counted[0] += 1

    counter = threading.Thread(target=count)
    counter.start()
    before = counted[0]
    gemma.embed([f"a text of some words, number {number}" for number in range(32)])
    during = counted[0] - before
    stop.set()
    counter.join()
    assert during > 10_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_is_told_and_does_not_hang(minilm):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            minilm.embed("a")
            said = b"nothing"
        except RuntimeError as error:
            said = str(error).encode()
        os.write(writing, said)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    assert "spawn" in said


SENT_TO_FORKED = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
import connote
import numpy as np
from connote.sentence_transformers import SentenceTransformer

def work(embedder):
    return embedder.embed(["a cat", "a dog"])

def inherited(_):
    return embedder.embed("a cat")

fork = multiprocessing.get_context("fork")
embedder = connote.Embedder(threads=2)
wanted = work(embedder)
for one in (embedder, SentenceTransformer()):
    with fork.Pool(2) as pool:
        found = pool.map(work, [one] * 4, chunksize=1)
    with ProcessPoolExecutor(1, mp_context=fork) as pool:
        found += pool.map(work, [one] * 2)
    assert len(found) == 6
    assert all(np.array_equal(vectors, wanted) for vectors in found)
with fork.Pool(1) as pool:
    try:
        pool.map(inherited, [0])
    except RuntimeError as error:
        print(error)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_an_embedder_that_is_sent_to_a_forked_pool_opens_itself_there():
    """An error at its reading would be lost with the worker, and the pool wait for ever; one that is inherited says so."""
    command = [sys.executable, "-W", "ignore", "-c", SENT_TO_FORKED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "opened in the parent" in done.stdout


def test_what_names_no_model_says_what_does(tmp_path):
    with pytest.raises(connote.ModelFileError, match="is a folder; give the path of the .gguf file") as error:
        connote.Embedder(tmp_path)
    assert error.value.errno == errno.EISDIR
    for wrong, kind in ((5, "int"), (b"x", "bytes"), (os.fsencode(connote.find_model()), "bytes")):
        for ask in (connote.Embedder, connote.Embedder.shared, connote.find_model):
            with pytest.raises(TypeError, match=f"str or an os.PathLike of one, not {kind}"):
                ask(wrong)


def test_threads_below_zero_are_an_invalid_request():
    for ask in (connote.Embedder, connote.Embedder.shared):
        with pytest.raises(connote.InvalidRequestError, match="threads=-1"):
            ask(threads=-1)
        with pytest.raises(TypeError, match="threads"):
            ask(threads="2")


def test_a_pooling_that_is_not_said_is_set_by_pooling(tmp_path):
    data = bytearray(connote.find_model().read_bytes())
    at = data.index(b"bert.pooling_type" + struct.pack("<I", 4)) + len("bert.pooling_type") + 4
    data[at] = 9  # the name of no pooling
    (tmp_path / "m.gguf").write_bytes(data)
    with pytest.raises(connote.PoolingUnknownError, match='in Python `pooling="mean"`'):
        connote.Embedder(tmp_path / "m.gguf")
    assert connote.Embedder(tmp_path / "m.gguf", pooling="mean").pooling == "mean"


def test_a_timeout_beyond_all_clocks_is_none(minilm):
    for timeout in (float("inf"), 1e300, 1e18):
        assert minilm.embed("a", timeout=timeout).shape == (384,)
    for timeout in (-1, float("nan"), float("-inf")):
        with pytest.raises(connote.InvalidRequestError, match="from 0 on"):
            minilm.embed("a", timeout=timeout)


def test_cosines_of_the_largest_and_smallest_numbers():
    for value in (1e25, 1e-30, 1e-44, 1.0):
        vectors = np.full((2, 3), value, np.float32)
        vectors[1, 0] *= -1
        found = connote.cosine_similarity(vectors, vectors)
        assert found.dtype == np.float32
        assert np.allclose(found, [[1, 1 / 3], [1 / 3, 1]], atol=1e-6), value
    assert connote.cosine_similarity(np.zeros(3), np.ones(3)) == 0


def test_a_file_in_the_place_of_another_is_another_model(tmp_path, monkeypatch):
    """Also where the first one is kept open, and a relative path means another file in another folder."""
    path = connote.find_model()
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        shutil.copy(path, tmp_path / folder / "m.gguf")
    monkeypatch.chdir(tmp_path / "one")
    one = connote.Embedder.shared("m.gguf", 1)
    assert connote.Embedder.shared(tmp_path / "one" / "m.gguf", 1) is one, "one file, however it is named"
    monkeypatch.chdir(tmp_path / "two")
    two = connote.Embedder.shared("m.gguf", 1)
    assert two is not one
    assert two.path.resolve() == tmp_path / "two" / "m.gguf"
    shutil.copy(path, tmp_path / "new")
    os.replace(tmp_path / "new", "m.gguf")
    assert connote.Embedder.shared("m.gguf", 1) is not two


def test_kept_models_are_let_go():
    kept = connote.Embedder.shared(threads=1, pooling="last")
    opened.keep(kept)
    alive = weakref.ref(kept)
    del kept
    gc.collect()
    assert alive() is not None
    connote.forget_models()
    gc.collect()
    assert alive() is None


def test_models_are_let_go_outside_the_lock(monkeypatch):
    """A finalizer that asks for a model, on whatever thread, does not wait for who lets go of one."""
    heard = []

    class Kept:
        def __del__(self):
            thread = threading.Thread(target=lambda: heard.append(opened._opened.lock.acquire(timeout=5)))
            thread.start()
            thread.join()
            if heard[-1]:
                opened._opened.lock.release()

    monkeypatch.setattr(opened, "_opened", opened._Opened())
    for _ in range(3):
        opened.keep(Kept())
    assert heard == [True]
    connote.forget_models()
    assert heard == [True] * 3
