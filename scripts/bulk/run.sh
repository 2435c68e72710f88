#!/usr/bin/env bash
# The packages people use read what connote writes:  scripts/bulk/run.sh FOLDER [pytest arguments]
#
# FOLDER is what `cargo run --release -p connote-bulk --example write_samples -- FOLDER` wrote.
# The packages go to a virtual environment in ~/.cache/connote-bulk-venv, made once per requirements.txt.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
CONNOTE_SAMPLES=$(realpath "$1")
export CONNOTE_SAMPLES
shift
[ -d "$CONNOTE_SAMPLES" ] || { echo "run.sh: $CONNOTE_SAMPLES is no folder" >&2; exit 2; }

VENV=${CONNOTE_BULK_VENV:-$HOME/.cache/connote-bulk-venv}
want=$(sha256sum <"$here/requirements.txt")
if [ "$(cat "$VENV/.made-from" 2>/dev/null)" != "$want" ]; then
    rm -rf "$VENV"
    python3 -m venv "$VENV"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    echo "$want" >"$VENV/.made-from"
fi
exec nice -n 10 "$VENV/bin/python" -B -m pytest -p no:cacheprovider -q "$here/readers.py" "$@"
