"""Ctrl-C while the engine computes."""

import fcntl
import os
import shutil
import subprocess
import sys

import connote
import pytest
from conftest import model

# Says how long after the signal KeyboardInterrupt was there, and whether the embedder still works.
CODE = """
import os, signal, sys, threading, time, warnings
import numpy as np
import connote
warnings.simplefilter("ignore")
embedder = connote.Embedder(sys.argv[1])
before = embedder.embed("still there")
texts = [" ".join(f"word{number}x{n}" for n in range(60)) for number in range(4000)]
sent = [0.0]
def send():
    time.sleep(1.0)
    sent[0] = time.perf_counter()
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=send).start()
try:
    WORK
except KeyboardInterrupt:
    late = time.perf_counter() - sent[0]
    assert np.array_equal(embedder.embed("still there"), before)
    print(late)
else:
    sys.exit("it was not interrupted")
"""


def late(work, name):
    code = CODE.replace("WORK", work)
    done = subprocess.run([sys.executable, "-c", code, str(model(name))], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_a_call_ends():
    # The promise is 0.1 s, which docs/PYTHON.md has measured; a busy machine gets more, and the work takes minutes.
    assert late("embedder.embed(texts)", "embeddinggemma-300m-Q8_0.gguf") < 5


def test_a_call_of_one_long_text_ends():
    work = "[embedder.embed(' '.join(texts[:40])) for _ in range(1000)]"
    assert late(work, "embeddinggemma-300m-Q8_0.gguf") < 5


def test_a_call_of_one_short_text_ends():
    # Which the thread that called computes itself.
    work = "[embedder.embed('a cat on the mat ' * 16) for _ in range(100_000)]"
    assert late(work, "embeddinggemma-300m-Q8_0.gguf") < 5


def test_a_handler_may_embed_and_wait_for_a_thread_that_does():
    code = """
import signal, sys, threading, warnings
import numpy as np
import connote
warnings.simplefilter("ignore")
embedder = connote.Embedder(sys.argv[1])
text = "a cat on the mat " * 16
expected = embedder.embed(text)
heard = []
def handler(number, frame):
    own = [embedder.embed(text)]
    thread = threading.Thread(target=lambda: own.append(embedder.embed(text)))
    thread.start()
    thread.join()
    heard.append(all(np.array_equal(one, expected) for one in own) and len(own) == 2)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.03, 0.5)
while len(heard) < 5:
    assert np.array_equal(embedder.embed(text), expected)
print(all(heard))
"""
    path = str(model("embeddinggemma-300m-Q8_0.gguf"))
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "True", done.stderr


def test_tokenizing_ends():
    # Of texts that lose their end only the beginning would be tokenized.
    work = "embedder.tokenize([' '.join(texts)] * 60, truncate='start')"
    assert late(work, "embeddinggemma-300m-Q8_0.gguf") < 5


def test_tokenizing_one_very_long_text_ends():
    # Alone it takes minutes.
    work = "embedder.embed(' '.join(texts) * 60, truncate='start')"
    assert late(work, "embeddinggemma-300m-Q8_0.gguf") < 5


def test_a_handler_of_ones_own_is_heard(tmp_path):
    code = """
import os, signal, sys, threading, time, warnings
import connote
warnings.simplefilter("ignore")
class Enough(Exception): pass
def handler(number, frame): raise Enough
signal.signal(signal.SIGALRM, handler)
embedder = connote.Embedder(sys.argv[1])
signal.setitimer(signal.ITIMER_REAL, 0.5)
try:
    embedder.embed([f"text {number} " * 50 for number in range(4000)])
except Enough:
    print("heard")
"""
    path = str(model("embeddinggemma-300m-Q8_0.gguf"))
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "heard", done.stderr


def test_a_signal_is_heard_while_the_first_call_asks_for_its_thread():
    code = """
import os, signal, threading
import connote
class Enough(Exception): pass
def handler(number, frame): raise Enough
signal.signal(signal.SIGALRM, handler)
embedder = connote.Embedder()
asked = threading.main_thread
def main_thread():
    os.kill(os.getpid(), signal.SIGALRM)
    return asked()
threading.main_thread = main_thread
try:
    embedder.embed("a cat")
except Enough:
    print("heard")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "heard", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_that_a_thread_forked_is_interrupted():
    """Its main thread was none in the parent, where it embedded. The handler ends the call, which would else come to its end."""
    code = """
import os, signal, threading, traceback
import connote
def child():
    cancel = connote.Cancellation()
    signal.signal(signal.SIGINT, lambda number, frame: cancel.cancel())
    embedder = connote.Embedder()
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        embedder.embed([f"a cat on the mat {number} " * 40 for number in range(1000)], cancel=cancel)
    except connote.CancelledError:
        print("heard", flush=True)
def thread():
    embedder = connote.Embedder()
    embedder.embed("a cat")
    process = os.fork()
    if process == 0:
        try:
            child()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.waitpid(process, 0)
forking = threading.Thread(target=thread)
forking.start()
forking.join()
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "heard", done.stderr


@pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="the system has no leases")
def test_opening_ends(tmp_path):
    """Also where the file system does not answer: who opens this file waits for a lease that nobody gives back."""
    path = tmp_path / "leased.gguf"
    shutil.copy(connote.find_model(), path)
    code = """
import fcntl, os, signal, sys, threading
import connote
from connote import _connote
arguments = connote.Embedder()._arguments
del arguments["path_or_name"]
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    _connote.Engine(sys.argv[1], **arguments)
except KeyboardInterrupt:
    print("heard")
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "heard", done.stderr


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    pipe = tmp_path / "pipe.gguf"
    os.mkfifo(pipe)
    code = """
import sys
import connote
from connote import _connote
arguments = connote.Embedder()._arguments
del arguments["path_or_name"]
_connote.Engine(sys.argv[1], **arguments)
"""
    done = subprocess.run([sys.executable, "-c", code, str(pipe)], capture_output=True, text=True, timeout=30)
    assert "is not a regular file" in done.stderr
