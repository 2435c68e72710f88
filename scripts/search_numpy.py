#!/usr/bin/env python3
"""connote search against numpy: the same rows in the same order.

    pip install numpy
    python3 scripts/search_numpy.py target/release/connote            # made-up vectors
    python3 scripts/search_numpy.py target/release/connote FILE.npy   # and those of a file, as 50 queries of itself

Vectors of small eighths have exact sums in any order and many ties, so there every row must be the one that numpy's
stable argsort gives. Sums of other vectors are rounded in another order than numpy's: there two rows may change places
only if numpy's own scores, in f64, differ by less than rounding does. The exit code is 1 if any does otherwise.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

TOP = 10


def connote(*arguments):
    done = subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"connote {' '.join(map(str, arguments))}: {done.stderr}")
    return done.stdout


def search(folder, vectors, queries, *options):
    np.save(folder / "queries.npy", queries)
    np.save(folder / "vectors.npy", vectors)
    connote("index", "build", "-i", folder / "vectors.npy", "-o", folder / "index", "--precision", "f32,int8,binary", "--replace")
    answers = connote("search", "--index", folder / "index", "--vector", folder / "queries.npy", "--top", TOP, "--json", *options)
    hits = [json.loads(line)["hits"] for line in answers.splitlines()]
    rows = np.array([[hit["id"] for hit in query] for query in hits])
    scores = np.array([[hit["score"] for hit in query] for query in hits])
    return rows, scores


def argsort(scores):
    return np.argsort(-scores, axis=1, kind="stable")[:, :TOP]


def exactly(folder, random):
    vectors = random.integers(-8, 9, size=(3000, 48)).astype(np.float32) / 8
    vectors[1000:1500] = vectors[:500]  # ties
    queries = random.integers(-8, 9, size=(40, 48)).astype(np.float32) / 8
    expected = argsort(queries @ vectors.T)
    rows, scores = search(folder, vectors, queries)
    assert np.array_equal(rows, expected), "f32: other rows than numpy's argsort"
    assert np.array_equal(scores, np.take_along_axis(queries @ vectors.T, expected, 1)), "f32: other scores"
    # With every row a candidate, coarse scans are exact too.
    for precision in ["int8", "binary"]:
        rows, _ = search(folder, vectors, queries, "--precision", precision, "--rescore", len(vectors))
        assert np.array_equal(rows, expected), f"{precision}: other rows than numpy's argsort"
    # Signs by themselves: numpy's packbits and a count.
    rows, _ = search(folder, vectors, queries, "--precision", "binary", "--rescore", 0)
    bits, asked = np.packbits(vectors > 0, axis=1), np.packbits(queries > 0, axis=1)
    differ = np.unpackbits(asked[:, None, :] ^ bits[None, :, :], axis=2).sum(axis=2).astype(int)
    assert np.array_equal(rows, argsort(-differ)), "binary: other rows than numpy's"
    print(f"exact sums: {len(queries)} queries of {len(vectors)} vectors, all rows and scores as numpy's")


def rounded(folder, vectors, queries, what):
    vectors, queries = vectors.astype(np.float32), queries.astype(np.float32)
    scores = queries.astype(np.float64) @ vectors.astype(np.float64).T
    expected = argsort(scores)
    rows, _ = search(folder, vectors, queries)
    differ = rows != expected
    found, wanted = np.take_along_axis(scores, rows, 1), np.take_along_axis(scores, expected, 1)
    gap = np.abs(found - wanted).max()
    lengths = np.linalg.norm(vectors, axis=1).max() * np.linalg.norm(queries, axis=1).max()
    assert gap <= 1e-6 * lengths, f"{what}: a row that is worse by {gap}"
    assert all(len(set(row)) == TOP for row in rows.tolist()), f"{what}: a row twice"
    print(f"{what}: {rows.size} rows, {int(differ.sum())} in the place of one whose score differs by less than {gap:.1e}")


def main():
    random = np.random.default_rng(7)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        exactly(folder, random)
        rounded(folder, random.standard_normal((20000, 384)), random.standard_normal((20, 384)), "normal vectors")
        for file in sys.argv[2:]:
            vectors = np.load(file)
            rounded(folder, vectors, vectors[:: max(1, len(vectors) // 50)][:50], file)


if len(sys.argv) < 2:
    sys.exit(__doc__)
COMMAND = sys.argv[1]
main()
