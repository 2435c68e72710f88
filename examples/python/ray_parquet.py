"""Embeds a Parquet data set with Ray Data on a cluster of two nodes, here two raylets on this machine.

    python ray_parquet.py IN_FOLDER OUT_FOLDER [COLUMN] [MODEL]

On a cluster of your own, `ray.init(address="auto")` takes the place of the first four lines of `main`. Each node declares two CPUs,
so that reading has a place beside the actor. A worker that dies is started again, and its batch is computed again, to the same
bits.
"""

import sys

import ray
from connote.integrations import ray_embed
from ray.cluster_utils import Cluster


def main(source: str, out: str, column: str = "text", model: str | None = None) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    cluster.add_node(num_cpus=2)
    ray.init(address=cluster.address)
    ray.data.DataContext.get_current().enable_progress_bars = False

    data = ray.data.read_parquet(source)
    # An actor a node, a thread an actor; both map one copy of the weights.
    data = ray_embed(data, model, column, actors=2, num_cpus=1, batch_size=512)
    data.write_parquet(out)

    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
