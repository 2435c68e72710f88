"""A program whose types mypy checks; see test_types.py."""

import asyncio

import connote
from connote.sentence_transformers import SentenceTransformer


def watch(done: int, total: int) -> None:
    print(done, total)


def main() -> None:
    embedder = connote.Embedder(threads=2, parallelism="texts")
    vectors = embedder.embed(["a", "b"], task="query", output="float32", progress=watch)
    rows, dimensions = vectors.shape
    counts: list[int] = embedder.count_tokens(["a"])
    ids: list[list[int]] = embedder.tokenize(["a"], max_tokens=3)
    name: str = embedder.fingerprint(dimensions=rows + dimensions)
    likeness = float(embedder.similarity("a", "b")[0, 0])
    try:
        for result in embedder.embed_each(["a", None]):
            if isinstance(result, connote.ConnoteError):
                print(result.kind, result.index)
    except connote.TooLongError as error:
        print(error.message)
    model = SentenceTransformer("all-MiniLM-L6-v2")
    print(model.encode(["a"]), counts, ids, name, likeness)
    print(asyncio.run(embedder.aembed("a")).shape)


if __name__ == "__main__":
    main()
