#!/bin/sh
# A table of products becomes a Parquet file: the columns that are kept, and a vector of name and description.
#     run.sh [OUTPUT_FOLDER]      (`connote` is the one on PATH, or $CONNOTE)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-.}
"${CONNOTE:-connote}" embed --input "$here/products.csv" --template '{name}: {description}' \
    --id-column sku --keep name,price --output "$out/products.parquet"
