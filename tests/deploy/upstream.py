"""Instances that are not there: servers that behave towards a proxy as instances do at their worst."""

import base64
import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# As clients and an instance see it.
RFC_6455 = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
STOPPING, CUT, SERVING = "stopping", "cut", "serving"


class Upstream:
    """One instance. `state` may be changed while it runs; `requests` are those that arrived whole."""

    def __init__(self, port):
        self.state, self.requests, self.port = SERVING, [], port
        self.released = threading.Event()
        self.server = Server(("127.0.0.1", port), type("Handler", (Handler,), {"upstream": self}))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def posts(self, path):
        return [seen for seen in self.requests if seen[0] == "POST" and seen[1].startswith(path)]

    def end(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """Proxies cut connections in the middle, health checks among them."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    upstream = None

    def do_GET(self):
        self.upstream.requests.append(("GET", self.path, dict(self.headers)))
        if self.path == "/health/ready":
            self.answer(200 if self.upstream.state == SERVING else 503)
        elif self.headers.get("Upgrade") == "websocket":
            self.switch_protocols()
        elif self.headers.get("Accept") == "text/event-stream":
            self.event_stream()
        else:
            self.answer(200)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.upstream.requests.append(("POST", self.path, body))
        if self.upstream.state == CUT:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            stops = self.upstream.state == STOPPING and "/negotiate" in self.path
            self.answer(503 if stops else 200)

    def answer(self, status):
        body = str(self.upstream.port).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def event_stream(self):
        """One event, and then nothing until the test has seen it."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"9\r\ndata: 1\n\n\r\n")
        self.wfile.flush()
        self.upstream.released.wait(30)
        self.wfile.write(b"0\r\n\r\n")

    def switch_protocols(self):
        """Echoes what comes, as bytes."""
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        accept = hashlib.sha1((self.headers.get("Sec-WebSocket-Key", "") + RFC_6455).encode()).digest()
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(accept).decode())
        self.end_headers()
        self.wfile.flush()
        self.connection.settimeout(30)
        while received := self.connection.recv(1024):
            self.connection.sendall(received)
        self.close_connection = True

    def log_message(self, *_):
        pass
