#!/usr/bin/env bash
# Real clients against a running `connote serve`:  scripts/clients/run.sh BINARY [pytest arguments]
#
# CONNOTE_ALL=1 fails when a test was skipped (a model's file is missing).
# The packages go to a virtual environment in ~/.cache/connote-clients, made once per requirements.txt.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
CONNOTE_BIN=$(realpath "$1")
export CONNOTE_BIN
shift
[ -x "$CONNOTE_BIN" ] || { echo "run.sh: $CONNOTE_BIN cannot be run" >&2; exit 2; }

# shellcheck source=scripts/clients/environment.sh
. "$here/environment.sh"
clients_environment
clients_vocabulary
clients_node

cd "$here"
report=$(mktemp)
trap 'rm -f "$report"' EXIT
code=0
nice -n 10 "$VENV/bin/python" -B -m pytest -c "$here/pytest.ini" --rootdir "$here" --junit-xml "$report" "$@" || code=$?
[ "$code" -eq 0 ] || exit "$code"

skipped=$("$VENV/bin/python" -c 'import sys, xml.etree.ElementTree as t
print(sum(int(s.get("skipped", 0)) for s in t.parse(sys.argv[1]).iter("testsuite")))' "$report")
if [ "${CONNOTE_ALL:-0}" = 1 ] && [ "$skipped" -gt 0 ]; then
    echo "run.sh: $skipped tests were skipped, and CONNOTE_ALL=1 wants them all" >&2
    exit 1
fi
