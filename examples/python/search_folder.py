# %% [markdown]
# # Search in a folder of notes
# Cells of a notebook (VS Code, Spyder and Jupytext read them so); as a program: `python search_folder.py FOLDER QUESTION`.

# %%
import sys
from pathlib import Path

import connote
import numpy as np

folder, question = sys.argv[1:3]
embedder = connote.Embedder()

# %% A paragraph is what is found.
paragraphs = [
    (path.name, paragraph)
    for path in sorted(Path(folder).glob("*.md"))
    for paragraph in path.read_text().split("\n\n")
    if paragraph.strip()
]
vectors = embedder.embed([paragraph for _, paragraph in paragraphs], task="document")

# %% Vectors have length 1, so their product is the cosine.
scores = vectors @ embedder.embed(question, task="query")
for index in np.argsort(-scores)[:3]:
    name, paragraph = paragraphs[index]
    print(f"{scores[index]:.3f}  {name}: {' '.join(paragraph.split())[:90]}")
