"""A stand-in for the Hugging Face hub on 127.0.0.1: the calls that a push makes, and what came of them."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

WRITES, READS = "a-token-that-writes", "a-token-that-reads"


@dataclass
class Hub:
    """repositories: name -> branch -> file -> content. private: names. commits: branch, files added, files deleted."""

    address: str = ""
    repositories: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    commits: list[tuple[str, list[str], list[str]]] = field(default_factory=list)
    large: dict[str, bytes] = field(default_factory=dict)
    full: bool = False

    def make(self, name: str, private: bool = False) -> None:
        self.repositories[name] = {"main": {}}
        self.private |= {name} if private else set()

    def answer(self, method: str, path: str, body: bytes, token: str) -> tuple[int, Any]:
        parts = [each for each in path.split("/") if each]
        if method == "PUT":  # to where large files are kept, by the address alone
            self.large[parts[-1]] = body
            return 200, {}
        if token not in (WRITES, READS):
            return 401, {"error": "Invalid username or password."}
        if token == READS and method == "POST":
            return 403, {"error": "Forbidden: pass a token that may write."}
        if path == "/api/repos/create":
            return self.create(json.loads(body))
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if parts[-3:] == ["lfs", "objects", "batch"]:
            return 200, {"transfer": "basic", "objects": [self.slot(each) for each in json.loads(body)["objects"]]}
        name, rest = "/".join(parts[2:4]), parts[4:]
        if name not in self.repositories:
            return 404, {"error": "Repository not found"}
        branches = self.repositories[name]
        match method, *rest:
            case "GET", *_ if not rest or rest[0] == "revision":
                return 200, {"id": name, "private": name in self.private, "sha": "0" * 40, "siblings": []}
            case "GET", "tree", branch:
                files = branches[branch].items()
                return 200, [{"type": "file", "path": p, "size": len(c), "oid": "1"} for p, c in files]
            case "POST", "branch", branch:
                branches.setdefault(branch, dict(branches["main"]))
                return 200, {}
            case "POST", "preupload", _:
                files = json.loads(body)["files"]
                return 200, {"files": [{"path": each["path"], **self.mode(each["path"])} for each in files]}
            case "POST", "commit", branch:
                return (507, {"error": "The quota is\nexceeded."}) if self.full else self.commit(name, branch, body)
        return 404, {"error": f"a stand-in knows no {method} {path}"}

    def create(self, asked: dict[str, Any]) -> tuple[int, Any]:
        name = f"{asked['organization']}/{asked['name']}"
        said = {"url": f"{self.address}/{name}", "name": name}
        if name in self.repositories:
            return 409, {"error": "You already created this model repo", **said}
        self.make(name, asked.get("visibility") == "private" or asked.get("private") is True)
        return 200, said

    def slot(self, wanted: dict[str, Any]) -> dict[str, Any]:
        upload = {"href": f"{self.address}/store/{wanted['oid']}", "header": {}}
        return {"oid": wanted["oid"], "size": wanted["size"], "actions": {"upload": upload}}

    def mode(self, path: str) -> dict[str, Any]:
        return {"uploadMode": "lfs" if path.endswith((".safetensors", ".onnx")) else "regular", "shouldIgnore": False}

    def commit(self, name: str, branch: str, body: bytes) -> tuple[int, Any]:
        added, deleted = [], []
        files = self.repositories[name][branch]
        for line in body.decode().splitlines():
            said = json.loads(line)
            kind, value = said["key"], said["value"]
            if kind == "deletedFile":
                deleted.append(value["path"])
                del files[value["path"]]
            elif kind != "header":
                added.append(value["path"])
                is_large = kind == "lfsFile"
                files[value["path"]] = self.large[value["oid"]] if is_large else base64.b64decode(value["content"])
        self.commits.append((branch, added, deleted))
        return 200, {"commitUrl": f"{self.address}/{name}/commit/abc", "commitOid": "abc"}


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that answers while the block lasts."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = self.headers.get("Content-Length")
            body = self.rfile.read(int(length)) if length else self.chunks()
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            status, content = hub.answer(self.command, urlsplit(self.path).path, body, token)
            said = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PUT = answer  # noqa: N815 - names of http.server

        def chunks(self) -> bytes:
            found = b""
            if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
                while size := int(self.rfile.readline(), 16):
                    found += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            return found

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
