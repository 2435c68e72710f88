#!/usr/bin/env bash
# The wheels in a Debian of nothing but its own Python: no compiler, no Rust, no network:  scripts/python/clean_root.sh FOLDER [SUITE]
#
# FOLDER has the wheels of release_wheels.sh; SUITE is bookworm, the oldest Debian whose Python is 3.10 or later. Root only:
# debootstrap makes the root, in /tmp, and it is thrown away. Packages are kept in ~/.cache/connote-debootstrap.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] && [ -d "$1" ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
wheels=$(realpath "$1")
suite=${2:-bookworm}
cache=$HOME/.cache/connote-debootstrap
mkdir -p "$cache"
work=$(mktemp -d)
root=$work/root
trap 'umount "$root/proc" 2>/dev/null || true; rm -rf --one-file-system "$work"' EXIT

debootstrap --variant=minbase --cache-dir="$cache" --include=python3-venv "$suite" "$root" >"$work/log" || { tail -5 "$work/log" >&2; exit 1; }
mount -t proc proc "$root/proc" # where connote reads how many CPUs there are, and what memory
version=$(chroot "$root" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
mkdir "$root/wheels"
cp "$wheels"/connote*.whl "$root/wheels/"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --python-version "$version" \
    --dest "$root/wheels" "$(grep '^numpy==' "$here/requirements.txt")"

chroot "$root" env -i HOME=/root PATH=/usr/bin:/bin sh -eu <<'INSIDE'
for tool in cc gcc rustc cargo; do
    ! command -v $tool || { echo "$tool is here" >&2; exit 1; }
done
python3 -m venv /venv
/venv/bin/pip install --quiet --no-index --find-links /wheels connote connote-minilm numpy
/venv/bin/python - <<'PROGRAM'
import platform, connote, numpy
vectors = connote.Embedder().embed(["a cat on the mat", "a feline on a rug", "stock markets fell"])
assert vectors.shape == (3, 384) and numpy.allclose(numpy.linalg.norm(vectors, axis=1), 1, atol=1e-6)
assert vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2]
print("connote", connote.__version__, "embeds on Python", platform.python_version(), *platform.libc_ver())
PROGRAM
INSIDE
