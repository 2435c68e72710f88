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
    wrong.write_text("import connote\nconnote.Embedder(threads='two')\nconnote.Embedder().count_tokens(['a']).upper()\n")
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", wrong], capture_output=True, text=True, cwd=HERE.parent)
    assert "wrong.py:2" in done.stdout
    assert "wrong.py:3" in done.stdout


def test_the_stub_is_the_native_module():
    check("mypy.stubtest", "connote._connote", "--mypy-config-file", "pyproject.toml")
