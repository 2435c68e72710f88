#!/usr/bin/env bash
# Makes testdata/rerankers anew:  scripts/oracle/rerankers.sh [NAME ...]
# The first run makes a virtual environment of its own: that of make.sh, and sentence-transformers beside it.
set -euo pipefail
cd "$(dirname "$0")"
. ../venv.sh

VENV=${CONNOTE_RERANKERS_ORACLE_VENV:-$HOME/.cache/connote-oracle-rerankers-venv}
python_venv "$VENV" requirements-rerankers.txt
CUDA_VISIBLE_DEVICES= "$VENV/bin/python" rerankers.py "$@"
