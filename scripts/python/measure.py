#!/usr/bin/env python3
"""The figures of docs/PYTHON.md, on a machine that does nothing else:  measure.py MODEL [PART]...

Parts: overhead, cold, threads, interrupt, memory, shared; all by default.
"""

import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import connote
import numpy as np

warnings.simplefilter("ignore")
TEXTS = [f"query number {number} about gardening and garlic planting" for number in range(96)]


def timed(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def best_and_median(times):
    return f"best {min(times) * 1e3:.3f} ms, median {statistics.median(times) * 1e3:.3f} ms"


def overhead(path):
    """By turns with the library in the same process: what the machine does meanwhile falls on both, and where the system has put a
    process's memory, which makes two processes of one program differ by more than Python adds."""
    embedder = connote.Embedder(path)

    def in_rust(texts, calls):
        return embedder._engine.call_times(texts, calls)

    def in_python(texts, calls):
        given = texts[0] if len(texts) == 1 else texts
        times = []
        for _ in range(calls):
            # Not by `timed`: behind the weights a function between costs, too.
            begin = time.perf_counter()
            embedder.embed(given)
            times.append((time.perf_counter() - begin) * 1e6)
        return times

    for texts, calls, rounds in ((TEXTS[:1], 4, 500), (TEXTS, 2, 30)):
        times = {in_rust: [], in_python: []}
        in_rust(texts, calls), in_python(texts, calls)
        for number in range(rounds):
            for one in (in_rust, in_python) if number % 2 else (in_python, in_rust):
                times[one].append(statistics.median(one(texts, calls)))
        without = statistics.median(times[in_rust])
        differences = [ours - theirs for ours, theirs in zip(times[in_python], times[in_rust])]
        added = statistics.median(differences)
        # What other draws of the same rounds would give: nine tenths of them lie between the two.
        draws = sorted(statistics.median(random.choices(differences, k=rounds)) for _ in range(2000))
        print(
            f"{len(texts)} texts: in Rust {without:.0f} us; Python adds {added:.0f} us ({draws[100]:.0f} to {draws[-100]:.0f}),"
            f" {100 * added / without:.2f}%",
            flush=True,
        )


def cold(path):
    """What calls cost right behind something that took all caches, as a large model's weights do: microseconds, medians. Without
    texts, so that the network is not in them; by itself and without its noise. What stands first shows what nobody can save."""
    embedder = connote.Embedder(path, threads=1)
    texts, first, second = [], np.ones(16 << 20, np.float32), np.ones(16 << 20, np.float32)
    calls = {
        "len of a list": texts.__len__,
        "numpy.zeros(384)": lambda: np.zeros(384, np.float32),
        "the library's own call": lambda: embedder._engine.call_times(texts, 1),
        "embed_vectors": lambda: embedder.embed_vectors(texts),
        "embed": lambda: embedder.embed(texts),
    }
    times = {name: [] for name in calls}
    for _ in range(100):
        for name in random.sample(list(calls), len(calls)):
            np.add(first, 1, out=second)
            times[name].append(timed(calls[name]) * 1e6)
    for name, its in times.items():
        print(f"behind caches of others: {name} {statistics.median(its):.0f} us", flush=True)


def threads(path):
    for preset in ("balanced", "throughput"):
        threads_with(connote.Embedder(path, preset=preset), preset)


def threads_with(embedder, preset):
    batch = [f"{text} of the year {year}" for year in (2025, 2026) for text in TEXTS]  # equal texts are computed once
    parts = [batch[part::8] for part in range(8)]
    whole, eight = [], []
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            whole.append(timed(lambda: embedder.embed(batch)))
            eight.append(timed(lambda: list(pool.map(embedder.embed, parts))))
    print(f"{preset}, one batch of 192:       ", best_and_median(whole))
    print(f"{preset}, 8 threads of 24 at once:", best_and_median(eight))
    ratios = min(whole) / min(eight), statistics.median(whole) / statistics.median(eight)
    print(f"{preset}, throughput of 8 threads / one batch: best {ratios[0]:.3f}, median {ratios[1]:.3f}")


def interrupt(path):
    embedder = connote.Embedder(path)
    texts = [" ".join(f"word{number}x{n}" for n in range(60)) for number in range(2000)]
    very_long = " ".join(texts) * 20  # abandoned while it becomes tokens
    calls = (
        ("a batch", lambda: embedder.embed(texts)),
        ("a text of many tokens", lambda: embedder.embed(" ".join(texts[:40]))),
        (f"a text of {len(very_long) >> 20} MB", lambda: embedder.embed(very_long)),
    )
    for what, work in calls:
        late = []
        for _ in range(10):
            sent = [0.0]

            def send(sent=sent):
                time.sleep(0.3)
                sent[0] = time.perf_counter()
                os.kill(os.getpid(), signal.SIGINT)

            thread = threading.Thread(target=send)
            try:
                thread.start()
                while True:
                    work()
            except KeyboardInterrupt:
                late.append(time.perf_counter() - sent[0])
            thread.join()
        print(f"KeyboardInterrupt in {what}: at most {max(late) * 1e3:.0f} ms after the signal, {best_and_median(late)}")


CHILD = """
import connote, sys, warnings
warnings.simplefilter("ignore")
embedder = connote.Embedder(sys.argv[1], threads=1, share_weights=sys.argv[2] == "shared")
embedder.embed([f"a text about garlic number {number}" for number in range(64)])
print("ready", flush=True)
sys.stdin.readline()
"""


def proportional(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:")) / 1024


def memory(path):
    for how in ("own", "shared"):
        processes, sums = [], [0.0]
        for _ in range(4):
            child = subprocess.Popen(
                [sys.executable, "-c", CHILD, path, how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            child.stdout.readline()
            processes.append(child)
            sums.append(sum(proportional(one.pid) for one in processes))
        added = [f"{after - before:.0f}" for before, after in zip(sums, sums[1:])]
        print(f"{how} weights, 4 processes: {sums[-1]:.0f} MB of PSS, each adding {', '.join(added)}")
        for child in processes:
            child.communicate("\n")


def shared(path):
    own = connote.Embedder(path)
    connote.Embedder(path, share_weights=True)
    begin = time.perf_counter()
    mapped = connote.Embedder(path, share_weights=True)
    print(f"opened from the shared file in {time.perf_counter() - begin:.2f} s")
    times = {}
    for _ in range(8):
        for how, embedder in (("own", own), ("shared", mapped)):
            times.setdefault((how, "96 texts"), []).append(timed(lambda: embedder.embed(TEXTS)))
            for _ in range(5):
                times.setdefault((how, "1 text"), []).append(timed(lambda: embedder.embed("garlic")))
    for (how, what), values in times.items():
        print(f"{how} weights, {what}: {best_and_median(values)}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    parts = {part.__name__: part for part in (overhead, cold, threads, interrupt, memory, shared)}
    for part in sys.argv[2:] or parts:
        parts[part](sys.argv[1])
