"""An API server that answers what a test has written down, for the real Kubernetes client to talk to."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

GROUP = "/apis/sparkoperator.k8s.io/v1beta2"

Document = dict[str, Any]


def pod(role: str, state: Document, *, name: str | None = None, scheduled: str | None = None) -> Document:
    """A driver or executor; `state` is its container's, `scheduled` the scheduler's complaint."""
    container = {
        "name": f"spark-kubernetes-{role}",
        "image": "fruits-job:0.1.0",
        "resources": {"requests": {"cpu": "500m", "memory": "1536Mi"}, "limits": {"memory": "1536Mi"}},
    }
    conditions = (
        []
        if scheduled is None
        else [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": scheduled}]
    )
    statuses = [{"name": container["name"], "state": state}] if state else []
    name = name or ("fruits-run-driver" if role == "driver" else "fruits-run-1-exec-1")
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "labels": {"spark-role": role}},
        "spec": {"containers": [container]},
        "status": {
            "phase": "Pending" if scheduled else "Running",
            "conditions": conditions,
            "containerStatuses": statuses,
        },
    }


def waiting(reason: str, message: str = "") -> Document:
    return {"waiting": {"reason": reason, "message": message}}


def terminated(code: int, reason: str) -> Document:
    return {"terminated": {"exitCode": code, "reason": reason}}


RUNNING: Document = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def event(name: str, reason: str, message: str, kind: str = "Warning") -> Document:
    return {"involvedObject": {"name": name, "uid": f"uid-{name}"}, "reason": reason, "message": message, "type": kind}


class FakeCluster:
    """`scenes` are (state, error message, pods): each look at the job gives the next one, the last for ever."""

    def __init__(self, folder: Path) -> None:
        self.scenes: list[tuple[str, str, list[Document]]] = [("COMPLETED", "", [])]
        self.events: list[Document] = []
        # lines of the driver's log; the first answers about it break off after so many
        self.log: list[str] = []
        self.log_breaks: list[int] = []
        # seconds after which the first answers about it come
        self.log_pauses: list[float] = []
        self.installed = True
        self.namespaces = {"fruits"}
        self.operators = [self.operator("fruits")]
        self.application: Document | None = None
        self.refusal: tuple[int, str] | None = None
        self.created: list[Document] = []
        self.deleted: list[str] = []
        self._place = 0
        handler = type("Handler", (_Handler,), {"cluster": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "it",
                    "users": [{"name": "me", "user": {}}],
                    "clusters": [{"name": "it", "cluster": {"server": self.url}}],
                    "contexts": [{"name": "it", "context": {"cluster": "it", "user": "me"}}],
                }
            )
        )

    @staticmethod
    def operator(*namespaces: str, ready: int = 1) -> Document:
        args = ["controller", "start", f"--namespaces={','.join(namespaces)}"]
        return {
            "metadata": {"namespace": "spark-operator"},
            "status": {"readyReplicas": ready},
            "spec": {"template": {"spec": {"containers": [{"name": "controller", "args": args}]}}},
        }

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, path: str, body: Document | None) -> tuple[int, Any]:
        parts = path.strip("/").split("/")
        if path == GROUP + "/" or path == GROUP:
            return (200, _resources()) if self.installed else (404, _status(404, "the server could not find it"))
        if path == "/version/" or path == "/version":
            return 200, _version()
        if path == "/apis/apps/v1/deployments":
            return 200, {"items": self.operators}
        if path.startswith("/apis/authorization.k8s.io"):
            return 201, {**(body or {}), "status": {"allowed": True}}
        if "namespaces" not in parts:
            return 404, _status(404, f"no {path}")
        rest = parts[parts.index("namespaces") + 2 :]
        if parts[parts.index("namespaces") + 1] not in self.namespaces:
            return 404, _status(404, 'namespaces "nowhere" not found')
        match method, rest:
            case "POST", ["sparkapplications"]:
                if self.refusal:
                    return self.refusal[0], _status(*self.refusal)
                self.application = body
                self.created.append(body or {})
                return 201, body
            case "DELETE", ["sparkapplications", name]:
                self.deleted.append(name)
                self.application = None
                return 200, _status(200, "")
            case "GET", ["sparkapplications", name]:
                return self._look(name)
            case "GET", ["pods"]:
                return 200, {"items": self._scene()[2] if self.application else []}
            case "GET", ["events"]:
                return 200, {"items": self.events}
            case "GET", []:
                return 200, {"metadata": {"name": "fruits"}}
        return 404, _status(404, f"no {path}")

    def _scene(self) -> tuple[str, str, list[Document]]:
        return self.scenes[min(max(self._place - 1, 0), len(self.scenes) - 1)]

    def _look(self, name: str) -> tuple[int, Any]:
        if self.application is None or self.application["metadata"]["name"] != name:
            return 404, _status(404, f'sparkapplications "{name}" not found')
        found = self.application
        if self.created:
            self._place += 1
            state, message, _ = self._scene()
            found = {**found, "status": {"applicationState": {"state": state, "errorMessage": message}}}
        return 200, found


class _Handler(BaseHTTPRequestHandler):
    cluster: FakeCluster

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        size = int(self.headers.get("Content-Length") or 0)
        asked = json.loads(self.rfile.read(size)) if size else None
        if path.endswith("/log"):
            if self.cluster.log_pauses:
                time.sleep(self.cluster.log_pauses.pop(0))
            lines = [
                line if line.startswith("2026-") else f"2026-01-01T00:00:00.{place:09d}Z {line}"
                for place, line in enumerate(self.cluster.log)
            ]
            body = "".join(f"{line}\n" for line in lines).encode()
            whole = len(body)
            if self.cluster.log_breaks:
                body = "".join(f"{line}\n" for line in lines[: self.cluster.log_breaks.pop(0)]).encode()
            self._send(200, body, "text/plain", whole)
            return
        status, document = self.cluster.answer(self.command, path, asked)
        self._send(status, json.dumps(document).encode(), "application/json")

    def _send(self, status: int, data: bytes, kind: str, size: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data) if size is None else size))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, *_: object) -> None:
        """Silent."""


def _resources() -> Document:
    return {
        "kind": "APIResourceList",
        "groupVersion": "sparkoperator.k8s.io/v1beta2",
        "resources": [
            {
                "name": "sparkapplications",
                "singularName": "sparkapplication",
                "namespaced": True,
                "kind": "SparkApplication",
                "verbs": ["create"],
            }
        ],
    }


def _version() -> Document:
    names = ("major", "minor", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform")
    return {**dict.fromkeys(names, "x"), "gitVersion": "v1.33.0"}


def _status(code: int, message: str) -> Document:
    return {"kind": "Status", "status": "Failure", "message": message, "code": code}
