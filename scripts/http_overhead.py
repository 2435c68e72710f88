#!/usr/bin/env python3
"""What HTTP and JSON add to the work of the engine, against a server that this script starts.

    scripts/http_overhead.py BINARY [--model PATH] [--requests 300] [--batches 5]

One connection, one request after another. Of every answer: the time that the client saw, from its first byte sent to
the last byte read, less `queue` and `engine` of the answer's Server-Timing header. What is left is the sockets, HTTP,
JSON both ways and turning the text into token ids. Prints medians. Bounds of issue 6: below 0.5 ms for one short
text, and with EmbeddingGemma below 5% for a batch; exit code 1 when one is missed.
"""

import argparse
import json
import os
import re
import socket
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients"))
from serving import Server, gemma_path  # noqa: E402

SHORT = "The quick brown fox jumps over the lazy dog."
LONG = " ".join([SHORT] * 5)
BUFFER = bytearray(1 << 20)


def ask(connection, texts):
    """Milliseconds outside the engine, and in all. A bare socket and one buffer: Python's HTTP client alone takes a quarter of a
    millisecond, and a new buffer for each answer some 0.06 ms."""
    body = json.dumps({"input": texts}).encode()
    head = f"POST /v1/embeddings HTTP/1.1\r\nHost: connote\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    begin = time.perf_counter()
    connection.sendall(request)
    have = connection.recv_into(BUFFER)
    last = time.perf_counter()
    while (end := BUFFER.find(b"\r\n\r\n", 0, have)) < 0:
        have += connection.recv_into(memoryview(BUFFER)[have:])
        last = time.perf_counter()
    length = int(re.search(rb"\r\ncontent-length: (\d+)", BUFFER[:end])[1])
    while have < end + 4 + length:
        # Of the body only its end matters.
        have += connection.recv_into(memoryview(BUFFER)[end:])
        last = time.perf_counter()
    # Not what this client makes of it afterwards.
    took = (last - begin) * 1e3
    answer = BUFFER[:end]
    assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
    timing = re.search(rb"server-timing: ([^\r]*)", answer)[1].decode()
    parts = dict(part.strip().split(";dur=") for part in timing.split(","))
    return took - float(parts["queue"]) - float(parts["engine"]), took


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("binary")
    ap.add_argument("--model", default=gemma_path())
    ap.add_argument("--requests", type=int, default=300)
    ap.add_argument("--batches", type=int, default=5)
    args = ap.parse_args()
    with Server(os.path.abspath(args.binary), model=args.model) as server:
        host, port = server.url.removeprefix("http://").split(":")
        connection = socket.create_connection((host, int(port)), timeout=120)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(20):
            ask(connection, SHORT)
        # Texts that differ: equal ones are computed once.
        short = [ask(connection, f"{i} {SHORT}") for i in range(args.requests)]
        outside, whole = (statistics.median(column) for column in zip(*short))
        print(f"one short text: {whole:.2f} ms, of them outside the engine {outside:.3f} ms (bound 0.5)")
        late = outside >= 0.5
        for name, text in (("96 short texts", SHORT), ("96 long texts", LONG)):
            batches = [ask(connection, [f"{i} {n} {text}" for n in range(96)]) for i in range(args.batches)]
            outside, whole = (statistics.median(column) for column in zip(*batches))
            share = outside / whole
            print(f"{name}: {whole:.1f} ms, of them outside the engine {outside:.2f} ms, {share:.2%} (bound 5%)")
            late |= share >= 0.05
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
