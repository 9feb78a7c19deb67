"""An API server over a ``World``, as much of one as kubectl needs: discovery, lists, objects, patches, evictions.

With it the words are read by the real kubectl, which knows its own options better than a stand-in does.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cluster.drivers.tools import Done
from tests.drivers.gpu_world import World

VERBS = ["create", "delete", "get", "list", "patch", "update"]
CORE = {"nodes": ("Node", False), "pods": ("Pod", True), "configmaps": ("ConfigMap", True), "events": ("Event", True)}
GROUPS = {
    ("", "v1"): CORE,
    ("apps", "v1"): {"daemonsets": ("DaemonSet", True)},
    ("nvidia.com", "v1"): {"clusterpolicies": ("ClusterPolicy", False)},
}
KINDS = {name: (group, version, kind) for (group, version), all_ in GROUPS.items() for name, (kind, _) in all_.items()}
REASONS = {"NotFound": 404, "AlreadyExists": 409, "Conflict": 409, "TooManyRequests": 429}


class Api(ThreadingHTTPServer):
    """The server; ``asked`` are the requests: method and path."""

    def __init__(self, world: World) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.world = world
        self.lock = threading.Lock()
        self.asked: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Api

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":  # as kubectl sends a raw one
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _answer(self, method: str) -> None:
        body = self._body().decode()
        url = urlsplit(self.path)
        with self.server.lock:
            self.server.asked.append(f"{method} {url.path}")
            status, answer = _discovery(url.path) or _ask(
                self.server.world, method, url.path, parse_qs(url.query), body
            )
        text = answer if isinstance(answer, str) else json.dumps(answer)
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


def _discovery(path: str) -> tuple[int, Any] | None:
    if path == "/api":
        return 200, {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [
            {
                "name": group,
                "versions": [{"groupVersion": f"{group}/{version}", "version": version}],
                "preferredVersion": {"groupVersion": f"{group}/{version}", "version": version},
            }
            for group, version in GROUPS
            if group
        ]
        return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    for (group, version), kinds in GROUPS.items():
        if path == (f"/apis/{group}/{version}" if group else f"/api/{version}"):
            found = [
                {"name": name, "singularName": kind.lower(), "namespaced": spaced, "kind": kind, "verbs": VERBS}
                for name, (kind, spaced) in kinds.items()
            ]
            text = f"{group}/{version}" if group else version
            return 200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": text, "resources": found}
    if path.startswith("/api/v1/namespaces/") and path.count("/") == 4:
        return 200, {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": path.rpartition("/")[2]}}
    if not path.startswith(("/api/v1/", "/apis/")):
        return 404, _status(404, "NotFound", "there is no schema and no version here")
    return None


def _ask(world: World, method: str, path: str, query: dict[str, list[str]], body: str) -> tuple[int, Any]:
    """Put a request into the words that the world understands, and its answer into an API server's."""
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    space = ["-n", parts[1]] if parts[0] == "namespaces" and len(parts) > 2 else []
    kind, *rest = parts[2:] if space else parts
    if method == "GET" and rest[1:] == ["log"]:
        done = _run(world, "logs", rest[0], *space, "--tail=50")
        return 200, done.out
    if method == "GET" and not rest:
        return _list(world, kind, space, query)
    if method == "GET":
        if kind in ("nodes", "clusterpolicies"):  # kubectl looks at what it patches
            items = _list(world, kind, [], {})[1]["items"]
            return 200, next(item for item in items if item["metadata"]["name"] == rest[0])
        done = _run(world, "get", KINDS[kind][2].lower(), rest[0], *space, "--ignore-not-found", "-o", "json")
        return (200, _typed(kind, json.loads(done.out))) if done.out else (404, _status(404, "NotFound", rest[0]))
    if method == "POST" and rest[1:] == ["eviction"]:
        return _done(_run(world, "create", "--raw", path, "-f", "-", given=body), body)
    if method == "POST":
        return _done(_run(world, "create", "--validate=false", "-f", "-", given=body), body)
    if method == "PUT":
        return _done(_run(world, "replace", "--validate=false", "-f", "-", given=body), body)
    if method == "PATCH":
        name = "clusterpolicies.nvidia.com" if kind == "clusterpolicies" else "node"
        _run(world, "patch", name, rest[0], "--type=merge", "-p", body)
        return 200, next(i for i in _list(world, kind, [], {})[1]["items"] if i["metadata"]["name"] == rest[0])
    assert (method, kind) == ("DELETE", "pods"), (method, path)
    return _done(_run(world, "delete", "pod", rest[0], *space, "--ignore-not-found", "--wait=false"), "{}")


def _list(world: World, kind: str, space: list[str], query: dict[str, list[str]]) -> tuple[int, Any]:
    name = "clusterpolicies.nvidia.com" if kind == "clusterpolicies" else kind
    labels = ["-l", query["labelSelector"][0]] if "labelSelector" in query else []
    fields = [f"--field-selector={query['fieldSelector'][0]}"] if "fieldSelector" in query else []
    everywhere = ["-A"] if kind == "pods" and not space else []
    done = _run(world, "get", name, *everywhere, *space, *labels, *fields, "-o", "json")
    group, version, singular = KINDS[kind]
    text = f"{group}/{version}" if group else version
    items = [_typed(kind, item) for item in json.loads(done.out)["items"]]
    return 200, {"kind": f"{singular}List", "apiVersion": text, "metadata": {"resourceVersion": "1"}, "items": items}


def _typed(kind: str, item: dict[str, Any]) -> dict[str, Any]:
    group, version, singular = KINDS[kind]
    return {**item, "apiVersion": f"{group}/{version}" if group else version, "kind": singular}


def _run(world: World, *words: str, given: str = "") -> Done:
    return world.run(["kubectl", "--kubeconfig", "x", "--request-timeout=30s", *words], 60, given)


def _done(done: Done, body: str) -> tuple[int, Any]:
    if done.status == 0:
        return 200, {**json.loads(body)} if "kind" in json.loads(body) else _status(200, "", "")
    reason = next(each for each in REASONS if each in done.err)
    return REASONS[reason], _status(REASONS[reason], reason, done.err.rpartition("): ")[2])


def _status(code: int, reason: str, message: str) -> dict[str, Any]:
    word = "Success" if code < 300 else "Failure"
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": word,
        "reason": reason,
        "message": message,
        "code": code,
    }


@contextmanager
def serving(world: World, kubeconfig: Path) -> Iterator[Api]:
    """Yield a server of a world, and write a kubeconfig that leads to it."""
    with Api(world) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        at = f"http://127.0.0.1:{server.server_address[1]}"
        kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "c", "cluster": {"server": at}}],
                    "users": [{"name": "u", "user": {}}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                    "current-context": "x",
                }
            )
        )
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
