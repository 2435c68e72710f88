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
# shellcheck source=scripts/venv.sh
. "$here/../venv.sh"
python_venv "$VENV" "$here/requirements.txt"
exec nice -n 10 "$VENV/bin/python" -B -m pytest -p no:cacheprovider -q "$here/readers.py" "$@"
