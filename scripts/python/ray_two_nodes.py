#!/usr/bin/env python3
"""Ray Data on two nodes of this machine beside one process:  ray_two_nodes.py ROWS [--model PATH] [--words N] [--kill] [--at-least X]

Prints rows a second of one process with two threads and of two actors with a thread each, both without their start-up, and
compares every bit. With `--kill` an actor is killed in the middle of the job, where the actors wait for it. Without a model, that
of connote-minilm. `--at-least 0.9` fails where the actors have less of one process's throughput.
"""

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
WORDS = "garlic autumn train noon Basel cat winter soil frost city river market bread stone letter".split()


def texts(begin, end, words):
    rows = np.random.default_rng(begin)
    return [f"row {row} " + " ".join(rows.choice(WORDS, words)) for row in range(begin, end)]


def batches(folder):
    """Begin, end, rows and process of each batch that was done."""
    for file in (Path(folder) / "times").iterdir():
        for line in file.read_text().split("\n")[:-1]:  # the last line has no end yet, or is empty
            begin, end, rows = line.split()
            yield float(begin), float(end), int(rows), int(file.name)


def recorded():
    """A class that Ray pickles by value."""
    from connote.integrations import ArrowEmbedder

    class Recorded(ArrowEmbedder):
        """Says when its process was ready, and when each batch was done."""

        def __init__(self, folder, wait_at, **options):
            super().__init__(**options)
            self.folder, self.wait_at = Path(folder), wait_at
            import warnings

            warnings.simplefilter("ignore")
            self.embedder.embed(["warm"] * 32)
            self.times = self.folder / "times" / str(os.getpid())

        def __call__(self, batch):
            begin = time.time()
            result = super().__call__(batch)
            with self.times.open("a") as file:
                file.write(f"{begin} {time.time()} {batch.num_rows}\n")
            # However fast the machine is, the job is not over before somebody was killed.
            late = time.monotonic() + 120
            while self.wait_at is not None and not (self.folder / "killed").exists():
                if sum(rows for _, _, rows, _ in batches(self.folder)) < self.wait_at:
                    break
                assert time.monotonic() < late, "nobody was killed"
                time.sleep(0.05)
            return result

    return Recorded


def main(model, rows, words, kill, at_least):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        share = compare(Path(folder), model, rows, words, kill)
    if share < at_least:
        sys.exit(f"less than {at_least} of one process")


def compare(folder, model, rows, words, kill):
    """The actors' throughput as a share of one process's."""
    import connote
    import ray
    from ray.cluster_utils import Cluster

    (folder / "in").mkdir()
    (folder / "times").mkdir()
    step = max(1, rows // 20)
    for begin in range(0, rows, step):
        own = texts(begin, min(begin + step, rows), words)
        pq.write_table(pa.table({"id": range(begin, begin + len(own)), "text": own}), folder / "in" / f"{begin:09}.parquet")

    alone = connote.Embedder(model, threads=2)
    alone.embed(["warm"] * 32)
    table = pq.read_table(folder / "in").sort_by("id")
    begin = time.time()
    expected = alone.embed(table.column("text"))
    one = rows / (time.time() - begin)
    print(f"one process, 2 threads: {rows} rows in {rows / one:.1f} s, {one:.1f} a second", flush=True)
    del alone

    # By default Ray takes a third of the machine's memory for each node.
    store = 200 << 20
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": store, "include_dashboard": False})
    try:
        killed = run(ray, cluster, store, folder, model, rows, kill)
    finally:
        ray.shutdown()
        cluster.shutdown()

    spans = list(batches(folder))
    seconds = max(end for _, end, _, _ in spans) - min(begin for begin, _, _, _ in spans)
    actors = len({process for _, _, _, process in spans})
    print(f"Ray, {actors} actors x 1 thread: {seconds:.1f} s, {rows / seconds:.1f} a second, {rows / seconds / one:.3f} of one process")
    if kill:
        assert killed, "the job was over before an actor could be killed"
        print(f"process {killed[0]} was killed in the middle")
    else:  # an actor that died would count twice
        busy = sum(end - begin for begin, end, _, _ in spans) / seconds / actors
        print(f"their share of that time inside calls: {busy:.3f}")
    found = pq.read_table(folder / "out").sort_by("id")
    assert found.column("id").to_pylist() == list(range(rows)), "rows are missing or there twice"
    flat = found.column("embedding").combine_chunks().flatten().to_numpy()
    assert flat.tobytes() == expected.tobytes(), "other bits"
    print("every row once, and the same bits")
    return rows / seconds / one


def run(ray, cluster, store, folder, model, rows, kill):
    """Embeds all, and says whom it killed."""
    cluster.add_node(num_cpus=2, object_store_memory=store)
    ray.init(address=cluster.address, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    size = min(1024, max(32, rows // 40))
    # Ray reads little data as one block, which one actor would get.
    data = ray.data.read_parquet(str(folder / "in")).repartition(target_num_rows_per_block=size).map_batches(
        recorded(),
        fn_constructor_args=(str(folder), rows / 2 if kill else None),
        fn_constructor_kwargs={"path": model, "share_weights": True},
        batch_format="pyarrow",
        batch_size=size,
        compute=ray.data.ActorPoolStrategy(size=2),
        num_cpus=1,
    )
    killed: list[int] = []

    def killer():
        while not killed:
            time.sleep(0.1)
            done = list(batches(folder))
            if sum(count for _, _, count, _ in done) >= rows / 2:
                killed.append(done[-1][3])
                os.kill(killed[0], signal.SIGKILL)
                (folder / "killed").touch()

    if kill:
        threading.Thread(target=killer, daemon=True).start()
    data.write_parquet(str(folder / "out"))
    return killed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=int)
    parser.add_argument("--model")
    parser.add_argument("--words", type=int, default=8, help="words of a text beside its number (8)")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--at-least", type=float, default=0.0)
    given = parser.parse_args()
    main(given.model, given.rows, given.words, given.kill, given.at_least)
