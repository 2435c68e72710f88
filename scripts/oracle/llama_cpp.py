#!/usr/bin/env python3
"""Loads the files of testdata/architectures in llama.cpp and says how far its vectors and ids are from the authors'.

    shared/tools/peers.sh ~/.cache/embed-peers llama          # builds it, once
    ~/.cache/connote-oracle-venv/bin/python scripts/oracle/llama_cpp.py [SERVER] [NAME ...]

Vectors are of the authors' ids, so that a difference of tokenizers is counted apart. A table in Markdown.
"""
import json
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

import numpy

FOLDER = pathlib.Path(__file__).parent.parent.parent / "testdata/architectures"
SERVER = pathlib.Path("~/.cache/embed-peers/llama/bin/llama-server").expanduser()


def post(port, path, content):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(content).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def compare(server, name, options=()):
    about = json.loads((FOLDER / f"{name}.json").read_text())
    texts = about["texts"]
    vectors = numpy.fromfile(FOLDER / f"{name}.bin", "<f4")[: len(texts) * about["dim"]].reshape(len(texts), -1)
    port = free_port()
    log = open(f"/tmp/llama-{name}.log", "wb")
    command = [server, "-m", FOLDER / about["file"], "--embedding", "-c", "1280", "-b", "1280", "-ub", "1280", "-np", "1", "-t", "2", "--port", str(port), *options]
    if "adapter" in about:
        command += ["--lora", FOLDER / about["adapter"]]
    with subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            for _ in range(300):
                if process.poll() is not None:
                    return about, None, None
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                    break
                except OSError:
                    time.sleep(0.1)
            got = []
            for text in texts:
                got.append(post(port, "/v1/embeddings", {"input": [text["ids"]]})["data"][0]["embedding"])
            ids = [post(port, "/tokenize", {"content": about.get("prefix", "") + text["text"], "add_special": True})["tokens"] for text in texts]
        finally:
            process.terminate()
    cosines = (numpy.array(got) * vectors).sum(1) / numpy.linalg.norm(got, axis=1)
    return about, cosines, sum(a == text["ids"] for a, text in zip(ids, texts))


def main():
    names = sys.argv[1:]
    server = pathlib.Path(names.pop(0)) if names and names[0].endswith("llama-server") else SERVER
    print("| file | mean cosine | least | ids equal of 30 |\n|---|---|---|---|")
    for name in names or sorted(path.stem for path in FOLDER.glob("*.json")):
        about, cosines, same = compare(server, name)
        if cosines is None:
            print(f"| `{name}` | does not load | | |", flush=True)
        else:
            print(f"| `{name}` | {cosines.mean():.6f} | {cosines.min():.6f} | {same} |", flush=True)


if __name__ == "__main__":
    main()
