#!/usr/bin/env bash
# schemathesis with all its checks against a running server:  scripts/clients/fuzz.sh URL [--max-examples N]
#
# The cases are the same in each run (deterministic mode), the time is bounded. Without --max-examples at least 2,000 cases must have been sent, and
# each operation of URL/openapi.json must have been tried. Exit code 0 only when no check failed.
# CONNOTE_API_KEY is sent as a Bearer token when it is set; CONNOTE_FUZZ_REPORT keeps the report.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
usage() { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -ge 1 ] || usage
url=${1%/}
shift
examples=150 least=2000
while [ $# -gt 0 ]; do
    case $1 in
        --max-examples) examples=$2 least=0; shift 2 ;;
        *) usage ;;
    esac
done
case $url in
    http://127.0.0.1:* | http://localhost:* | "http://[::1]:"*) ;;
    *) echo "fuzz.sh: only a server on this machine is fuzzed, not $url" >&2; exit 2 ;;
esac

# shellcheck source=scripts/clients/environment.sh
. "$here/environment.sh"
clients_environment

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
report=${CONNOTE_FUZZ_REPORT:-$work/report.ndjson}
auth=()
[ -z "${CONNOTE_API_KEY:-}" ] || auth=(--header "Authorization: Bearer $CONNOTE_API_KEY")

code=0
cd "$work"
PYTHONPATH=$here SCHEMATHESIS_HOOKS=fuzz_hooks NO_COLOR=1 PYTHONDONTWRITEBYTECODE=1 \
    timeout --signal INT --kill-after 30 "${CONNOTE_FUZZ_SECONDS:-1500}" nice -n 10 \
    "$VENV/bin/st" --config-file "$here/schemathesis.toml" run "$url/openapi.json" \
    --checks all --mode all --phases examples,coverage,fuzzing,stateful --workers 1 \
    --max-examples "$examples" --wait-for-schema 30 --report ndjson --report-ndjson-path "$report" \
    "${auth[@]}" || code=$?

"$VENV/bin/python" "$here/fuzz_count.py" "$report" "$url" "$least" || exit 1
exit "$code"
