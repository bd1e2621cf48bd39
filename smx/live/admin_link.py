"""Admin link: a blocking client of QMGR for the tools: one link as `admin.PID`, one question, its answers."""

import os
import socket
from collections import deque
from types import TracebackType
from typing import Final

from smx.live.listeners import is_trusted, reachable
from smx.live.wire import Reader, WireError, Writer
from smx.messages import AnyMessage
from smx.topology import socket_path

TIMEOUT_S: Final = 10.0
READ_OCTETS: Final = 256 * 1024


class AdminUnreachableError(Exception):
    """No QMGR answers on this spool; the text says why."""


class AdminLink:
    """Use as a context manager. Raises AdminUnreachableError from every method."""

    def __init__(self, spool: str, timeout: float = TIMEOUT_S) -> None:
        self._path = socket_path(spool, "qmgr")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._writer = Writer(f"admin.{os.getpid()}", 0)
        self._reader = Reader()
        self._heard: deque[AnyMessage] = deque()

    def __enter__(self) -> "AdminLink":
        try:
            with reachable(self._path) as address:
                self._socket.connect(address)
            if not is_trusted(self._socket):
                raise AdminUnreachableError(f"another user listens on {self._path}")
            self._socket.sendall(self._writer.hello)
        except (FileNotFoundError, ConnectionRefusedError):
            self._socket.close()
            raise AdminUnreachableError(f"no smx is running here: nobody listens on {self._path}") from None
        except OSError as error:
            self._socket.close()
            raise AdminUnreachableError(f"{self._path}: {error.strerror or error}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._socket.close()

    def tell(self, message: AnyMessage) -> None:
        self._writer.add(message)
        try:
            self._socket.sendall(self._writer.frames())
        except OSError as error:
            raise AdminUnreachableError(f"{self._path}: {error.strerror or error}") from error

    def hear(self) -> AnyMessage:
        """The next message from QMGR."""
        while not self._heard:
            try:
                data = self._socket.recv(READ_OCTETS)
                if not data:
                    raise AdminUnreachableError("QMGR closed the link")
                for messages in self._reader.feed(data):
                    self._heard.extend(messages)
            except TimeoutError:
                raise AdminUnreachableError("QMGR does not answer in time") from None
            except (OSError, WireError) as error:
                raise AdminUnreachableError(f"{self._path}: {error}") from error
        return self._heard.popleft()

    def ask(self, message: AnyMessage) -> AnyMessage:
        """Tell a message that has a `request`; gives the message that answers it."""
        self.tell(message)
        while True:
            answer = self.hear()
            if getattr(answer, "request", None) == getattr(message, "request", None):
                return answer
