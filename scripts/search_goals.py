#!/usr/bin/env python3
"""Whether search is as exact and as fast as is promised, on this machine.

    scripts/search_goals.py [--connote PATH]                         # 100,000 random vectors of 768 values
    scripts/search_goals.py [--connote PATH] --index COLLECTION      # and what coarse scans miss in this one

The exact 10 best of 100,000 vectors of 768 values in f32 may take 1.5 times as long as memory takes to give the same bytes,
measured in the same run. With a collection of at least 60,000 real texts (docs/SEARCH.md makes one of Debian's package
descriptions) a scan of int8 with rescoring must find 99 in 100 of the exact 10 best. Exit code 1 if either does not hold. The
machine must have nothing else to do. Only the standard library is needed.
"""

import argparse
import json
import subprocess
import sys

TIMES_MEMORY = 1.5
RECALL = 0.99
TEXTS = 60_000


def measured(connote, *arguments):
    done = subprocess.run([connote, "bench", "search", "--json", *arguments], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def goal(holds, what):
    print("held  " if holds else "MISSED", what)
    return holds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connote", default="target/release/connote")
    parser.add_argument("--index", help="a collection of real texts in f32 and int8")
    options = parser.parse_args()
    held = []
    report = measured(options.connote)
    exact = next(search for search in report["searches"] if search["precision"] == "f32")
    held.append(goal(
        exact["times_memory"] <= TIMES_MEMORY,
        f"exact f32 over {report['rows']} x {report['dimensions']}: {exact['milliseconds']['best']:.2f} ms, "
        f"{exact['times_memory']:.2f} times memory (at most {TIMES_MEMORY}), level {report['level']}",
    ))
    if options.index:
        report = measured(options.connote, "--index", options.index, "--queries", "1000")
        held.append(goal(report["rows"] >= TEXTS, f"{report['rows']} texts (at least {TEXTS})"))
        rescored = [one for one in report["searches"] if one["precision"] == "int8" and one["rescore"] > 0]
        if not rescored:
            sys.exit("the collection must have f32 and int8: build it with --precision f32,int8")
        recall = rescored[0]["recall_at_10"]
        held.append(goal(recall >= RECALL, f"int8 with rescoring: recall@10 {recall:.4f} (at least {RECALL})"))
    sys.exit(not all(held))


if __name__ == "__main__":
    main()
