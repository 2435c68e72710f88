#!/usr/bin/env python3
"""Loads tiny models in llama.cpp and says how far its vectors, scores and ids are from the authors'.

    shared/tools/peers.sh ~/.cache/embed-peers llama          # builds it, once
    ~/.cache/connote-oracle-venv/bin/python scripts/oracle/llama_cpp.py [NAME ...]              # testdata/architectures, as they are
    ... scripts/oracle/llama_cpp.py --converted target/release/connote [--type F32] [NAME ...]  # testdata/folders and rerankers/folders, converted

Vectors and scores are of the authors' ids, so that a difference of tokenizers is counted apart. A table in Markdown. Of converted
folders it fails where one loads or not against what `connote convert` said.
"""
import argparse
import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import numpy

TESTDATA = pathlib.Path(__file__).parent.parent.parent / "testdata"
FOLDER = TESTDATA / "architectures"
RERANKERS = TESTDATA / "rerankers"
SERVER = pathlib.Path("~/.cache/embed-peers/llama/bin/llama-server").expanduser()
BEYOND = "llama.cpp does not load the file"


def post(port, path, content):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(content).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def serving(server, file, options=()):
    """The port of a server with the file, `None` where it does not load."""
    port = free_port()
    log = open(f"/tmp/llama-{pathlib.Path(file).stem}.log", "wb")
    command = [server, "-m", file, "--embedding", "-c", "1280", "-b", "1280", "-ub", "1280", "-np", "1", "-t", "2", "--port", str(port), *options]
    with subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            for _ in range(300):
                if process.poll() is not None:
                    port = None
                    break
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                    break
                except OSError:
                    time.sleep(0.1)
            yield port
        finally:
            process.terminate()


def tokens(port, text, special):
    return post(port, "/tokenize", {"content": text, "add_special": special, "parse_special": special})["tokens"]


def vectors(server, file, about, reference):
    """Cosines to the authors', and how many texts have their ids."""
    texts = about["texts"]
    wanted = numpy.fromfile(reference, "<f4")[: len(texts) * about["dim"]].reshape(len(texts), -1)
    options = ["--lora", FOLDER / about["adapter"]] if "adapter" in about else []
    with serving(server, file, options) as port:
        if port is None:
            return None
        got = [post(port, "/v1/embeddings", {"input": [text["ids"]]})["data"][0]["embedding"] for text in texts]
        ids = [tokens(port, about.get("prefix", "") + text["text"], True) for text in texts]
    cosines = (numpy.array(got) * wanted).sum(1) / numpy.linalg.norm(got, axis=1)
    return cosines, sum(a == text["ids"] for a, text in zip(ids, texts))


def outputs(server, file, pairs):
    """How far a head's outputs are from the authors', and of how many pairs the texts have their ids."""
    differences, same = [], 0
    with serving(server, file, ["--pooling", "rank"]) as port:
        if port is None:
            return None
        for pair in pairs:
            # /rerank takes texts alone. Here a row as wide as the model is given, of which the head's outputs are the first.
            got = post(port, "/embeddings", {"input": pair["ids"], "embd_normalize": -1})[0]["embedding"][0]
            differences += [abs(a - b) for a, b in zip(got, pair["outputs"])]
            query, document = (tokens(port, pair[text], False) for text in ("query", "document"))
            parts = "".join(f" {i}" for i in pair["ids"]) + " "
            query, document = ("".join(f" {i}" for i in ids) + " " for ids in (query, document))
            same += query in parts and document in parts[parts.index(query) + len(query) - 1 :]
    return numpy.array(differences), same


def as_they_are(server, names):
    print("| file | mean cosine | least | ids equal of 30 |\n|---|---|---|---|")
    for name in names or sorted(path.stem for path in FOLDER.glob("*.json")):
        about = json.loads((FOLDER / f"{name}.json").read_text())
        found = vectors(server, FOLDER / about["file"], about, FOLDER / f"{name}.bin")
        if found is None:
            print(f"| `{name}` | does not load | | |", flush=True)
        else:
            cosines, same = found
            print(f"| `{name}` | {cosines.mean():.6f} | {cosines.min():.6f} | {same} |", flush=True)


def converted(server, names, connote, file_type):
    against = 0
    print("| folder | heads' outputs off by | mean cosine | least | ids equal |\n|---|---|---|---|---|")
    folders = sorted((TESTDATA / "folders").iterdir()) + sorted((RERANKERS / "folders").iterdir())
    for folder in folders:
        # Behind a dot, in whose names.
        name, ranks = folder.name.split(".")[0], folder.parent.parent == RERANKERS
        if names and folder.name not in names:
            continue
        with tempfile.TemporaryDirectory() as place:
            file = pathlib.Path(place) / f"{'rerankers-' if ranks else ''}{folder.name}.gguf"
            # A judge is known by its name.
            command = [connote, "convert", folder, file, "--type", file_type, "--name", f"tiny {folder.name}", "--json"]
            made = json.loads(subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout)
            beyond = any(note.startswith(BEYOND) for note in made["notes"])
            if ranks:
                about = json.loads((RERANKERS / f"{name}.json").read_text())
                found = outputs(server, file, about["pairs"])
            else:
                about = json.loads((FOLDER / f"{name}.json").read_text())
                found = vectors(server, file, about, FOLDER / f"{name}.bin")
        against += (found is None) != beyond
        if found is None:
            told = "does not load" + (", as `connote convert` says" if beyond else "") + " | | | "
        elif ranks:
            told = f"{found[0].max():.6f} | | | {found[1]} of {len(about['pairs'])}"
        else:
            told = f" | {found[0].mean():.6f} | {found[0].min():.6f} | {found[1]} of {len(about['texts'])}"
        if found is not None and beyond:
            told += ", though `connote convert` says that it does not load"
        print(f"| `{folder.name}` | {told} |", flush=True)
    return against


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--server", type=pathlib.Path, default=SERVER)
    parser.add_argument("--converted", type=pathlib.Path, metavar="CONNOTE")
    parser.add_argument("--type", default="F32")
    options = parser.parse_args()
    if options.converted:
        sys.exit(1 if converted(options.server, options.names, options.converted, options.type) else 0)
    as_they_are(options.server, options.names)


if __name__ == "__main__":
    main()
