"""The servers that the tests share. run.sh sets CONNOTE_BIN."""

import os
import shutil

import pytest

from serving import Recorder, Server, gemma_path

# The OpenAI client for JavaScript is an extra: taken where run.sh could install it.
collect_ignore = []
if not (shutil.which("node") and os.path.isdir(os.environ.get("CONNOTE_NODE_MODULES", "/nonexistent"))):
    collect_ignore.append("test_openai_js.py")


@pytest.fixture(scope="session")
def binary():
    path = os.environ.get("CONNOTE_BIN")
    if not path:
        pytest.exit("CONNOTE_BIN is not set: run scripts/clients/run.sh BINARY", returncode=2)
    return path


@pytest.fixture(scope="session")
def server(binary):
    """The built-in all-MiniLM-L6-v2: 384 dimensions, texts up to 256 tokens, no prompts."""
    started = Server(binary)
    yield started
    assert started.stop() == 0, started.output().decode(errors="replace")


@pytest.fixture(scope="session")
def gemma(binary):
    """EmbeddingGemma: Matryoshka and prompts."""
    path = gemma_path()
    if path is None:
        pytest.skip("the file of EmbeddingGemma is not here")
    started = Server(binary, model=path)
    yield started
    assert started.stop() == 0, started.output().decode(errors="replace")


@pytest.fixture
def url(server):
    return server.url


@pytest.fixture
def recorder(server):
    with Recorder(server.url) as started:
        yield started


@pytest.fixture
def gemma_recorder(gemma):
    with Recorder(gemma.url) as started:
        yield started


@pytest.fixture(scope="session")
def key_server(binary, tmp_path_factory):
    """A server that wants one of two keys."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text("sk-first-key\nsk-second-key\n")
    keys.chmod(0o600)
    started = Server(binary, "--api-key-file", keys)
    yield started
    assert started.stop() == 0


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch):
    """No proxy, key or address of the person who runs this may leak into a client."""
    for name in (
        "http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",
        "OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_ORG_ID", "OPENAI_PROXY",
        "OLLAMA_HOST", "OLLAMA_API_KEY", "HF_TOKEN", "HF_HUB_OFFLINE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
