#!/usr/bin/env bash
# The wheels that are given to people, for glibc 2.28 and later:  scripts/python/release_wheels.sh FOLDER
#
# The profile is cargo's `release`; zig links, since a system's own linker asks for the system's own glibc.
# maturin and zig go to a virtual environment in ~/.cache/connote-wheels-venv, made once per requirements-wheels.txt.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
[ $# -eq 1 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
out=$(realpath "$1")
python=$here/../../crates/python
VENV=${CONNOTE_WHEELS_VENV:-$HOME/.cache/connote-wheels-venv}
# shellcheck source=scripts/venv.sh
. "$here/../venv.sh"
python_venv "$VENV" "$here/requirements-wheels.txt"

# maturin refuses a library that asks for newer symbols than the name of the wheel promises.
(cd "$python" && PATH=$VENV/bin:$PATH maturin build --quiet --profile "${CONNOTE_PROFILE:-release}" \
    --zig --compatibility manylinux_2_28 --auditwheel check --out "$out")
"$VENV/bin/python" -m build --quiet --wheel --no-isolation --outdir "$out" "$python/minilm"
for wheel in "$out"/connote-*manylinux_2_28*.whl; do
    bytes=$(stat -c %s "$wheel")
    [ "$bytes" -lt 12000000 ] || { echo "release_wheels.sh: $wheel has $bytes bytes, more than 12 MB" >&2; exit 1; }
    echo "$wheel: $bytes bytes"
done
