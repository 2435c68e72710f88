#!/usr/bin/env python3
"""How much of the CPUs `connote embed --cpu-percent N` takes.

    scripts/bulk/cpu_share.py [--connote PATH] [--rows 4000] [PERCENT ...]

Embeds ROWS short texts with the built-in model and divides the CPU time of the run, the opening of the model taken off, by
what the CPUs of this process would have had. On a machine that is busy with other work the share is less. Exit code 1 if a
run took more than a tenth above its share. Only the standard library is needed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile


def cpu_seconds(connote, texts, arguments):
    """CPU seconds of a run, and the seconds of the clock that it worked."""
    command = [connote, "embed", "--input", texts, "--progress", "json", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "CONNOTE_MODEL"}
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=told)
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            sys.exit(f"{command} ended with status {status}")
        told.seek(0)
        last = [json.loads(line) for line in told if line.startswith("{")][-1]
    return usage.ru_utime + usage.ru_stime, last["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connote", default="target/release/connote")
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("percent", type=int, nargs="*", default=[100, 75, 50, 25])
    options = parser.parse_args()
    cpus = len(os.sched_getaffinity(0))
    too_much = False
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as texts, tempfile.NamedTemporaryFile("w", suffix=".txt") as none:
        texts.writelines(f"{row} the quick brown fox jumps over the lazy dog\n" for row in range(options.rows))
        none.write("one\n")
        texts.flush()
        none.flush()
        opening, _ = cpu_seconds(options.connote, none.name, [])
        for percent in options.percent:
            cpu, seconds = cpu_seconds(options.connote, texts.name, ["--cpu-percent", str(percent)])
            share = 100 * (cpu - opening) / seconds / cpus
            too_much |= share > 1.1 * percent
            print(f"--cpu-percent {percent:3}: {share:5.1f} % of {cpus} CPUs for {seconds:.1f} s", flush=True)
    sys.exit(1 if too_much else 0)


if __name__ == "__main__":
    main()
