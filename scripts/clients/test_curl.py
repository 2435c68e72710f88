"""curl, as a person types it: every route, the binary answers, streams, a Unix socket, keys."""

import json
import os
import select
import socket
import struct
import subprocess
import time

import numpy as np
import pyarrow
import pytest

from serving import Server
from vectors import TEXTS, assert_same, assert_sound, direct, from_base64

TEXT = TEXTS[0]


def curl(*args, stdin=None, check=True):
    """What curl wrote to stdout; `-sS --fail-with-body` so that a 4xx is seen as a failure."""
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "120", "--noproxy", "*", "--fail-with-body", *map(str, args)],
        input=stdin, capture_output=True,
    )
    if check:
        assert done.returncode == 0, f"curl {args} -> {done.returncode}\n{done.stdout[:800]!r}\n{done.stderr!r}"
    return done.stdout


def status(*args):
    return int(subprocess.run(
        ["curl", "-sS", "-o", os.devnull, "-w", "%{http_code}", "--noproxy", "*", *map(str, args)],
        capture_output=True, check=True,
    ).stdout)


JSON = ("-H", "Content-Type: application/json")


# The routes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [JSON, ()], ids=["json", "as curl -d sends it"])
def test_openai(url, header):
    """Without -H, curl -d says application/x-www-form-urlencoded: most examples on the web do that."""
    answer = json.loads(curl(f"{url}/v1/embeddings", *header, "-d", json.dumps({"input": TEXTS, "model": "m"})))
    assert_same([item["embedding"] for item in answer["data"]], direct(url, TEXTS))


def test_openai_base64(url):
    answer = json.loads(curl(f"{url}/v1/embeddings", *JSON, "-d", json.dumps({"input": TEXT, "encoding_format": "base64"})))
    assert_same(from_base64(answer["data"][0]["embedding"]), direct(url, [TEXT]))


@pytest.mark.parametrize("path", ["/embed", "/"])
def test_tei(url, path):
    found = json.loads(curl(f"{url}{path}", "-X", "POST", *JSON, "-d", json.dumps({"inputs": TEXTS})))
    assert_same(found, direct(url, TEXTS))
    one = json.loads(curl(f"{url}{path}", *JSON, "-d", json.dumps({"inputs": TEXT})))
    assert_same(one, direct(url, [TEXT]))


def test_tei_embed_all(url):
    """A vector a token: [texts][tokens][dimensions]."""
    found = json.loads(curl(f"{url}/embed_all", *JSON, "-d", json.dumps({"inputs": ["hello world", "hello"]})))
    assert [len(tokens) for tokens in found] == [4, 3]
    mean = np.asarray(found[0], dtype=np.float32).mean(axis=0)
    assert np.isfinite(mean).all() and mean.shape == (384,)
    wanted = direct(url, ["hello world"])[0]
    assert mean @ wanted / np.linalg.norm(mean) > 0.99999


def test_tei_tokenize_and_decode(url):
    found = json.loads(curl(f"{url}/tokenize", *JSON, "-d", json.dumps({"inputs": "hello world"})))
    assert [token["id"] for token in found[0]] == [101, 7592, 2088, 102]
    assert {"id", "text", "special", "start", "stop"} <= set(found[0][0])
    assert [token["special"] for token in found[0]] == [True, False, False, True]
    ids = [token["id"] for token in found[0]]
    assert json.loads(curl(f"{url}/decode", *JSON, "-d", json.dumps({"ids": ids}))) == ["hello world"]


def test_ollama(url):
    """The example of Ollama's own documentation has no Content-Type."""
    found = json.loads(curl(f"{url}/api/embed", "-d", json.dumps({"model": "all-minilm", "input": TEXTS})))
    assert_same(found["embeddings"], direct(url, TEXTS))
    old = json.loads(curl(f"{url}/api/embeddings", "-d", json.dumps({"model": "all-minilm", "prompt": TEXT})))
    assert_same(old["embedding"], direct(url, [TEXT]))
    assert curl(f"{url}/") == b"Ollama is running"


@pytest.mark.parametrize("path", ["/embedding", "/embeddings"])
def test_llama(url, path):
    found = json.loads(curl(f"{url}{path}", *JSON, "-d", json.dumps({"content": TEXTS})))
    assert [item["index"] for item in found] == list(range(len(TEXTS)))
    assert_same([item["embedding"][0] for item in found], direct(url, TEXTS))
    one = json.loads(curl(f"{url}{path}", *JSON, "-d", json.dumps({"content": TEXT})))
    assert_same(one[0]["embedding"], direct(url, [TEXT]))


