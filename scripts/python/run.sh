#!/usr/bin/env bash
# The Python wheels, built, installed in a clean environment, and tested:  scripts/python/run.sh [pytest arguments]
#
# CONNOTE_ALL=1 fails when a test was skipped (a model's file is missing). CONNOTE_SPARK=1 also fetches and tests Spark, for which
# Java 17 has to be there (Debian: openjdk-17-jre-headless); `CONNOTE_SPARK=1 scripts/python/run.sh -m spark` runs its tests alone.
# CONNOTE_PROFILE is cargo's profile (ci), CONNOTE_WHEELS a folder that keeps the wheels.
# The packages go to a virtual environment in ~/.cache/connote-python-venv, made once per requirements.txt.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
python=$root/crates/python
VENV=${CONNOTE_PYTHON_VENV:-$HOME/.cache/connote-python-venv}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wheels=${CONNOTE_WHEELS:-$work/wheels}
mkdir -p "$wheels"

# shellcheck source=scripts/venv.sh
. "$here/../venv.sh"
# The first file names all; Spark's is looked at only where it is asked for.
python_venv "$VENV" "$here/requirements.txt"
chosen=(-m "not spark")
if [ "${CONNOTE_SPARK:-0}" = 1 ]; then
    command -v java >/dev/null || [ -x "${JAVA_HOME:-}/bin/java" ] ||
        { echo "run.sh: CONNOTE_SPARK=1 needs Java 17 (Debian: apt-get install openjdk-17-jre-headless)" >&2; exit 1; }
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements-spark.txt"
    chosen=()
fi

(cd "$python" && PATH=$VENV/bin:$PATH maturin build --quiet --profile "${CONNOTE_PROFILE:-ci}" --out "$wheels")
"$VENV/bin/python" -m build --quiet --wheel --no-isolation --outdir "$wheels" "$python/minilm"
bytes=$(stat -c %s "$wheels"/connote-*.whl)
echo "the wheel has $bytes bytes"
[ "$bytes" -lt 12000000 ] || { echo "run.sh: the wheel has more than 12 MB" >&2; exit 1; }

# Nothing but the wheels and what they need: they install and embed.
python3 -m venv "$work/clean"
"$work/clean/bin/python" -m pip install --quiet --disable-pip-version-check "$wheels"/*.whl "$(grep '^numpy==' "$here/requirements.txt")"
(cd "$work" && "$work/clean/bin/python" -c 'import connote; print(connote.Embedder().embed("a cat on the mat").shape)')

# Beside everything they are tested with. Not from the checkout: what was built is what is tested.
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$wheels"/*.whl
cp -r "$python/tests" "$python/pyproject.toml" "$work/"
report=$work/report.xml
# What hangs is ended, with all that it started, and says so.
in_time() {
    local what=$1 code=0
    shift
    timeout --kill-after 30 1800 nice -n 10 "$@" || code=$?
    [ "$code" -lt 124 ] || echo "run.sh: $what was ended with $code; 124 and 137 say that it was not done in 1800 s" >&2
    return "$code"
}
code=0
(cd "$work" && CONNOTE_ROOT=$root MYPYPATH= in_time pytest "$VENV/bin/python" -B -m pytest -p no:cacheprovider -q --durations 5 --junit-xml "$report" "${chosen[@]}" "$@") || code=$?
[ "$code" -eq 0 ] || exit "$code"

# Ray on two nodes of this machine, a worker killed in the middle. docs/DISTRIBUTED.md has the same with more rows.
(cd "$work" && in_time ray_two_nodes.py "$VENV/bin/python" -B "$here/ray_two_nodes.py" "${CONNOTE_RAY_ROWS:-20000}" --words 2 --kill)

skipped=$("$VENV/bin/python" -c 'import sys, xml.etree.ElementTree as t
print(sum(1 for _ in t.parse(sys.argv[1]).iter("skipped")))' "$report")
if [ "${CONNOTE_ALL:-0}" = 1 ] && [ "$skipped" -gt 0 ]; then
    echo "run.sh: $skipped tests were skipped, and CONNOTE_ALL=1 wants them all" >&2
    exit 1
fi
