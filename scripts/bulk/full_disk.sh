#!/usr/bin/env bash
# A disk that is really full (a tmpfs of 4 MB; needs the right to mount): the run ends with an error that says what to do,
# nothing that was done is lost, and after making room the same command ends as if nothing had been.
#
#   sudo scripts/bulk/full_disk.sh [PATH OF connote]
set -euo pipefail
connote=$(realpath "${1:-target/release/connote}")
folder=$(mktemp -d)
trap 'umount "$folder/disk" 2>/dev/null || true; rm -rf "$folder"' EXIT
mkdir "$folder/disk"
mount -t tmpfs -o size=4m tmpfs "$folder/disk"
seq 1 2600 | sed 's/$/ cats and dogs/' > "$folder/texts.txt"
run() { "$connote" embed --input "$folder/texts.txt" --part-rows 1024 --output "$1" "${@:2}"; }
run "$folder/whole.parquet" --quiet
head -c 2000000 /dev/zero > "$folder/disk/ballast"
code=0
run "$folder/disk/vectors.parquet" 2> "$folder/said" || code=$?
cat "$folder/said"
[ "$code" = 1 ] || { echo "exit code $code instead of 1"; exit 1; }
grep -q 'No space left' "$folder/said" && grep -q 'rows are done and safe' "$folder/said"
rm "$folder/disk/ballast"
# The parts and the whole do not both fit; the parts can be taken elsewhere, and the same command goes on there.
mv "$folder/disk/vectors.parquet.parts" "$folder/vectors.parquet.parts"
run "$folder/vectors.parquet"
cmp "$folder/whole.parquet" "$folder/vectors.parquet"
echo "a full disk lost nothing"
