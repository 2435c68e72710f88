#!/usr/bin/env python3
"""Loads tiny models in llama.cpp and says how far its vectors, scores and ids are from the authors'.

    shared/tools/peers.sh ~/.cache/embed-peers llama          # builds it, once
    P=~/.cache/connote-oracle-venv/bin/python
    $P scripts/oracle/llama_cpp.py [--server SERVER] [NAME ...]          # the files of testdata/architectures and testdata/rerankers
    $P scripts/oracle/llama_cpp.py --converted CONNOTE [--type F32] ...  # the folders there, as CONNOTE, the program, converts them

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
import urllib.error
import urllib.request

import numpy

TESTDATA = pathlib.Path(__file__).parent.parent.parent / "testdata"
FOLDER = TESTDATA / "architectures"
RERANKERS = TESTDATA / "rerankers"
SERVER = pathlib.Path("~/.cache/embed-peers/llama/bin/llama-server").expanduser()
BEYOND = "llama.cpp does not load the file"


def post(port, path, content):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(content).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{path}: {error.read().decode()}") from error


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def serving(server, file, options=()):
    """The port of a server with the file, `None` where it does not load."""
    port = free_port()
    log = open(f"/tmp/llama-{pathlib.Path(file).stem}.log", "wb")
    command = [server, "-m", file, "--embedding", "-c", "1280", "-b", "1280", "-ub", "1280", "-np", "1", "-t", "1", "--port", str(port), *options]
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


def vectors(server, file, about):
    """Cosines to the authors', and how many texts have their ids."""
    texts = about["texts"]
    # An adapter's numbers lie beside its own file.
    reference = FOLDER / about.get("adapter", about["file"])
    wanted = numpy.fromfile(reference.with_suffix(".bin"), "<f4")[: len(texts) * about["dim"]].reshape(len(texts), -1)
    options = ["--lora", FOLDER / about["adapter"]] if "adapter" in about else []
    with serving(server, file, options) as port:
        if port is None:
            return None
        got = [post(port, "/v1/embeddings", {"input": [text["ids"]]})["data"][0]["embedding"] for text in texts]
        ids = [tokens(port, about.get("prefix", "") + text["text"], True) for text in texts]
    cosines = (numpy.array(got) * wanted).sum(1) / numpy.linalg.norm(got, axis=1)
    return cosines, sum(a == text["ids"] for a, text in zip(ids, texts))


def outputs(server, file, about):
    """How far a head's outputs are from the authors', and of how many pairs the texts have their ids."""
    differences, same = [], 0
    # The server has no room for what fills the context.
    about["pairs"] = [pair for pair in about["pairs"] if not pair["truncated"]]
    with serving(server, file, ["--pooling", "rank"]) as port:
        if port is None:
            return None
        for pair in about["pairs"]:
            # /rerank takes texts alone. Here a row as wide as the model is given, of which the head's outputs are the first.
            got = post(port, "/embeddings", {"input": pair["ids"], "embd_normalize": -1})[0]["embedding"][0]
            wanted = numpy.array(pair["outputs"])
            if about["architecture"] == "qwen3":
                # Shares of them, there.
                wanted = numpy.exp(wanted) / numpy.exp(wanted).sum()
            differences += [abs(a - b) for a, b in zip(got, wanted)]
            if about["architecture"].startswith("qwen"):
                # Their pairs are one text.
                continue
            query, document = (tokens(port, pair[text], False) for text in ("query", "document"))
            places = [at for at in range(len(pair["ids"])) if pair["ids"][at : at + len(query)] == query]
            rest = pair["ids"][places[0] + len(query) :] if places else []
            same += any(rest[at : at + len(document)] == document for at in range(len(rest)))
    return numpy.array(differences), None if about["architecture"].startswith("qwen") else same


def row(name, found, about, note=""):
    """Of vectors their cosines, of heads' outputs how far they are off."""
    count = len(about.get("texts") or about["pairs"])
    if found is None:
        cells = ["does not load" + note, "", "", ""]
    elif "texts" in about:
        cells = [f"{found[0].mean():.6f}", f"{found[0].min():.6f}", "", f"{found[1]} of {count}"]
    else:
        cells = ["", "", f"{found[0].max():.6f}", "" if found[1] is None else f"{found[1]} of {count}"]
    print("| " + " | ".join([f"`{name}`", *cells]) + " |", flush=True)


def as_they_are(server, names):
    for folder, compare in ((FOLDER, vectors), (RERANKERS, outputs)):
        for path in sorted(folder.glob("*.json")):
            if not names or path.stem in names:
                about = json.loads(path.read_text())
                file = folder / about.get("file", f"{path.stem}.gguf")
                row(path.stem, compare(server, file, about), about)


def converted(server, names, connote, file_type):
    against = 0
    for folder in sorted((TESTDATA / "folders").iterdir()) + sorted((RERANKERS / "folders").iterdir()):
        if names and folder.name not in names:
            continue
        of, compare = (RERANKERS, outputs) if folder.parent.parent == RERANKERS else (FOLDER, vectors)
        # Behind a dot, in whose names.
        about = json.loads((of / f"{folder.name.split('.')[0]}.json").read_text())
        with tempfile.TemporaryDirectory() as place:
            file = pathlib.Path(place) / f"{folder.name}.gguf"
            # A judge is known by its name.
            command = [connote, "convert", folder, file, "--type", file_type, "--name", f"tiny {folder.name}", "--json"]
            made = json.loads(subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout)
            beyond = any(note.startswith(BEYOND) for note in made["notes"])
            found = compare(server, file, about)
        row(folder.name, found, about, ", as said" if beyond else "")
        if (found is None) != beyond:
            print(f"{folder.name}: `connote convert` says otherwise: {made['notes']}", file=sys.stderr)
            against += 1
    return against


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--server", type=pathlib.Path, default=SERVER)
    parser.add_argument("--converted", type=pathlib.Path, metavar="CONNOTE")
    parser.add_argument("--type", default="F32")
    options = parser.parse_args()
    print("| file | mean cosine | least | outputs off by | ids equal |\n|---|---|---|---|---|")
    if options.converted:
        sys.exit(1 if converted(options.server, options.names, options.converted, options.type) else 0)
    as_they_are(options.server, options.names)


if __name__ == "__main__":
    main()
