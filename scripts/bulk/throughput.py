#!/usr/bin/env python3
"""Tokens a second of `connote embed` from Parquet to Parquet, beside the engine's own benchmark in the same minutes.

    scripts/bulk/throughput.py [--connote PATH] [--model embeddinggemma-300m-Q8_0.gguf] [--rows 1920] [--rounds 5]

The texts are those of the benchmark's workload `batch96_long`, ROWS of them. Bulk and benchmark take turns; the figure is the
median over the rounds of bulk divided by the mean of the benchmarks before and after it. Exit code 1 if it is below 0.95.
Only the standard library is needed, and a machine that does nothing else.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

LONG = (
    "Machine learning is a field of study concerned with algorithms that improve from data. It includes supervised methods, "
    "where examples carry labels, and unsupervised methods, which look for structure without them. Deep networks learn "
    "layered representations of text, images and sound from raw input."
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connote", default="target/release/connote")
    parser.add_argument("--model", default="embeddinggemma-300m-Q8_0.gguf")
    parser.add_argument("--rows", type=int, default=1920)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    connote = os.path.abspath(options.connote)

    def run(*arguments):
        done = subprocess.run([connote, *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{arguments}: {done.stderr}")
        return done

    def engine():
        report = json.loads(run("bench", "model", "--model", options.model, "--json", "--quick").stdout)
        [workload] = [each for each in report["workloads"] if each["workload"] == "batch96_long"]
        return workload["tokens_a_second"]["median"]

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        lines, rows, vectors = (str(folder / name) for name in ("rows.jsonl", "rows.parquet", "vectors.parquet"))
        with open(lines, "w") as file:
            file.writelines(json.dumps({"text": f"{row} {LONG}"}) + "\n" for row in range(options.rows))
        run("embed", "--input", lines, "--text-column", "text", "--keep", "text", "--output", rows)
        ratios, before = [], engine()
        for _ in range(options.rounds):
            told = run("embed", "--input", rows, "--text-column", "text", "--model", options.model,
                       "--output", vectors, "--progress", "json").stderr
            bulk = [json.loads(line) for line in told.splitlines() if line.startswith("{")][-1]["tokens_per_second"]
            after = engine()
            ratios.append(bulk / ((before + after) / 2))
            print(f"bulk {bulk:.0f} tokens/s, engine {before:.0f} and {after:.0f}: {ratios[-1]:.3f}", flush=True)
            before = after
    ratio = statistics.median(ratios)
    print(f"bulk reaches {ratio:.3f} of the engine's own speed")
    sys.exit(0 if ratio >= 0.95 else 1)


if __name__ == "__main__":
    main()
