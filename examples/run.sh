#!/bin/sh
# Runs all examples with a binary of connote and checks what they give: examples/run.sh BINARY. CI does.
# CONNOTE_EXAMPLES is a folder of the two in Rust, where they are built already.
set -eu
[ $# -eq 1 ] || { echo "usage: examples/run.sh BINARY" >&2; exit 2; }
CONNOTE=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
export CONNOTE
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
fail() { echo "examples/run.sh: $1" >&2; exit 1; }
cd "$here/.."

if [ -z "${CONNOTE_EXAMPLES:-}" ]; then
    cargo build --quiet --release --workspace --example ten_lines --example axum_handler || fail "the examples in Rust do not build"
fi
built=${CONNOTE_EXAMPLES:-${CARGO_TARGET_DIR:-target}/release/examples}

"$built/ten_lines" > "$work/ten" || fail "ten_lines: does not run"
best=$(sort -gr "$work/ten" | head -1)
case $best in *photosynthesis*) ;; *) fail "ten_lines: the best text is \`$best\`" ;; esac

"$built/axum_handler" 127.0.0.1:0 > "$work/address" & server=$!
for _ in $(seq 100); do [ -s "$work/address" ] && break; sleep 0.1; done
[ -s "$work/address" ] || fail "axum_handler: does not listen after 10 s"
curl -sSf "$(cat "$work/address")" --data 'a cat on the mat' > "$work/vector" || fail "axum_handler: no answer"
values=$(tr ',' '\n' < "$work/vector" | grep -c .)
[ "$values" -eq 384 ] || fail "axum_handler: $values values instead of 384"

"$here/embed_csv/run.sh" "$work" || fail "embed_csv: does not run"
[ "$(head -c 4 "$work/products.parquet")" = PAR1 ] || fail "embed_csv: products.parquet is no Parquet file"

"$here/search_notes/run.sh" "how do plants eat" "$work" > "$work/hits" || fail "search_notes: does not run"
grep -q '"hits":\[{"rank":1,[^}]*"id":"plants.md"' "$work/hits" || fail "search_notes: plants.md is not the first hit: $(cat "$work/hits")"
echo "all four examples ran"
