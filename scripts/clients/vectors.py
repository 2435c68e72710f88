"""What must be true of every answer, and plain HTTP as the reference the clients are held to."""

import base64
import http.client
import json

import numpy as np

TEXTS = [
    "a cat on the mat",
    "a feline on a rug",
    "the quarterly report is due",
    "héllo wörld, naïve façade",
    "東京は日本の首都です",
    "line one\nline two\ttabbed",
    "🦀 emoji and 👩‍👩‍👧 joined ones",
    "x",
]


def request(url, method, path, body=None, headers=None, timeout=120):
    """(status, headers, bytes); a dict or list is sent as JSON."""
    host, _, port = url.split("//", 1)[1].rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
    headers = dict(headers or {})
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
        headers.setdefault("Content-Type", "application/json")
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def post(url, path, body, headers=None):
    """The parsed JSON of a 200; anything else fails with the body shown."""
    status, _, data = request(url, "POST", path, body, headers)
    assert status == 200, f"POST {path} {json.dumps(body)[:200]} -> {status} {data[:500]!r}"
    return json.loads(data)


def direct(url, texts, **extra):
    """(n, dimensions) f32 by /v1/embeddings as base64: the exact bits that all others are held to."""
    answer = post(url, "/v1/embeddings", {"input": texts, "encoding_format": "base64", **extra})
    assert [item["index"] for item in answer["data"]] == list(range(len(answer["data"])))
    return np.stack([from_base64(item["embedding"]) for item in answer["data"]])


def from_base64(text):
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4")


def rows(vectors):
    """Whatever a client returned, as f32 rows. JSON numbers are parsed as f64 and must round to our f32."""
    array = np.asarray(vectors, dtype=np.float64).astype(np.float32)
    return array[None] if array.ndim == 1 else array


def assert_sound(vectors, count, dimensions=None, unit=True):
    """The right count, finite, no zero vector, of unit length."""
    array = rows(vectors)
    assert array.shape[0] == count, f"{array.shape[0]} vectors for {count} texts"
    if dimensions:
        assert array.shape[1] == dimensions
    assert np.isfinite(array).all(), "NaN or Inf in an answer"
    lengths = np.linalg.norm(array.astype(np.float64), axis=1)
    assert (lengths > 0).all(), "a zero vector"
    if unit:
        assert np.abs(lengths - 1).max() < 1e-5, f"lengths {lengths}"
    return array


def assert_same(found, wanted):
    """Equal to the bit, row by row: this also fails when the order is not kept."""
    found, wanted = rows(found), rows(wanted)
    assert found.shape == wanted.shape, (found.shape, wanted.shape)
    differing = np.flatnonzero((found != wanted).any(axis=1))
    assert differing.size == 0, f"rows {differing.tolist()} differ, by up to {np.abs(found - wanted).max()}"
