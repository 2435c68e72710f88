#!/usr/bin/env python3
"""The load that `connote serve` must bear (issue 6), against a server that this script starts.

    scripts/load.py BINARY [--model PATH] [--seconds 60] [--json]

1. Idle: short interactive requests (up to 32 tokens), one connection and then eight.
2. Load: eight such connections and 56 of batch priority (64 to 2,048 tokens). Percentiles of the short
   ones, tokens/s, 429s with their Retry-After, every other error, and the server's memory.
3. A client that vanishes in the middle of a large request: how long the server computes on.
4. kill -TERM in the middle of the load: each request that was sent before it gets its whole answer.

Every answer is checked: one vector a text, finite, of unit length, and the same text has the same bits in
all phases, whoever computes beside it. Batch clients are a niced process of their own, so that reading
their answers takes nothing from the server or from the clock of the short ones. Traffic goes to the
server on 127.0.0.1 only. Standard library only; exit code 1 when a bound is missed. What is open when a load
ends is waited for, so that with EmbeddingGemma on two CPUs the whole takes four to six minutes.
"""

import argparse
import array
import base64
import contextlib
import http.client
import json
import math
import multiprocessing
import os
import random
import signal
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients"))
from serving import Server, gemma_path  # noqa: E402

SHORT, BATCH = 8, 56  # connections
# Frequent words: one token each in every vocabulary of the known models, so that a count is a length
# (EmbeddingGemma: exactly).
WORDS = (
    "the of and to in a is that for it as was with be by on not he his but at are this have from or had an "
    "they which one you were her all she there would their we him been has when who will more no if out so "
    "said what up its about into than them can only other new some could time these two may then do first any "
    "my now such like our over man me even most made after also did many before must through years where much "
    "your way well down should because each just those people how too little state good very make world still "
    "own see men work long get here between both life being under never day same another know while last might "
    "us great old year off come since against go came right used take three"
).split()


def text(rng, tokens):
    return " ".join(rng.choice(WORDS) for _ in range(tokens - 2))  # two are the model's own


def body(priority, *texts):
    return json.dumps(
        {"input": list(texts), "encoding_format": "base64", "priority": priority}
    ).encode()


def pools():
    """The bodies, built beforehand: [(name, body)], the same in each process."""
    rng = random.Random(6)
    short = [(f"short {i}", body("interactive", text(rng, rng.randint(4, 32)))) for i in range(64)]
    batch = [(f"batch {i}", body("batch", text(rng, rng.randint(64, 2048)))) for i in range(96)]
    return {"short": short, "batch": batch}


class Wrong(Exception):
    """An answer that breaks a promise."""


def checked(name, data, seen, lock):
    """The tokens of an answer, once it is found whole; `seen` maps a text to the vector it must have."""
    answer = json.loads(data)
    items = answer["data"]
    if len(items) != 1 or items[0]["index"] != 0:
        raise Wrong(f"{name}: {len(items)} vectors for one text")
    vector = items[0]["embedding"]
    with lock:
        known = seen.setdefault(name, vector)
    if known is not vector and known != vector:
        raise Wrong(f"{name}: other bits than before")
    if known is vector:
        floats = array.array("f")
        floats.frombytes(base64.b64decode(vector, validate=True))
        length = math.sqrt(math.fsum(x * x for x in floats))
        if not math.isfinite(length) or abs(length - 1) > 1e-4:
            raise Wrong(f"{name}: length {length}")
    return answer["usage"]["prompt_tokens"]


