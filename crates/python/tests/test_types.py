"""The types hold: the package's own, the native module's stub, and a program that uses them."""

import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

HERE = Path(__file__).parent


def check(*command, cwd=HERE.parent, **environment):
    environment = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=cwd, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_package():
    check("mypy", "--package", "connote", cwd=ROOT / "crates/python", MYPYPATH="python")


def test_a_program():
    check("mypy", "--strict", "tests/typed_program.py")


def test_a_program_with_mistakes_is_found_out(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("""import connote
connote.Embedder(threads='two')
connote.Embedder().count_tokens(['a']).upper()
connote.Embedder().embed(['a'], timeout='soon')
connote.Embedder().embed_each(['a'], taks='query')
connote.Embedder().encode(['a'], normalise_embeddings=True)
""")
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", wrong], capture_output=True, text=True, cwd=HERE.parent)
    assert all(f"wrong.py:{line}:" in done.stdout for line in range(2, 7)), done.stdout


def test_the_stub_is_the_native_module():
    check("mypy.stubtest", "connote._connote", "--mypy-config-file", "pyproject.toml")
