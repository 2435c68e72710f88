#!/bin/sh
# A folder of notes becomes a collection that is searched: run.sh "QUERY" [WORK_FOLDER]
# (`connote` is the one on PATH, or $CONNOTE). Needs python3, to write JSON.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
query=${1:-how do plants eat}
out=${2:-.}
connote=${CONNOTE:-connote}
python3 - "$here/notes" > "$out/notes.jsonl" <<'PYTHON'
import json, pathlib, sys
for note in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    if note.suffix in (".txt", ".md"):
        print(json.dumps({"id": note.name, "text": note.read_text(encoding="utf-8")}))
PYTHON
"$connote" embed --input "$out/notes.jsonl" --output "$out/notes.parquet"
"$connote" index build --input "$out/notes.parquet" --output "$out/collection/"
"$connote" search --index "$out/collection/" --top 2 --json "$query"