class Clients:
    """`count` connections that ask again as soon as they are answered, until told to stop."""

    def __init__(self, address, kind, count, seed, seen=None):
        self.address, self.pool, self.kind = address, pools()[kind], kind
        self.seen = {} if seen is None else seen
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.latencies, self.tokens = [], 0
        self.busy, self.errors, self.wrong = [], [], []
        self.inflight = []  # (when sent, when answered or None, how it ended)
        self.threads = [threading.Thread(target=self.run, args=(seed * 1000 + i,)) for i in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self, seed):
        rng = random.Random(seed)
        connection = None
        while not self.stopping.is_set():
            name, data = rng.choice(self.pool)
            sent = None
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(*self.address, timeout=600)
                    connection.connect()
                begun = time.monotonic()
                connection.request("POST", "/v1/embeddings", data, {"Content-Type": "application/json"})
                sent = time.monotonic()
                answer = connection.getresponse()
                got = answer.read()
                ended = time.monotonic()
            except (OSError, http.client.HTTPException) as error:
                with self.lock:
                    self.errors.append((time.monotonic(), f"{type(error).__name__}: {error}"))
                    if sent is not None:
                        self.inflight.append((sent, None, f"{type(error).__name__}: {error}"))
                if connection is not None:
                    connection.close()
                connection = None
                if isinstance(error, ConnectionRefusedError) or self.stopping.wait(0.2):
                    return
                continue
            if answer.status == 429:
                after = answer.headers.get("Retry-After")
                with self.lock:
                    self.busy.append(after)
                    self.inflight.append((sent, ended, 429))
                self.stopping.wait(min(float(after or 1), 10))
            elif answer.status == 200:
                try:
                    tokens = checked(name, got, self.seen, self.lock)
                except (Wrong, ValueError, KeyError, IndexError) as error:
                    with self.lock:
                        self.wrong.append(f"{type(error).__name__}: {error}")
                    continue
                with self.lock:
                    self.tokens += tokens
                    self.latencies.append((begun, ended - begun, tokens))
                    self.inflight.append((sent, ended, 200))
            else:
                with self.lock:
                    self.errors.append((ended, f"{answer.status}: {got[:200]!r}"))
                    self.inflight.append((sent, ended, answer.status))
            if answer.will_close:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def stop(self):
        self.stopping.set()

    def join(self):
        for thread in self.threads:
            thread.join()

    def found(self):
        return {
            "kind": self.kind, "latencies": self.latencies, "tokens": self.tokens, "busy": self.busy,
            "errors": self.errors, "wrong": self.wrong, "inflight": self.inflight, "seen": self.seen,
        }


def batch_process(address, count, seed, pipe):
    """The batch clients, niced; stops at the first word through the pipe and sends back what it found."""
    os.nice(10)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    clients = Clients(address, "batch", count, seed)
    pipe.recv()
    clients.stop()
    clients.join()
    pipe.send(clients.found())


@contextlib.contextmanager
def batch_clients(address, seed, results):
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=batch_process, args=(address, BATCH, seed, there), daemon=True)
    process.start()
    there.close()
    try:
        yield
    finally:
        with contextlib.suppress(BrokenPipeError):
            here.send("stop")
        results.append(here.recv())
        process.join()


# The server's process ----------------------------------------------------------------------------


def memory(pid):
    """MiB in memory: all, and what is not a file's pages."""
    kept = {}
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith(("VmRSS:", "RssAnon:")):
                kept[line.split(":")[0]] = int(line.split()[1]) / 1024
    return kept.get("VmRSS"), kept.get("RssAnon")


def cpu_seconds(pid):
    """Time on CPUs so far; by nanoseconds where the kernel says them, else by its ticks."""
    total, exact = 0, False
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/task/{task}/schedstat") as stat:
                total += int(stat.read().split()[0])
                exact = True
    if exact and total:
        return total / 1e9
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# The phases --------------------------------------------------------------------------------------


def percentiles(latencies):
    if not latencies:
        return {"count": 0, "p50": None, "p99": None, "max": None}
    ordered = sorted(latencies)
    at = lambda q: ordered[min(len(ordered) - 1, math.ceil(q * len(ordered)) - 1)] * 1000  # noqa: E731
    return {"count": len(ordered), "p50": at(0.5), "p99": at(0.99), "max": ordered[-1] * 1000}


def idle(server, connections, seconds, seen):
    clients = Clients(server.address, "short", connections, seed=connections, seen=seen)
    time.sleep(seconds)
    clients.stop()
    clients.join()
    skip = clients.latencies[0][0] + min(1.0, seconds / 4) if clients.latencies else 0
    return {
        **percentiles([took for begun, took, _ in clients.latencies if begun >= skip]),
        "errors": [said for _, said in clients.errors], "wrong": clients.wrong,
    }


def load(server, seconds, seen):
    results, resident = [], {}
    begun = time.monotonic()
    with batch_clients(server.address, 1, results):
        short = Clients(server.address, "short", SHORT, seed=1, seen=seen)
        mark = min(10, seconds / 2)
        time.sleep(mark)
        resident["early"] = memory(server.pid)
        time.sleep(max(0, begun + seconds - time.monotonic()))
        resident["end"] = memory(server.pid)
        cpu = cpu_seconds(server.pid)
        ended = time.monotonic()
        short.stop()
        short.join()
    took = ended - begun
    batch = results[0]
    within = lambda found: sum(n for at, lasted, n in found if at + lasted <= ended)  # noqa: E731
    for name, vector in batch["seen"].items():
        if seen.setdefault(name, vector) != vector:
            batch["wrong"].append(f"{name}: other bits than before")
    return {
        "seconds": took,
        "short": percentiles([lasted for at, lasted, _ in short.latencies if at + lasted <= ended]),
        "batch": percentiles([lasted for at, lasted, _ in batch["latencies"] if at + lasted <= ended]),
        "tokens_per_second": (within(short.latencies) + within(batch["latencies"])) / took,
        "short_tokens_per_second": within(short.latencies) / took,
        "answered_429": len(short.busy) + len(batch["busy"]),
        "retry_after": sorted({str(after) for after in short.busy + batch["busy"]}),
        "errors": [said for _, said in short.errors + batch["errors"]],
        "wrong": short.wrong + batch["wrong"],
        "rss_early_mib": resident["early"][0], "rss_end_mib": resident["end"][0],
        "anon_early_mib": resident["early"][1], "anon_end_mib": resident["end"][1],
        "rss_mark_seconds": mark, "server_cpu_seconds": cpu,
        "drained_seconds": time.monotonic() - ended,
    }


