#!/usr/bin/env bash
# Makes testdata/rerankers/mxbai-rerank.* and folders/mxbai-rerank anew:  scripts/oracle/judges.sh
# The first run makes a virtual environment of its own, with the transformers that the authors' class still runs with.
set -euo pipefail
cd "$(dirname "$0")"
. ../venv.sh

VENV=${CONNOTE_JUDGES_ORACLE_VENV:-$HOME/.cache/connote-oracle-judges-venv}
python_venv "$VENV" requirements-judges.txt
CUDA_VISIBLE_DEVICES= "$VENV/bin/python" judges.py "$@"
