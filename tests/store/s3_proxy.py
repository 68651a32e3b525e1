"""A proxy before an S3 server that loses, delays and cuts what passes through it."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["FAULTS", "Proxy", "proxied"]

#: An error of the server, a wait, a connection cut before anything was done, half an answer, and an
#: answer that is lost after the server did what was asked.
FAULTS = ("error", "slow", "cut", "half", "lost")
_SLOW_SECONDS = 0.3
_CUTS = (BrokenPipeError, ConnectionResetError)


class Proxy:
    """Where it listens, what it did, and what it is to do.

    Attributes:
        fault: Given method and path, the fault to put in, None for none; by default none ever.
        done: (fault, method, path) of those put in.
        requests: (method, path, status) of all that reached the server.
    """

    def __init__(self, server: tuple[str, int]) -> None:
        self.server = server
        self.url = ""
        self.fault: Callable[[str, str], str | None] = lambda method, path: None
        self.done: list[tuple[str, str, str]] = []
        self.requests: list[tuple[str, str, int]] = []
        self.guard = threading.Lock()


@contextmanager
def proxied(server: tuple[str, int]) -> Iterator[Proxy]:
    """A proxy before a server, while the context lasts."""
    proxy = Proxy(server)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except _CUTS:
                self.close_connection = True

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with proxy.guard:
                fault = proxy.fault(self.command, self.path)
                if fault:
                    proxy.done.append((fault, self.command, self.path))
            if fault == "cut":
                return self.cut()
            if fault == "error":
                return self.answer(500, {}, b"<Error><Code>InternalError</Code></Error>")
            if fault == "slow":
                time.sleep(_SLOW_SECONDS)
            connection = http.client.HTTPConnection(*proxy.server, timeout=30)
            connection.request(self.command, self.path, body, dict(self.headers))
            reply = connection.getresponse()
            content, headers = reply.read(), dict(reply.getheaders())
            connection.close()
            with proxy.guard:
                proxy.requests.append((self.command, self.path, reply.status))
            if fault == "lost":
                return self.cut()
            return self.answer(reply.status, headers, content, whole=fault != "half")

        def cut(self) -> None:
            self.close_connection = True
            self.connection.close()

        def answer(
            self, status: int, headers: dict[str, str], content: bytes, *, whole: bool = True
        ) -> None:
            self.send_response_only(status)
            length = headers.pop("Content-Length", None) or str(len(content))
            for name, value in headers.items():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content if whole else content[: len(content) // 2])
            if not whole:
                self.cut()

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = pass_on

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    proxy.url = f"http://127.0.0.1:{listening.server_address[1]}"
    try:
        yield proxy
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()
