"""The command under test, and what it is tested with."""

import os
import subprocess
from pathlib import Path

import pytest

from hub import Hub, Proxy, certificates

CONNOTE = os.environ["CONNOTE"]
# Nothing of the machine's own settings reaches a test.
OURS = ("HF_", "HUGGING", "TRANSFORMERS_", "CONNOTE_", "SSL_CERT", "REQUESTS_CA", "CURL_CA", "EMBED_")
for name in list(os.environ):
    if name.startswith(OURS) or name.lower().endswith("_proxy"):
        del os.environ[name]

REPO, FILE = "org/repo", "m-Q8_0.gguf"


class Scene:
    """A hub with a model, and a home that knows nothing yet."""

    def __init__(self, home, tls=None):
        self.home = home
        self.hub = Hub(tls)
        # Some megabytes: a model, and what no tensor of it needs.
        self.content = Path(os.environ["MODEL"]).read_bytes() + bytes(range(256)) * (16 << 10)
        self.hub.repos[REPO] = {FILE: self.content, "README.md": b"a small file in git"}
        self.variables = {"HF_ENDPOINT": self.hub.endpoint, "HF_HOME": str(home)}

    def environment(self, **variables):
        return os.environ | self.variables | variables

    def connote(self, *arguments, **variables):
        return subprocess.run([CONNOTE, *arguments], env=self.environment(**variables), capture_output=True, text=True, timeout=120)

    def pull(self, *arguments, **variables):
        return self.connote("pull", f"{REPO}:Q8_0", *arguments, **variables)

    def pulled(self, *arguments, **variables):
        """Pulls, which must succeed; gives the path."""
        answer = self.pull(*arguments, **variables)
        assert answer.returncode == 0, answer.stderr
        path = Path(answer.stdout.strip())
        assert path.read_bytes() == self.content
        return path

    def refused(self, *words, **variables):
        """Pulls, which must fail with one line that has these words and leave nothing to find."""
        answer = self.pull("--quiet", **variables)
        assert answer.returncode == 1 and answer.stdout == "", answer
        lines = [line for line in answer.stderr.splitlines() if "trying again" not in line]
        assert len(lines) == 1 and all(word in lines[0] for word in words), answer.stderr
        assert not list(self.home.glob("hub/models--*/snapshots/*"))
        return answer.stderr

    def blobs(self):
        return sorted(path for path in self.home.glob("hub/models--org--repo/blobs/*"))


@pytest.fixture
def plain(tmp_path):
    return Scene(tmp_path / "home")


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("ca"), ["localhost", "127.0.0.1", "hub.test", "cdn.test"])


@pytest.fixture
def secure(tmp_path, authority):
    """Over https, with the authority trusted."""
    ca, tls = authority
    scene = Scene(tmp_path / "home", tls)
    scene.ca = ca
    scene.variables["SSL_CERT_FILE"] = str(ca)
    return scene


@pytest.fixture
def proxied(secure):
    """The hub and its storage have names that only a proxy knows."""
    secure.proxy = Proxy({"hub.test:443": secure.hub.ports["hub"], "cdn.test:443": secure.hub.ports["storage"]})
    secure.hub.storage = "https://cdn.test"
    secure.variables |= {"HF_ENDPOINT": "https://hub.test", "HTTPS_PROXY": f"http://127.0.0.1:{secure.proxy.port}"}
    return secure
