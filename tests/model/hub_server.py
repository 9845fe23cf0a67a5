"""A hub of models on this machine's loopback, which speaks as much of the hub's protocol as downloads need."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_REFUSALS = {"RepoNotFound": 401, "RevisionNotFound": 404, "GatedRepo": 403, "EntryNotFound": 404}


class _Handler(BaseHTTPRequestHandler):
    """Answers for the repositories of its server: a folder by name, or the name of an error."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def log_message(self, *_):
        pass

    def _answer(self):
        parts = unquote(self.path.partition("?")[0]).strip("/").split("/")
        self.server.asked.append("/".join(parts))
        listing = parts[:2] == ["api", "models"]
        name, rest = "/".join(parts[2:4] if listing else parts[:2]), parts[4 if listing else 2 :]
        found = self.server.repositories.get(name, "RepoNotFound")
        if isinstance(found, str):
            return self._refuse(found)
        if len(rest) > 1 and rest[1] not in ("main", COMMIT):
            return self._refuse("RevisionNotFound")
        files = {str(path.relative_to(found)): path for path in sorted(found.rglob("*")) if path.is_file()}
        if listing:
            return self._list(rest, files)
        path = files.get("/".join(rest[2:]))
        return self._refuse("EntryNotFound") if path is None else self._send(path.read_bytes(), "text/plain")

    def _list(self, rest, files):
        if rest[:1] == ["tree"]:
            answer = [
                {"type": "file", "path": name, "size": path.stat().st_size, "oid": _oid(path.read_bytes())}
                for name, path in files.items()
            ]
        else:
            answer = {"id": "org/tiny", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
        return self._send(json.dumps(answer).encode(), "application/json")

    def _refuse(self, code):
        self.send_response(_REFUSALS[code])
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, body, kind):
        self.send_response(200)
        for key, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "X-Repo-Commit": COMMIT,
            "ETag": f'"{_oid(body)}"',
        }.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _oid(body):
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


@contextmanager
def hub_of(repositories):
    """Serve repositories, folders or the names of errors; gives the server, with its `url` and what was `asked`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.repositories, server.asked = repositories, []
    server.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
