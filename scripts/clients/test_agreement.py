"""One text, every protocol: the same f32 to the bit, in the order asked for, also when many ask at once."""

import concurrent.futures
import json

import numpy as np
import pyarrow
import pytest

from vectors import TEXTS, assert_same, assert_sound, direct, from_base64, post, request

OCTETS = {"Accept": "application/octet-stream"}
ARROW = {"Accept": "application/vnd.apache.arrow.stream"}


def raw(url, path, body, headers):
    status, _, data = request(url, "POST", path, body, headers)
    assert status == 200, data[:500]
    return data


def by_arrow(data):
    table = pyarrow.ipc.open_stream(data).read_all()
    return next(c for c in table.columns if "list" in str(c.type)).to_pylist()


def ndjson(url, texts):
    body = "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()
    data = raw(url, "/v1/embeddings", body, {"Content-Type": "application/x-ndjson"})
    return [json.loads(line)["embedding"] for line in data.splitlines()]


WAYS = {
    "openai float": lambda u, t: [i["embedding"] for i in post(u, "/v1/embeddings", {"input": t})["data"]],
    "openai base64": lambda u, t: [
        from_base64(i["embedding"]) for i in post(u, "/v1/embeddings", {"input": t, "encoding_format": "base64"})["data"]
    ],
    "openai octets": lambda u, t: np.frombuffer(raw(u, "/v1/embeddings", {"input": t}, OCTETS), "<f4").reshape(len(t), -1),
    "openai arrow": lambda u, t: by_arrow(raw(u, "/v1/embeddings", {"input": t}, ARROW)),
    "ndjson": ndjson,
    "tei": lambda u, t: post(u, "/embed", {"inputs": t}),
    "tei at /": lambda u, t: post(u, "/", {"inputs": t}),
    "tei octets": lambda u, t: np.frombuffer(raw(u, "/embed", {"inputs": t}, OCTETS), "<f4").reshape(len(t), -1),
    "ollama": lambda u, t: post(u, "/api/embed", {"model": "m", "input": t})["embeddings"],
    "ollama, old": lambda u, t: [post(u, "/api/embeddings", {"model": "m", "prompt": one})["embedding"] for one in t],
    "llama": lambda u, t: [i["embedding"][0] for i in post(u, "/embedding", {"content": t})],
    "llama input": lambda u, t: [i["embedding"][0] for i in post(u, "/embedding", {"input": t})],
    "llama /embeddings": lambda u, t: [i["embedding"][0] for i in post(u, "/embeddings", {"content": t})],
    "one at a time": lambda u, t: np.concatenate([direct(u, [one]) for one in t]),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_bits(url, way):
    found = WAYS[way](url, TEXTS)
    assert_sound(found, len(TEXTS), 384)
    assert_same(found, direct(url, TEXTS))
    assert_same(WAYS[way](url, TEXTS[::-1]), direct(url, TEXTS)[::-1])


@pytest.mark.parametrize("way", [way for way in WAYS if way != "one at a time"])
def test_the_same_bits_with_a_larger_model(gemma, way):
    found = WAYS[way](gemma.url, TEXTS[:3])
    assert_sound(found, 3, 768)
    assert_same(found, direct(gemma.url, TEXTS[:3]))


def test_many_at_once_on_every_route(url):
    """Requests of all protocols meet in the scheduler; each gets its own texts' vectors."""
    wanted = direct(url, TEXTS)
    jobs = [(way, i) for i in range(12) for way in WAYS]

    def one(job):
        way, i = job
        order = np.random.default_rng(i).permutation(len(TEXTS))
        return order, WAYS[way](url, [TEXTS[k] for k in order])

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        for order, found in pool.map(one, jobs):
            assert_same(found, wanted[order])
