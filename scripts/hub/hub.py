"""A server that plays the Hugging Face hub, a second one that plays its storage, and a proxy: http or https, on this machine.

Answers are those that huggingface_hub and connote read of huggingface.co: a HEAD request of a large file gets 302 with X-Repo-Commit,
X-Linked-Etag and X-Linked-Size and leads to the storage; a small file lies in git and comes from the hub itself.
"""

import hashlib
import json
import select
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PIECE = 64 << 10


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def git_hash(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def certificates(folder, names):
    """A certificate authority of our own and a certificate for names: (what to trust, what to serve with)."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=A house of its own",
            "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", f"/CN={names[0]}")
    kinds = ["IP" if name[0].isdigit() else "DNS" for name in names]
    (folder / "names").write_text("subjectAltName=" + ",".join(f"{k}:{n}" for k, n in zip(kinds, names)) + "\nbasicConstraints=CA:FALSE\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2", "-out", "server.pem",
            "-extfile", "names")  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return folder / "ca.pem", context


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub, handler, tls):
        super().__init__(("127.0.0.1", 0), handler)
        self.hub, self.tls = hub, tls
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, address):
        # In the connection's own thread: a handshake that hangs holds nobody up.
        self.hub.connections += 1
        if self.tls:
            try:
                request = self.tls.wrap_socket(request, server_side=True)
            except OSError:
                return
        super().finish_request(request, address)

    def handle_error(self, request, address):
        pass  # Clients that are killed are what is tested.


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.send_header("Content-Length", len(body))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        hub = self.server.hub
        hub.requests.append((self.place, self.command, self.path, dict(self.headers)))
        self.answer(hub, unquote(self.path.split("?")[0]))


class HubHandler(Handler):
    place = "hub"

    def answer(self, hub, path):
        if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            return self.reply(401, {"X-Error-Code": "RepoNotFound"})
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            files = hub.repos.get("/".join(parts[2:4]))
            if files is None:
                return self.reply(404, {"X-Error-Code": "RepoNotFound"})
            return self.json_of(hub, "/".join(parts[2:4]), files, parts[4:])
        if len(parts) < 5 or parts[2] != "resolve":
            return self.reply(404, {})
        content = hub.repos.get("/".join(parts[:2]), {}).get("/".join(parts[4:]))
        if parts[3] not in ("main", COMMIT):
            return self.reply(404, {"X-Error-Code": "RevisionNotFound"})
        if content is None:
            return self.reply(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        if len(content) < hub.large:
            return self.reply(200, {"X-Repo-Commit": COMMIT, "ETag": f'"{git_hash(content)}"'}, content)
        self.reply(302, {
            "X-Repo-Commit": COMMIT,
            "X-Linked-Etag": f'"{sha256(content)}"',
            "X-Linked-Size": len(content),
            "Location": f"{hub.storage}/{sha256(content)}?signature=x",
        })  # fmt: skip

    def json_of(self, hub, repo, files, rest):
        if rest[:1] == ["tree"]:
            body = [
                {"type": "file", "path": name, "size": len(content), "oid": git_hash(content)}
                | ({"lfs": {"oid": sha256(content), "size": len(content), "pointerSize": 130}} if len(content) >= hub.large else {})
                for name, content in files.items()
            ]
        else:
            body = {"id": repo, "modelId": repo, "sha": COMMIT, "private": False, "gated": False, "disabled": False, "tags": [],
                    "downloads": 0, "likes": 0, "siblings": [{"rfilename": name} for name in files]}  # fmt: skip
        self.reply(200, {"Content-Type": "application/json"}, json.dumps(body).encode())


class StorageHandler(Handler):
    place = "storage"

    def answer(self, hub, path):
        contents = (content for files in hub.repos.values() for content in files.values())
        content = next((content for content in contents if sha256(content) == path.strip("/")), None)
        if content is None:
            return self.reply(404, {})
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        body = content[begin:]
        if hub.altered:
            body = bytes([body[0] ^ 1]) + body[1:]
        cut, hub.cut = hub.cut, None
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", len(body))
        self.end_headers()
        for at in range(0, 0 if self.command == "HEAD" else len(body), PIECE):
            if cut is not None and at >= cut:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.wfile.write(body[at : at + PIECE])
            time.sleep(hub.pause)


class Hub:
    """Hub and storage; what they hold and what goes wrong are its fields."""

    def __init__(self, tls=None):
        self.repos, self.requests, self.connections = {}, [], 0
        self.token = None
        self.large = 1000  # what is smaller lies in git
        self.altered, self.cut, self.pause = False, None, 0
        scheme = "https" if tls else "http"
        self.ports = {place: Server(self, handler, tls).server_port for place, handler in (("hub", HubHandler), ("storage", StorageHandler))}
        # Two names of this machine: to a client they are different hosts.
        self.endpoint = f"{scheme}://localhost:{self.ports['hub']}"
        self.storage = f"{scheme}://127.0.0.1:{self.ports['storage']}"

    def contents_sent(self):
        return [headers for place, method, _, headers in self.requests if place == "storage" and method == "GET"]


class Proxy:
    """Knows the ports behind names that no name server knows."""

    def __init__(self, names):
        self.names, self.heads = names, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.tunnel, args=(client,), daemon=True).start()

    def tunnel(self, client):
        head = b""
        while b"\r\n\r\n" not in head and (more := client.recv(4096)):
            head += more
        self.heads.append(head.decode())
        words = head.split()
        port = self.names.get(words[1].decode()) if words[:1] == [b"CONNECT"] else None
        if port is None:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return client.close()
        server = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        ends = {client: server, server: client}
        while True:
            for end in select.select(ends, [], [])[0]:
                piece = end.recv(PIECE)
                if not piece:
                    return [end.close() for end in ends]
                ends[end].sendall(piece)