def test_llama_normalisation(url):
    def norm(kind):
        found = json.loads(curl(f"{url}/embedding", *JSON, "-d", json.dumps({"content": TEXT, "embd_normalize": kind})))
        return np.asarray(found[0]["embedding"][0], dtype=np.float32)

    unit = direct(url, [TEXT])[0]
    assert_same(norm(2), unit)
    for kind, length in ((-1, None), (0, lambda v: np.abs(v).max() / 32760), (1, lambda v: np.abs(v).sum()), (3, lambda v: (np.abs(v) ** 3).sum() ** (1 / 3))):
        found = norm(kind)
        assert np.abs(found / np.linalg.norm(found) - unit).max() < 1e-5
        if length:
            assert abs(length(found.astype(np.float64)) - 1) < 1e-3


def test_openai_shape_at_embeddings(url):
    answer = json.loads(curl(f"{url}/embeddings", *JSON, "-d", json.dumps({"input": TEXT})))
    assert_same(answer["data"][0]["embedding"], direct(url, [TEXT]))


def test_llama_tokenize_and_detokenize(url):
    found = json.loads(curl(f"{url}/tokenize", *JSON, "-d", json.dumps({"content": "hello world"})))
    assert found == {"tokens": [7592, 2088]}
    found = json.loads(curl(f"{url}/tokenize", *JSON, "-d", json.dumps({"content": "hello world", "add_special": True})))
    assert found == {"tokens": [101, 7592, 2088, 102]}
    pieces = json.loads(curl(f"{url}/tokenize", *JSON, "-d", json.dumps({"content": "hello", "with_pieces": True})))
    assert pieces["tokens"][0]["id"] == 7592
    found = json.loads(curl(f"{url}/detokenize", *JSON, "-d", json.dumps({"tokens": [7592, 2088]})))
    assert found["content"].strip() == "hello world"


def test_operation_routes(url):
    assert json.loads(curl(f"{url}/health"))["status"] == "ok"
    assert json.loads(curl(f"{url}/v1/health"))["status"] == "ok"
    for path in ("/health/live", "/health/ready"):
        assert status(f"{url}{path}") == 200
    metrics = curl(f"{url}/metrics").decode()
    assert "# TYPE" in metrics and "# HELP" in metrics
    assert json.loads(curl(f"{url}/openapi.json"))["openapi"].startswith("3.")
    assert json.loads(curl(f"{url}/props"))
    assert json.loads(curl(f"{url}/info"))["model_id"]
    page = curl(f"{url}/", "-H", "Accept: text/html").decode()
    assert "<html" in page.lower()
    assert status(f"{url}/no/such/route") == 404
    assert status(f"{url}/v1/embeddings") == 405


# Binary answers ----------------------------------------------------------------------------------


def test_octet_stream_to_a_file(url, tmp_path):
    file, headers = tmp_path / "vectors.f32", tmp_path / "headers"
    curl(f"{url}/v1/embeddings", *JSON, "-H", "Accept: application/octet-stream", "-D", headers, "-o", file,
         "-d", json.dumps({"input": TEXTS}))
    found = np.fromfile(file, dtype="<f4").reshape(-1, 384)
    assert_sound(found, len(TEXTS), 384)
    assert_same(found, direct(url, TEXTS))
    assert struct.unpack("<f", file.read_bytes()[:4])[0] == found[0, 0]
    said = headers.read_text().lower()
    assert "content-type: application/octet-stream" in said
    assert "x-dimensions: 384" in said and f"x-count: {len(TEXTS)}" in said
    assert "x-embedding-fingerprint: " in said and "server-timing: " in said


@pytest.mark.parametrize(
    "path, body",
    [("/embed", {"inputs": TEXTS}), ("/api/embed", {"input": TEXTS}), ("/embedding", {"content": TEXTS})],
)
def test_octet_stream_of_the_other_routes(url, path, body):
    found = curl(f"{url}{path}", *JSON, "-H", "Accept: application/octet-stream", "-d", json.dumps(body))
    assert_same(np.frombuffer(found, dtype="<f4").reshape(-1, 384), direct(url, TEXTS))


def test_an_error_is_json_whatever_was_asked_for(url):
    answer = curl(f"{url}/v1/embeddings", *JSON, "-H", "Accept: application/octet-stream", "-d", '{"input": []}', check=False)
    assert json.loads(answer)["error"]["message"]


