#!/usr/bin/env python3
"""Two processes that embed at once, beside one alone: how much both together do of what one does.

    scripts/two_processes.py [--connote target/release/connote] [--model MODEL] [--texts 3000] [--rounds 5]

Each round runs one process alone over the texts and then two at once, each over all of them; the ratio is
2 x (time alone) / (time until both are done). Loading the model counts in both.
"""
import argparse, json, statistics, subprocess, tempfile, time

parser = argparse.ArgumentParser()
parser.add_argument("--connote", default="target/release/connote")
parser.add_argument("--model", default=None)
parser.add_argument("--texts", type=int, default=3000)
parser.add_argument("--rounds", type=int, default=5)
args = parser.parse_args()

words = "machine learning is a subset of artificial intelligence and the cat sat on a mat while it rained".split()
with tempfile.NamedTemporaryFile("w", suffix=".txt") as lines:
    for text in range(args.texts):
        lines.write(f"{text} " + " ".join(words[(text + at) % len(words)] for at in range(5 + text % 40)) + "\n")
    lines.flush()
    command = [args.connote, "embed", "--quiet", "--input", lines.name]
    command += ["--model", args.model] if args.model else []

    def run(count):
        begin = time.monotonic()
        processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(count)]
        assert all(process.wait() == 0 for process in processes), "a process failed"
        return time.monotonic() - begin

    run(1)
    ratios = []
    for _ in range(args.rounds):
        alone, both = run(1), run(2)
        ratios.append(2 * alone / both)
        print(f"alone {alone:.2f} s, two at once {both:.2f} s: {ratios[-1]:.3f}", flush=True)
print(json.dumps({"median": round(statistics.median(ratios), 3), "least": round(min(ratios), 3), "rounds": args.rounds}))
