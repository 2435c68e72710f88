"""`connote pull` over https: who is trusted, who learns the token, proxies, and what is cut, killed or altered on its way."""

import signal
import subprocess
import time

import pytest

from conftest import CONNOTE, FILE, REPO
from hub import Hub, certificates, sha256


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"])
def test_an_authority_of_ones_own_is_trusted_when_named(secure, variable, tmp_path):
    del secure.variables["SSL_CERT_FILE"]
    folder = tmp_path / "authorities"
    folder.mkdir()
    (folder / "ours.pem").write_bytes(secure.ca.read_bytes())
    secure.pulled(**{variable: str(folder if variable == "SSL_CERT_DIR" else secure.ca)})


def test_an_unknown_authority_is_refused_once_and_says_what_to_do(secure):
    del secure.variables["SSL_CERT_FILE"]
    secure.refused("SSL_CERT_FILE", secure.hub.endpoint)
    assert secure.hub.connections == 1 and secure.hub.requests == []


def test_a_certificate_of_another_name_is_refused(secure, tmp_path):
    ca, tls = certificates(tmp_path, ["other.test"])
    other = Hub(tls)
    secure.refused("certificate", other.endpoint, HF_ENDPOINT=other.endpoint, SSL_CERT_FILE=str(ca))
    assert other.requests == []


def test_a_bundle_that_is_none_is_named(secure, tmp_path):
    answer = secure.pull(REQUESTS_CA_BUNDLE=str(tmp_path / "none.pem"), SSL_CERT_FILE="")
    assert answer.returncode == 1 and "REQUESTS_CA_BUNDLE" in answer.stderr and "none.pem" in answer.stderr
    (tmp_path / "empty.pem").write_text("no certificate\n")
    answer = secure.pull(SSL_CERT_FILE=str(tmp_path / "empty.pem"))
    assert answer.returncode == 2 and "SSL_CERT_FILE" in answer.stderr and "empty.pem" in answer.stderr
    assert secure.hub.connections == 0


def test_the_token_goes_to_the_hub_and_not_to_its_storage(secure):
    secure.hub.token = "hf_secret"
    assert "HF_TOKEN" in secure.refused("401")
    said = secure.refused("401", "HF_TOKEN", HF_TOKEN="hf_wrong")
    assert "hf_wrong" not in said
    secure.hub.requests.clear()
    secure.pulled(HF_TOKEN="hf_secret")
    seen = {place: {headers.get("authorization", headers.get("Authorization")) for p, _, _, headers in secure.hub.requests if p == place}
            for place in ("hub", "storage")}  # fmt: skip
    assert seen == {"hub": {"Bearer hf_secret"}, "storage": {None}}


def test_from_https_nothing_leads_to_http(secure):
    secure.hub.storage = secure.hub.storage.replace("https", "http")
    secure.refused("away from https")


def test_a_proxy_is_gone_through_by_connect(proxied):
    proxied.hub.token = "hf_secret"
    proxied.pulled(HF_TOKEN="hf_secret")
    asked = {head.split()[1] for head in proxied.proxy.heads}
    assert asked == {"hub.test:443", "cdn.test:443"}
    # What is in the tunnel the proxy does not see.
    assert not any("hf_secret" in head or "uthorization" in head for head in proxied.proxy.heads)


def test_a_proxy_gets_its_password(proxied):
    proxied.pulled(HTTPS_PROXY=proxied.variables["HTTPS_PROXY"].replace("//", "//user:pass@"))
    assert all("proxy-authorization: Basic dXNlcjpwYXNz" in head.replace("Proxy-A", "proxy-a") for head in proxied.proxy.heads)


def test_a_proxy_that_refuses_is_named_and_keeps_its_password(proxied):
    proxied.proxy.names.clear()
    proxied.variables["HTTPS_PROXY"] = proxied.variables["HTTPS_PROXY"].replace("//", "//user:pass@")
    assert "pass@" not in proxied.refused("hub.test", "proxy")


def test_hosts_that_need_no_proxy_are_asked_directly(proxied):
    proxied.hub.storage = f"https://127.0.0.1:{proxied.hub.ports['storage']}"
    proxied.pulled(NO_PROXY="127.0.0.1")
    assert {head.split()[1] for head in proxied.proxy.heads} == {"hub.test:443"}


def test_a_connection_that_is_cut_is_taken_up(secure):
    secure.hub.cut = 1 << 20
    secure.pulled()
    first, second = secure.hub.contents_sent()
    begin = int(second["range"].removeprefix("bytes=").rstrip("-"))
    assert "range" not in first and 0 < begin <= 1 << 20


def test_a_run_that_is_killed_is_gone_on_with(secure):
    secure.hub.pause = 0.01  # some 6 MB a second
    begins = [0]
    for kill in range(3):
        process = subprocess.Popen([CONNOTE, "pull", f"{REPO}:Q8_0", "-q"], env=secure.environment(), stderr=subprocess.DEVNULL)
        wanted, until = (kill + 1) << 20, time.monotonic() + 60
        while not any(path.stat().st_size >= wanted for path in secure.blobs()):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        [part] = secure.blobs()
        assert part.name.endswith(".incomplete") and part.stat().st_size < len(secure.content)
        begins.append(part.stat().st_size)
        # A model of which a part is here is not found.
        assert secure.connote("embed", "a", "--model", f"{REPO}:Q8_0", "--offline").returncode != 0
    secure.hub.pause = 0
    secure.pulled()
    asked = [int(headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-")) for headers in secure.hub.contents_sent()]
    assert asked == begins
    assert [path.name for path in secure.blobs()] == [sha256(secure.content)]


def test_an_altered_content_is_refused_and_removed(secure):
    secure.hub.altered = True
    secure.refused("SHA-256", sha256(secure.content))
    assert secure.blobs() == []
    secure.hub.altered = False
    secure.pulled()


@pytest.mark.parametrize("how", ["--offline", "HF_HUB_OFFLINE", "CONNOTE_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_no_command_opens_a_connection(secure, how, tmp_path):
    variables = {} if how.startswith("-") else {how: "1"}
    option = [how] if how.startswith("-") else []
    (tmp_path / "texts").write_text("a\n")
    commands = [
        ["pull", f"{REPO}:Q8_0"], ["embed", "a", "--model", REPO], ["inspect", "--model", REPO], ["tokenize", "a", "--model", REPO],
        ["similar", "a", "b", "--model", REPO], ["verify", REPO], ["doctor", "--no-speed"], ["serve", "--model", REPO, "--port", "0"],
        ["embed", "-i", str(tmp_path / "texts"), "-o", str(tmp_path / "v.jsonl"), "--model", REPO],
    ]  # fmt: skip
    for command in commands:
        answer = secure.connote(*command, *option, **variables)
        assert (answer.returncode == 0) == (command[0] == "doctor"), (command, answer)
        assert "panicked" not in answer.stderr
    assert secure.hub.connections == 0
    # With the model here it is the same without the network.
    secure.pulled()
    before = secure.hub.connections
    answer = secure.pull(*option, **variables)
    assert answer.returncode == 0 and answer.stdout.strip().endswith(FILE), answer.stderr
    answer = secure.connote("embed", "a", "--model", f"{REPO}:Q8_0", *option, **variables)
    assert answer.returncode == 0, answer.stderr
    assert secure.hub.connections == before