def test_arrow(url):
    data = curl(f"{url}/v1/embeddings", *JSON, "-H", "Accept: application/vnd.apache.arrow.stream",
                "-d", json.dumps({"input": TEXTS}))
    table = pyarrow.ipc.open_stream(data).read_all()
    table.validate(full=True)
    assert table.num_rows == len(TEXTS)
    vectors = [
        column for column in table.columns
        if pyarrow.types.is_fixed_size_list(column.type) or pyarrow.types.is_list(column.type)
    ]
    assert len(vectors) == 1 and vectors[0].type.value_type == pyarrow.float32() and vectors[0].null_count == 0
    assert_same(vectors[0].to_pylist(), direct(url, TEXTS))


# NDJSON ------------------------------------------------------------------------------------------

NDJSON = ("-H", "Content-Type: application/x-ndjson")


def lines(items):
    return "".join(json.dumps(item) + "\n" for item in items).encode()


def parsed(output):
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("way", [["--data-binary", "@-"], ["-X", "POST", "-T", "-"]], ids=["whole", "chunked"])
def test_ndjson_piped(url, way):
    items = [{"id": f"row-{i}", "text": text} for i, text in enumerate(TEXTS)]
    found = parsed(curl(f"{url}/v1/embeddings", *NDJSON, *way, stdin=lines(items)))
    assert [item["id"] for item in found] == [item["id"] for item in items]
    assert all(item["tokens"] > 0 and item["truncated"] is False for item in found)
    assert_same([item["embedding"] for item in found], direct(url, TEXTS))


def test_ndjson_without_ids_and_without_a_last_newline(url):
    data = lines({"text": text} for text in TEXTS).rstrip(b"\n")
    found = parsed(curl(f"{url}/v1/embeddings", *NDJSON, "--data-binary", "@-", stdin=data))
    assert_same([item["embedding"] for item in found], direct(url, TEXTS))


def test_a_bad_line_fails_alone(url):
    data = b"\n".join([
        b'{"id": 1, "text": "good"}', b'{"id": 2}', b"not json", b'{"id": 4, "text": 5}', b'{"id": 5, "text": "good"}', b"",
    ])
    found = parsed(curl(f"{url}/v1/embeddings", *NDJSON, "--data-binary", "@-", stdin=data))
    assert len(found) == 5
    good = direct(url, ["good"])
    assert_same(found[0]["embedding"], good)
    assert_same(found[4]["embedding"], good)
    assert found[0]["id"] == 1 and found[4]["id"] == 5
    for item in found[1:4]:
        assert item["error"]["message"] and item["error"]["kind"] and "embedding" not in item


def test_many_lines_in_order(url):
    items = [{"id": i, "text": f"line {i} " + "word " * (i % 50)} for i in range(1500)]
    found = parsed(curl(f"{url}/v1/embeddings", *NDJSON, "-X", "POST", "-T", "-", stdin=lines(items)))
    assert [item["id"] for item in found] == list(range(1500))
    assert_sound([item["embedding"] for item in found], 1500, 384)
    picked = [0, 777, 1499]
    assert_same([found[i]["embedding"] for i in picked], direct(url, [items[i]["text"] for i in picked]))


