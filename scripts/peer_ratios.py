#!/usr/bin/env python3
"""connote beside llama-server, workload by workload, each server alone on the machine.

    scripts/peer_ratios.py MODEL.gguf [--rounds 3] [--reps 3] [--level avx2] [--peer DIR] [--out FILE.json]

Starts `connote serve` (a release build), and llama-server from shared/tools/peers.sh with 1 and with 16 slots, and
runs shared/tools/http_bench.py against each in turn, round after round. While one is measured the others are
stopped (SIGSTOP): llama-server's threads spin for about 0.1 s after every request, and would otherwise take half
of a small machine from whoever comes next. `--spinning` leaves them running, as a plain `http_bench.py A B` does.

Prints medians over the rounds and, for each workload, how many times faster connote is than the better peer.
"""
import argparse, json, os, pathlib, signal, statistics, subprocess, sys, time, urllib.request

here = pathlib.Path(__file__).resolve().parent.parent
ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("model")
ap.add_argument("--rounds", type=int, default=3)
ap.add_argument("--reps", type=int, default=3)
ap.add_argument("--level", help="CONNOTE_CPU for connote")
ap.add_argument("--peer", default="~/.cache/embed-peers/llama", help="a build of llama.cpp (llama, llama-avx2)")
ap.add_argument("--connote", default=str(here / "target/release/connote"))
ap.add_argument("--bench", default=str(here / "../shared/tools/http_bench.py"))
ap.add_argument("--threads", default="2")
ap.add_argument("--slots", default="1,16")
ap.add_argument("--spinning", action="store_true")
ap.add_argument("--out")
args = ap.parse_args()

peer = pathlib.Path(args.peer).expanduser() / "bin"
environment = {**os.environ, "LD_LIBRARY_PATH": str(peer)}
if args.level:
    environment["CONNOTE_CPU"] = args.level
servers = {"connote": [args.connote, "serve", "--model", args.model, "--threads", args.threads, "--port", "9010"]}
for slots in args.slots.split(","):
    servers[f"llama {slots}"] = [
        str(peer / "llama-server"), "-m", args.model, "--embedding", "--pooling", "mean", "-t", args.threads,
        "-tb", args.threads, "-b", "2048", "-ub", "2048", "-np", slots, "-c", str(2048 * int(slots)),
        "--port", str(9020 + int(slots))]


def url(name):
    return f"http://127.0.0.1:{servers[name][-1]}"


def resident(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) // 1000 for line in status if line.startswith(("VmRSS", "VmHWM"))}


# Also when it is ended from outside: a stopped server would keep its port.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
running = {}
try:
    for name, command in servers.items():
        running[name] = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(300):
            try:
                urllib.request.urlopen(url(name) + "/health", timeout=1)
                break
            except OSError:
                if running[name].poll() is not None:
                    sys.exit(f"{name} ended: {' '.join(command)}")
                time.sleep(0.2)
        if not args.spinning:
            running[name].send_signal(signal.SIGSTOP)
    seconds, tokens = {}, {}
    for round_ in range(args.rounds):
        for name, process in running.items():
            process.send_signal(signal.SIGCONT)
            command = [sys.executable, args.bench, url(name), "--reps", str(args.reps), "--json"]
            result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
            if not args.spinning:
                process.send_signal(signal.SIGSTOP)
            for workload, figures in result.items():
                seconds.setdefault(workload, {}).setdefault(name, []).append(figures["seconds"][0])
                tokens[workload] = figures["tokens"][0] or tokens.get(workload)
        print(f"round {round_ + 1} of {args.rounds}", file=sys.stderr, flush=True)
    print(f"{'workload':14s}" + "".join(f"{name:>22s}" for name in servers) + "   connote is")
    ratios = {}
    for workload, by_server in seconds.items():
        middle = {name: statistics.median(times) for name, times in by_server.items()}
        best = min(time for name, time in middle.items() if name != "connote")
        ratios[workload] = best / middle["connote"]
        row = ""
        for name in servers:
            rate = f"{tokens[workload] / middle[name]:7.0f} tok/s" if tokens[workload] else " " * 13
            row += f"{middle[name] * 1e3:8.1f}{rate}"[:22].rjust(22)
        print(f"{workload:14s}{row}   {ratios[workload]:5.2f}x the better")
    memory = {name: resident(process) for name, process in running.items()}
    print("resident MB (now, most):", {name: (m["VmRSS"], m["VmHWM"]) for name, m in memory.items()})
    if args.out:
        pathlib.Path(args.out).write_text(json.dumps({"seconds": seconds, "tokens": tokens, "ratios": ratios, "memory": memory}))
finally:
    for process in running.values():
        process.send_signal(signal.SIGCONT)
        process.terminate()
