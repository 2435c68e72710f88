#!/usr/bin/env bash
# Makes testdata/rerankers anew:  scripts/oracle/rerankers.sh [NAME ...]
# In the virtual environment of make.sh, with sentence-transformers beside what that needs.
set -euo pipefail
cd "$(dirname "$0")"
. ../venv.sh

VENV=${CONNOTE_ORACLE_VENV:-$HOME/.cache/connote-oracle-venv}
python_venv "$VENV" requirements.txt
python_venv "$VENV" requirements-rerankers.txt
CUDA_VISIBLE_DEVICES= "$VENV/bin/python" rerankers.py "$@"
