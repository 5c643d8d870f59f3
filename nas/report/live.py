"""Serves the report on this machine only while its campaign runs. It never writes to the folder."""

from __future__ import annotations

import json
from functools import lru_cache, partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

from nas.errors import InputError
from nas.report.context import context, state
from nas.report.page import render

HOST = "127.0.0.1"


class Server(ThreadingHTTPServer):
    """Serves the page as ``/``, and as ``/state`` a text that changes when the records change.

    Args:
        folder: the folder of the campaign.
        port: the port; 0 takes any free port.

    Raises :class:`InputError` if the campaign has no readable records, or if the port is in use.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int) -> None:
        self._making = Lock()
        self._page = lru_cache(maxsize=1)(partial(_page, folder))
        self.folder = folder
        self.page()
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise InputError(f"--port: {port} cannot be used: {error.strerror}") from None

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.server_port}/"

    def page(self) -> bytes:
        """Returns the current page, which is only made again if the records have changed."""
        with self._making:
            return self._page(state(self.folder))


def _page(folder: Path, now: str) -> bytes:
    return render(context(folder, live=True), live=True).encode()


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "nas", ""

    def do_GET(self) -> None:
        # Another site whose name resolves to this machine must not read it (DNS rebinding).
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host not in (HOST, "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
        elif self.path == "/state":
            body = json.dumps({"state": state(self.server.folder)}).encode()
            self._send(HTTPStatus.OK, body, "application/json")
        elif self.path == "/":
            try:
                self._send(HTTPStatus.OK, self.server.page(), "text/html; charset=utf-8")
            except InputError as error:
                text = "text/plain; charset=utf-8"
                self._send(HTTPStatus.SERVICE_UNAVAILABLE, f"nas: {error}".encode(), text)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _send(self, status: HTTPStatus, body: bytes, content: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing, so that the terminal stays free."""