def ask(server, data):
    connection = http.client.HTTPConnection(*server.address, timeout=600)
    connection.request("POST", "/v1/embeddings", data, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    got = answer.read()
    connection.close()
    return answer.status, got


def vanish(server, how, tokens, layers):
    """Milliseconds of computing after the client of a large request has closed its socket."""
    rng = random.Random(how)
    begun = time.monotonic()
    ask(server, body("batch", text(rng, tokens)))
    # A text alone may have all CPUs; beside others it has one.
    layer = (time.monotonic() - begun) * len(os.sched_getaffinity(server.pid)) / layers
    data = body("batch", *(text(rng, tokens) for _ in range(64)))
    client = socket.create_connection(server.address)
    client.sendall(
        b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        + f"Content-Length: {len(data)}\r\n\r\n".encode() + data
    )
    before = cpu_seconds(server.pid)
    time.sleep(1)
    busy = cpu_seconds(server.pid) - before
    if how == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    closed = time.monotonic()
    client.close()
    # The last moment at which a window of 5 ms had more than a tenth of one CPU in it.
    last, previous, at = closed, cpu_seconds(server.pid), closed
    while time.monotonic() < closed + 30 and time.monotonic() < last + 1:
        time.sleep(0.005)
        now, used = time.monotonic(), cpu_seconds(server.pid)
        if used - previous > 0.1 * (now - at):
            last = now
        previous, at = used, now
    begun = time.monotonic()
    status, _ = ask(server, body("interactive", text(rng, 16)))
    return {
        "how": how, "cpu_before_close": busy, "stopped_after_ms": (last - closed) * 1000,
        "one_layer_ms": layer * 1000, "next_request": status,
        "next_request_ms": (time.monotonic() - begun) * 1000,
    }


def terminate(server, after, seen):
    """kill -TERM in the middle: what was wholly sent on an established connection before must be answered."""
    results = []
    with batch_clients(server.address, 2, results):
        short = Clients(server.address, "short", SHORT, seed=2, seen=seen)
        time.sleep(after)
        signalled = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        code = server.process.wait(600)
        exited = time.monotonic() - signalled
        short.stop()
        short.join()
    every = short.inflight + results[0]["inflight"]
    wrong = short.wrong + results[0]["wrong"]
    for name, vector in results[0]["seen"].items():
        if seen.setdefault(name, vector) != vector:
            wrong.append(f"{name}: other bits than before")
    accepted = [one for one in every if one[0] < signalled]
    open_then = [one for one in accepted if one[1] is None or one[1] > signalled]
    # A refusal is an answer, though none is due here; no answer, half of one or a 5xx is a loss.
    lost = [one for one in accepted if not isinstance(one[2], int) or one[2] >= 500]
    wrong += [f"answered {one[2]}" for one in accepted if one[2] not in (200, 429) and one not in lost]
    later = [one for one in every if one[0] >= signalled]
    return {
        "open_at_signal": len(open_then), "answered": sum(one[2] == 200 for one in open_then),
        "lost": len(lost),
        "lost_how": sorted({f"sent {1000 * (signalled - one[0]):.1f} ms before: {one[2]}" for one in lost})[:8],
        "sent_after_signal": len(later), "of_them_answered": sum(one[2] == 200 for one in later),
        "exit_code": code, "exit_seconds": exited, "wrong": wrong,
    }


# What it says ------------------------------------------------------------------------------------


def bounds(found):
    """(name, whether it holds, what was seen); None where this machine cannot tell."""
    with open("/proc/cpuinfo") as cpuinfo:
        avx512 = " avx512f " in cpuinfo.read()
    held, one, eight = found["load"], found["idle_1"], found["idle_8"]
    p99 = held["short"]["p99"] or math.inf
    yield "no error but 429", not held["errors"] and not one["errors"] and not eight["errors"], f"{len(held['errors'])} {held['errors'][:2]}"
    wrong = held["wrong"] + one["wrong"] + eight["wrong"] + found["term"]["wrong"]
    yield "every answer right, the same bits", not wrong, f"{len(wrong)} {wrong[:2]}"
    yield "every 429 has Retry-After", "None" not in held["retry_after"], f"{held['answered_429']} times, {held['retry_after'][:4]} s"
    if eight["p99"]:
        yield "p99 of short ones under 10x idle, 8 connections", p99 < 10 * eight["p99"], f"{p99 / eight['p99']:.1f}x"
    if one["p99"]:
        yield "p99 of short ones under 10x idle, 1 connection", p99 < 10 * one["p99"], f"{p99 / one['p99']:.1f}x"
    yield "p99 of short ones under 500 ms (AVX-512)", p99 < 500 if avx512 else None, f"{p99:.0f} ms"
    grown = held["rss_end_mib"] - held["rss_early_mib"]
    yield f"memory within 5 MB of that at {held['rss_mark_seconds']:.0f} s", grown < 5, f"{grown:+.1f} MiB"
    for gone in found["vanished"]:
        allowed = max(50.0, 2 * gone["one_layer_ms"])
        fine = gone["stopped_after_ms"] < allowed and gone["next_request"] == 200 and gone["cpu_before_close"] > 0.3
        yield f"a client that vanishes ({gone['how']}) frees its work", fine, (
            f"{gone['stopped_after_ms']:.0f} ms, a layer takes {gone['one_layer_ms']:.0f} ms"
        )
    term = found["term"]
    yield "kill -TERM loses nothing", term["lost"] == 0 and term["exit_code"] == 0 and term["open_at_signal"] > 0, (
        f"{term['lost']} lost of {term['open_at_signal']} open, exit code {term['exit_code']} after {term['exit_seconds']:.1f} s {term['lost_how']}"
    )


def table(found):
    def row(name, p):
        cells = ["-" if p[k] is None else f"{p[k]:.1f}" for k in ("p50", "p99", "max")]
        print(f"{name:34} {p['count']:8} {cells[0]:>10} {cells[1]:>10} {cells[2]:>10}")

    held = found["load"]
    print(f"{found['model']}, {found['cpus']} CPUs, load of {held['seconds']:.0f} s")
    print(f"{'':34} {'requests':>8} {'p50 ms':>10} {'p99 ms':>10} {'max ms':>10}")
    row("short, idle, 1 connection", found["idle_1"])
    row(f"short, idle, {SHORT} connections", found["idle_8"])
    row(f"short, beside {BATCH} of batch", held["short"])
    row(f"batch, {BATCH} connections", held["batch"])
    print(f"tokens/s {held['tokens_per_second']:.0f} (short ones {held['short_tokens_per_second']:.0f}); 429: {held['answered_429']}; "
          f"memory {held['rss_early_mib']:.1f} -> {held['rss_end_mib']:.1f} MiB (without files {held['anon_early_mib']:.1f} -> {held['anon_end_mib']:.1f})")
    for name, holds, seen in found["bounds"]:
        print(f"  {'ok  ' if holds else 'n/a ' if holds is None else 'FAIL'} {name}: {seen}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("--model", help="a GGUF file that takes 2,048 tokens [default: EmbeddingGemma in ~/.cache/embed-models]")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--idle-seconds", type=float, default=10)
    parser.add_argument("--term-after", type=float, default=5, help="seconds of load before kill -TERM")
    parser.add_argument("--layers", type=int, default=24, help="of the model, to say how long one takes")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("server_args", nargs="*", help="for the server, after --")
    args = parser.parse_args()
    model = args.model or gemma_path()
    if model is None:
        sys.exit("load.py: EmbeddingGemma's file is not in ~/.cache/embed-models; give --model")
    server = Server(os.path.abspath(args.binary), *args.server_args, model=model)
    seen = {}
    try:
        found = {"model": server.name, "cpus": len(os.sched_getaffinity(server.pid))}
        found["idle_1"] = idle(server, 1, args.idle_seconds, seen)
        found["idle_8"] = idle(server, SHORT, args.idle_seconds, seen)
        found["load"] = load(server, args.seconds, seen)
        found["vanished"] = [vanish(server, how, 2000, args.layers) for how in ("closed", "reset")]
        found["term"] = terminate(server, args.term_after, seen)
        found["bounds"] = list(bounds(found))
    finally:
        server.stop()
    if args.json:
        print(json.dumps(found, indent=1))
    else:
        table(found)
    sys.exit(any(holds is False for _, holds, _ in found["bounds"]))


if __name__ == "__main__":
    main()
