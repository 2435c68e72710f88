"""How many cases a run of schemathesis sent, by operation, from its NDJSON report: fuzz_count.py REPORT URL LEAST"""

import collections
import json
import sys
import urllib.request

report, url, least = sys.argv[1], sys.argv[2], int(sys.argv[3])
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")

with urllib.request.urlopen(f"{url}/openapi.json", timeout=30) as answer:
    paths = json.load(answer)["paths"]
# The document itself is fetched as the schema; schemathesis counts it among no operations.
paths.pop("/openapi.json", None)
declared = {f"{method.upper()} {path}" for path, item in paths.items() for method in item if method in METHODS}

sent, seen = collections.Counter(), set()
with open(report, encoding="utf-8") as lines:
    for line in lines:
        event = json.loads(line)
        recorder = event.get("ScenarioFinished", {}).get("recorder")
        if recorder is None:
            continue
        for key, case in recorder.get("cases", {}).items():
            if key in recorder.get("interactions", {}) and key not in seen:
                seen.add(key)
                value = case["value"]
                method = value["method"]
                label = f"{method} {value['path']}"
                # An undeclared method is a case of the path it was tried on.
                sent[label if label in declared else f"undeclared methods of {value['path']}"] += 1

for label, count in sorted(sent.items(), key=lambda pair: -pair[1]):
    print(f"{count:6}  {label}")
missing = sorted(declared - set(sent))
total = sum(sent.values())
print(f"{total} cases over {len(declared)} operations")
if missing:
    print(f"fuzz_count: no case was sent to {', '.join(missing)}", file=sys.stderr)
if total < least:
    print(f"fuzz_count: {least} cases are wanted", file=sys.stderr)
sys.exit(bool(missing or total < least))
