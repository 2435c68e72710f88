"""A running `connote serve`, and a recorder that shows what a client sends to it."""

import ctypes
import http.client
import http.server
import os
import re
import signal
import subprocess
import tempfile
import threading
import time

READY = re.compile(rb"connote: serving (?P<name>.+) at (?P<where>\S+)")


def _die_with_parent():
    """Linux: the server ends if the test runner is killed, so that none is left behind."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)


class Server:
    """`BINARY serve ARGS`, started and ready to answer; `url` is where."""

    def __init__(self, binary, *args, model=None, wait=120, port=True):
        command = [binary, "serve"]
        if model:
            command += ["--model", model]
        if port:
            command += ["--port", "0"]
        command += [str(a) for a in args]
        self.command = command
        self.log = tempfile.NamedTemporaryFile(prefix="connote-serve-", suffix=".log")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
            preexec_fn=_die_with_parent,
        )
        self.name, where = self._wait_ready(wait)
        self.url = where.rstrip("/")

    def _wait_ready(self, wait):
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline:
            found = READY.search(self.output())
            if found:
                return found["name"].decode(), found["where"].decode()
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        code = self.process.poll()
        text = self.output().decode(errors="replace")
        self.stop()
        raise RuntimeError(f"{' '.join(self.command)} did not become ready (exit code {code}):\n{text}")

    def output(self):
        with open(self.log.name, "rb") as log:
            return log.read()

    @property
    def pid(self):
        return self.process.pid

    @property
    def address(self):
        """(host, port)"""
        host, _, port = self.url.split("//", 1)[1].rpartition(":")
        return host.strip("[]"), int(port)

    def stop(self, wait=60):
        """SIGTERM, and the exit code: 0 when it ended in order."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(wait)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def models_folder():
    return os.environ.get("EMBED_MODELS_DIR") or os.path.expanduser("~/.cache/embed-models")


GEMMA = "embeddinggemma-300m-Q8_0.gguf"


def gemma_path():
    """The Matryoshka model with prompts, or None when its file is not here."""
    path = os.path.join(models_folder(), GEMMA)
    return path if os.path.exists(path) else None


class Recorder:
    """A proxy on this machine that keeps each request as it came: what a client *really* sends.

    `requests` holds (method, path, headers, body). Each is handed on unchanged.
    """

    def __init__(self, url):
        host, _, port = url.split("//", 1)[1].rpartition(":")
        recorder = self
        self.requests = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def relay(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                recorder.requests.append((self.command, self.path, dict(self.headers), body))
                onward = http.client.HTTPConnection(host, int(port), timeout=120)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
                onward.request(self.command, self.path, body, headers)
                answer = onward.getresponse()
                data = answer.read()
                self.send_response(answer.status)
                for key, value in answer.getheaders():
                    if key.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                        self.send_header(key, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                onward.close()

            do_GET = do_POST = do_HEAD = do_DELETE = relay

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
