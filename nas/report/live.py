"""Serves reports on this machine only, and follows the campaigns. It never writes to a folder."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote

from nas.errors import InputError
from nas.escape import one_line
from nas.report.context import context
from nas.report.overview import overview, state
from nas.report.page import INDEX, REPORT, render
from nas.words import counted

HOST = "127.0.0.1"

_KEPT = 4
"""How many pages of campaigns are kept until their records change."""


class Server(ThreadingHTTPServer):
    """Serves pages, and beside each, as ``state``, a text that changes when it does.

    Args:
        folder: a campaign, or a folder of campaigns if ``several``.
        port: the port; 0 takes any free port.
        several: whether ``/`` lists the campaigns in the folder, which are served below it.

    Raises :class:`InputError` if the campaign has no readable records, if there is no such folder,
    or if the port is in use.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int, several: bool = False) -> None:
        self.folder, self.several = folder, several
        self._making = Lock()
        if several and not folder.is_dir():
            raise InputError(f"{folder}: there is no such folder")
        self.page("/")
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise InputError(f"--port: {port} cannot be used: {error.strerror}") from None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing about a browser that has closed its connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """The address of the first page."""
        return f"http://{HOST}:{self.server_port}/"

    def page(self, path: str) -> bytes | None:
        """Returns a current page, or None if the path has none.

        A page is only made again if its records have changed.
        """
        with self._making:
            if self.several and path == "/":
                return _index(self.folder)
            folder = self._campaign(path)
            return None if folder is None else _page(folder, state(folder), self.several)

    def state(self, path: str) -> str | None:
        """Returns the state of a page, or None if the path has none."""
        if self.several and path == "/":
            return _state(_campaigns(self.folder))
        folder = self._campaign(path)
        return None if folder is None else state(folder)

    def _campaign(self, path: str) -> Path | None:
        """Returns the campaign of a path, which is one of those that are listed."""
        if not self.several:
            return self.folder if path == "/" else None
        found = {f"/{_address(each)}": each for each in _campaigns(self.folder)}
        return found.get(path)


def _campaigns(root: Path) -> list[Path]:
    """Lists the campaigns in a folder, without links that lead out of it."""
    home = root.resolve()
    return [
        each
        for each in sorted(root.iterdir())
        if any((each / name).is_file() for name in ("campaign.yaml", "records.jsonl"))
        and home in (each / "records.jsonl").resolve().parents
    ]


def _address(folder: Path) -> str:
    """Returns the address of a campaign's page, relative to the list."""
    return quote(os.fsencode(folder.name), safe="") + "/"


def _state(folders: list[Path]) -> str:
    return " ".join(f"{_address(each)}{state(each)}" for each in folders)


def _index(root: Path) -> bytes:
    folders = _campaigns(root)
    named: Mapping[str, Path] = {_shown(each): each for each in folders}
    values = {
        "state": _state(folders),
        "campaigns": overview(named),
        "links": {name: _address(each) for name, each in named.items() if state(each)},
    }
    name, counts = _shown(root.resolve()) or "/", counted(len(folders), "campaign")
    shown = {"name": name, "counts": counts, "data": values}
    return render(INDEX, shown, live=True).encode()


def _shown(folder: Path) -> str:
    """Returns the name of a folder as text that can be shown, whatever its bytes are."""
    return one_line(os.fsencode(folder.name).decode(errors="backslashreplace"))


@lru_cache(maxsize=_KEPT)
def _page(folder: Path, now: str, several: bool) -> bytes:
    return render(REPORT, context(folder, live=True), live=True, home=several).encode()


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "nas", ""

    def do_GET(self) -> None:
        # Another site whose name resolves to this machine must not read it (DNS rebinding).
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host not in (HOST, "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
            return
        path, _, last = self.path.rpartition("/")
        try:
            if last == "state" and (now := self.server.state(f"{path}/")) is not None:
                body = json.dumps({"state": now}).encode()
                self._send(HTTPStatus.OK, body, "application/json")
            elif not last and (page := self.server.page(f"{path}/")) is not None:
                self._send(HTTPStatus.OK, page, "text/html; charset=utf-8")
            else:
                self.send_error(HTTPStatus.NOT_FOUND)
        except InputError as error:
            text = "text/plain; charset=utf-8"
            told = f"nas: {error}".encode(errors="backslashreplace")
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, told, text)

    def _send(self, status: HTTPStatus, body: bytes, content: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing, so that the terminal stays free."""
