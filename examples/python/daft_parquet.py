"""Embeds a Parquet data set with Daft.

    python daft_parquet.py IN_FOLDER OUT_FOLDER [COLUMN] [MODEL]
"""

import sys

import daft
from connote.integrations import daft_embed


def main(source: str, out: str, column: str = "text", model: str | None = None) -> None:
    frame = daft.read_parquet(source)
    daft_embed(frame, model, column, batch_size=512).write_parquet(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
