"""Embeds a Parquet data set with Spark, here on this machine's cores.

    python spark_parquet.py IN_FOLDER OUT_FOLDER [COLUMN] [MODEL]

A task has `spark.task.cpus` threads, and tasks that run side by side map one copy of the weights.
"""

import os
import sys

from connote.integrations import spark_embed
from pyspark.sql import SparkSession


def main(source: str, out: str, column: str = "text", model: str | None = None) -> None:
    # Workers run this Python, which has connote.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    frame = spark.read.parquet(source)
    spark_embed(frame, model, column).write.parquet(out)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
