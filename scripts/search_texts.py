#!/usr/bin/env python3
"""Debian's package descriptions as texts to search: apt-cache dumpavail | search_texts.py > debian.jsonl"""

import json
import sys

seen = set()
for block in sys.stdin.buffer.read().decode("utf-8", "replace").split("\n\n"):
    fields = {}
    for line in block.split("\n"):
        name, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            fields.setdefault(name, value.strip())
    text = fields.get("Description") or fields.get("Description-en")
    package = fields.get("Package")
    if text and package and package not in seen:
        seen.add(package)
        print(json.dumps({"id": package, "text": text, "section": fields.get("Section", "")}))