def test_answers_come_while_the_upload_goes_on(url):
    """`-T .` reads stdin without blocking: each line is answered before the next is written.

    No --max-time here: curl 7.88 does not wake up for stdin again when `-T .` and that meet.
    """
    process = subprocess.Popen(
        ["curl", "-sSN", "--noproxy", "*", *NDJSON, "-X", "POST", "-T", ".", f"{url}/v1/embeddings"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
    )
    try:
        for i, text in enumerate(TEXTS[:4]):
            process.stdin.write(lines([{"id": i, "text": text}]))
            got, until = b"", time.monotonic() + 20
            while not got.endswith(b"\n"):
                ready, _, _ = select.select([process.stdout], [], [], max(0, until - time.monotonic()))
                assert ready, f"no answer to line {i} while the upload is open"
                chunk = os.read(process.stdout.fileno(), 1 << 16)
                assert chunk, "the answer ended early"
                got += chunk
            assert_same(json.loads(got)["embedding"], direct(url, [text]))
        process.stdin.close()
        assert process.wait(20) == 0
        assert process.stdout.read() == b""
    finally:
        process.kill()
        process.wait()


def test_a_body_over_the_limit_names_the_flag(binary):
    """--max-body-mb bounds JSON; a stream of lines has no bound."""
    with Server(binary, "--max-body-mb", 1) as small:
        big = json.dumps({"input": ["word " * 100] * 3000, "truncate": True}).encode()
        assert len(big) > 1 << 20
        answer = curl(f"{small.url}/v1/embeddings", *JSON, "--data-binary", "@-", stdin=big, check=False)
        assert "--max-body-mb" in json.loads(answer)["error"]["message"]
        items = [{"id": i, "text": "word", "padding": "p" * 40_000} for i in range(40)]
        found = parsed(curl(f"{small.url}/v1/embeddings", *NDJSON, "--data-binary", "@-", stdin=lines(items)))
        assert [item["id"] for item in found] == list(range(40))


# Where it listens, and who may ask ---------------------------------------------------------------


def test_unix_socket(binary, url, tmp_path):
    path = tmp_path / "connote.sock"
    with Server(binary, "--unix-socket", path, port=False) as server:
        until = time.monotonic() + 10
        while not path.exists() and time.monotonic() < until:
            time.sleep(0.02)
        found = json.loads(curl("--unix-socket", path, "http://localhost/v1/embeddings", *JSON, "-d", json.dumps({"input": TEXTS})))
        assert_same([item["embedding"] for item in found["data"]], direct(url, TEXTS))
        assert json.loads(curl("--unix-socket", path, "http://localhost/health"))["status"] == "ok"
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(path))
            raw.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            assert raw.recv(64).startswith(b"HTTP/1.")
        assert server.stop() == 0
    assert not path.exists(), "the socket's file is left behind"


def test_keys(key_server):
    url = key_server.url
    body = ("-d", '{"input": "a"}')
    assert status(f"{url}/v1/embeddings", *JSON, *body) == 401
    assert status(f"{url}/v1/embeddings", *JSON, *body, "-H", "Authorization: Bearer sk-wrong") == 401
    assert status(f"{url}/v1/embeddings", *JSON, *body, "-H", "Authorization: Bearer ") == 401
    for key in ("Authorization: Bearer sk-first-key", "Authorization: Bearer sk-second-key", "X-Api-Key: sk-first-key"):
        found = json.loads(curl(f"{url}/v1/embeddings", *JSON, *body, "-H", key))
        assert_sound([found["data"][0]["embedding"]], 1, 384)
    for path, data in (("/embed", '{"inputs":"a"}'), ("/api/embed", '{"input":"a"}'), ("/embedding", '{"content":"a"}'),
                       ("/tokenize", '{"inputs":"a"}'), ("/", '{"inputs":"a"}')):
        assert status(f"{url}{path}", *JSON, "-d", data) == 401
    for path in ("/health", "/health/live", "/health/ready", "/"):
        assert status(f"{url}{path}") == 200
    for path in ("/metrics", "/v1/models", "/info", "/api/tags", "/props"):
        assert status(f"{url}{path}") == 401
    answer = json.loads(curl(f"{url}/v1/embeddings", *JSON, *body, check=False))
    assert answer["error"]["message"]
    assert b"sk-first-key" not in key_server.output(), "a key is in the log"


def test_cors(binary):
    with Server(binary, "--cors", "https://app.example") as server:
        seen = curl("-i", "-X", "OPTIONS", f"{server.url}/v1/embeddings", "-H", "Origin: https://app.example",
                    "-H", "Access-Control-Request-Method: POST", "-H", "Access-Control-Request-Headers: authorization,content-type")
        assert b"access-control-allow-origin: https://app.example" in seen.lower()
        other = curl("-i", f"{server.url}/health", "-H", "Origin: https://other.example")
        assert b"access-control-allow-origin: https://other.example" not in other.lower()


def test_several_models_by_alias(binary, url):
    with Server(binary, "--model", "one=all-MiniLM-L6-v2-Q8_0", "--model", "two=all-MiniLM-L6-v2-Q8_0") as server:
        ids = [m["id"] for m in json.loads(curl(f"{server.url}/v1/models"))["data"]]
        assert set(ids) >= {"one", "two"}
        for name in ("one", "two"):
            found = json.loads(curl(f"{server.url}/v1/embeddings", "-d", json.dumps({"input": TEXTS, "model": name})))
            assert_same([item["embedding"] for item in found["data"]], direct(url, TEXTS))
        assert status(f"{server.url}/v1/embeddings", "-d", '{"input":"a","model":"three"}') == 404
        assert status(f"{server.url}/v1/embeddings", "-d", '{"input":"a"}') == 200
