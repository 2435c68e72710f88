#!/usr/bin/env bash
# Makes testdata/architectures anew:  scripts/oracle/make.sh [NAME ...]
# and of the same models testdata/folders:  scripts/oracle/make.sh folders [NAME ...]
# The first run makes ~/.cache/connote-oracle-venv: PyPI's torch, 6 GB with the CUDA libraries that it cannot be had without.
set -euo pipefail
cd "$(dirname "$0")"
. ../venv.sh

VENV=${CONNOTE_ORACLE_VENV:-$HOME/.cache/connote-oracle-venv}
python_venv "$VENV" requirements.txt
script=make.py
if [ "${1:-}" = folders ]; then
    script=folders.py
    shift
fi
CUDA_VISIBLE_DEVICES= "$VENV/bin/python" "$script" "$@"
