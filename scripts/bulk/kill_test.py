#!/usr/bin/env python3
"""Bulk work that is killed at moments of chance ends as if nothing had been.

    scripts/bulk/kill_test.py [--connote PATH] [--rows 200000] [--kills 10] [--format parquet] [--seed N]

Embeds ROWS short texts with the built-in model once undisturbed and once killed with SIGKILL KILLS times, each time at a
random moment of the work that is left, and compares the outputs byte for byte. Then compares the memory (the most resident
bytes, as the system counts them) with that of a run of 2,000 rows. Exit code 1 if anything differs, or memory grew by more
than 100 MB. Only the standard library is needed.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

WORDS = "red green blue cat dog house tree river stone light dark small large old new fast slow warm cold bright".split()


# Rows a part, unless it is told otherwise.
PART_ROWS = 8192


def write_texts(path, rows):
    words = random.Random(7)
    with open(path, "w") as file:
        for row in range(rows):
            file.write(f"{row} {' '.join(words.choice(WORDS) for _ in range(words.randint(2, 5)))}\n")


def start(connote, texts, output):
    command = [connote, "embed", "--quiet", "--input", texts, "--output", output]
    environment = {name: value for name, value in os.environ.items() if name != "CONNOTE_MODEL"}
    return subprocess.Popen(command, env=environment)


def finish(process):
    """Waits for its end: the exit code and the most resident bytes."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss * 1024


def undisturbed(connote, texts, output):
    begin = time.monotonic()
    code, memory = finish(start(connote, texts, output))
    if code != 0:
        sys.exit(f"the undisturbed run ended with exit code {code}")
    return time.monotonic() - begin, memory


def parts_done(folder):
    try:
        return len(json.loads((folder / "manifest.json").read_text())["parts"])
    except FileNotFoundError:
        return 0


def killed(connote, texts, output, rows, kills, seconds, moments):
    """Kills it so often, and lets it end; the parts that were done at each kill, and the most memory."""
    folder = pathlib.Path(f"{output}.parts")
    done, memory = [], 0
    while len(done) < kills:
        # Chance decides when, within what is left, so that something is left for the kills that are to come.
        left = seconds * max(0, rows - parts_done(folder) * PART_ROWS) / rows
        process = start(connote, texts, output)
        wait = moments.uniform(0, min(0.7, 2 / (kills - len(done) + 1)) * left)
        try:
            process.wait(wait)
            sys.exit(f"it ended by itself (exit code {process.returncode}) after {len(done)} kills: try another --seed")
        except subprocess.TimeoutExpired:
            process.kill()
        _, resident = finish(process)
        memory = max(memory, resident)
        done.append(parts_done(folder))
    code, resident = finish(start(connote, texts, output))
    if code != 0:
        sys.exit(f"the last run ended with exit code {code}")
    if folder.exists():
        sys.exit(f"{folder} is still there")
    return done, max(memory, resident)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connote", default="target/release/connote")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--format", default="parquet")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    connote = os.path.abspath(options.connote)
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        few, many = str(folder / "few.txt"), str(folder / "many.txt")
        write_texts(few, 2_000)
        write_texts(many, options.rows)
        _, little = undisturbed(connote, few, str(folder / f"few.{options.format}"))
        whole, pieces = (str(folder / f"{name}.{options.format}") for name in ("whole", "killed"))
        seconds, much = undisturbed(connote, many, whole)
        print(f"undisturbed: {options.rows} rows in {seconds:.1f} s, {os.path.getsize(whole)} bytes", flush=True)
        print(f"memory: {little / 1e6:.0f} MB for 2000 rows, {much / 1e6:.0f} MB for {options.rows}", flush=True)
        done, most = killed(connote, many, pieces, options.rows, options.kills, seconds, random.Random(options.seed))
        print(f"parts done at each of {options.kills} kills: {done}; memory at most {most / 1e6:.0f} MB", flush=True)
        same = digest(whole) == digest(pieces)
        print("the outputs are the same, byte for byte" if same else "THE OUTPUTS DIFFER")
        flat = max(much, most) - little <= 100e6
        print("memory stayed within 100 MB" if flat else "MEMORY GREW")
        sys.exit(0 if same and flat else 1)


if __name__ == "__main__":
    main()
