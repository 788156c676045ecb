"""Part of the build: as much of Kubernetes' API as a driver needs to start. Its own pod is there, whatever it makes is
accepted, and no executor ever comes. Prints its port."""

import base64
import hashlib
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "driver", "namespace": "default", "uid": "1", "resourceVersion": "1", "labels": {}},
    "spec": {"containers": [{"name": "driver", "image": "none"}]},
    "status": {"phase": "Running", "containerStatuses": []},
}
LIST = {"apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}
KINDS = {"pods": "PodList", "configmaps": "ConfigMapList", "services": "ServiceList"}


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        path = urlsplit(self.path)
        kind = path.path.rsplit("/", 1)[-1]
        if "watch=true" in path.query:
            # by a web socket, over which nothing comes
            asked = f"{self.headers['Sec-WebSocket-Key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = hashlib.sha1(asked.encode(), usedforsecurity=False)
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept.digest()).decode())
            self.end_headers()
            self.wfile.flush()
            time.sleep(60)
        else:
            self.answer(LIST | {"kind": KINDS[kind]} if kind in KINDS else POD)

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        sent["metadata"] = {"namespace": "default", "uid": "2", "resourceVersion": "1"} | sent["metadata"]
        self.answer(sent)

    do_PUT = do_PATCH = do_POST

    def do_DELETE(self) -> None:
        self.answer({"apiVersion": "v1", "kind": "Status", "status": "Success"})

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
