#!/usr/bin/env bash
# connote pull over https, through a proxy, killed and resumed, and its cache beside huggingface_hub's own:
#   scripts/hub/run.sh CONNOTE MODEL.gguf
# CONNOTE is built with --features hub; MODEL is any small model that it runs. Needs openssl.
set -euo pipefail
# Before the folder changes, and each by itself: of two in one line only the last one's failure counts.
CONNOTE=$(realpath "$1")
MODEL=$(realpath "$2")
export CONNOTE MODEL
cd "$(dirname "$0")"
# shellcheck source=scripts/venv.sh
. ../venv.sh
VENV=${CONNOTE_HUB_VENV:-$HOME/.cache/connote-hub-venv}
python_venv "$VENV" requirements.txt
exec "$VENV/bin/python" -B -m pytest -q -p no:cacheprovider .
