#!/usr/bin/env python3
"""What HTTP and JSON add to the work of the engine, against a server that this script starts.

    scripts/http_overhead.py BINARY [--model PATH] [--requests 300] [--batches 5]

One connection, one request after another. Of every answer: the time that the client saw, from its first byte sent to
the last byte read, less `queue` and `engine` of the answer's Server-Timing header. What is left is the sockets, HTTP,
JSON both ways and turning the text into token ids. Prints medians. Bounds of issue 6: below 0.5 ms for one short
text, and with EmbeddingGemma below 5% for a batch; exit code 1 when one is missed.
"""

import argparse
import http.client
import json
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients"))
from serving import Server, gemma_path  # noqa: E402

SHORT = "The quick brown fox jumps over the lazy dog."
LONG = " ".join([SHORT] * 5)


def ask(connection, texts):
    """Milliseconds outside the engine, and in all."""
    body = json.dumps({"input": texts}).encode()
    begin = time.perf_counter()
    connection.request("POST", "/v1/embeddings", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    took = (time.perf_counter() - begin) * 1e3
    assert answer.status == 200, answer.status
    parts = dict(part.strip().split(";dur=") for part in answer.headers["Server-Timing"].split(","))
    return took - float(parts["queue"]) - float(parts["engine"]), took


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("binary")
    ap.add_argument("--model", default=gemma_path())
    ap.add_argument("--requests", type=int, default=300)
    ap.add_argument("--batches", type=int, default=5)
    args = ap.parse_args()
    with Server(os.path.abspath(args.binary), model=args.model) as server:
        host = server.url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=120)
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
