"""TLS: contexts made from the settings, and the layer that stands between a connection and its transport.

The layer is the standard library's SSLObject over two memory buffers, driven by the same callbacks as plain octets: no task, and nothing that
was received in plaintext can survive into the session, because the layer begins with empty buffers (F34, RFC 3207 4.2).
"""

import ssl
from collections.abc import Callable
from typing import Final

from smx.config.schema_smtps import TlsSettings

CLIENT: Final = "client"
READ_OCTETS: Final = 256 * 1024
Contexts = dict[str, ssl.SSLContext]


def server_context(settings: TlsSettings, *, request_certificate: bool = False) -> ssl.SSLContext:
    """The context of a listener. Raises OSError or ssl.SSLError when certificate or key cannot be used.

    `request_certificate`: ask the client for one, and go on without it when it has none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.load_cert_chain(settings.certificate, settings.key or None)
    if request_certificate:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    return context


def client_context(*, verify: bool = False, authorities: str = "") -> ssl.SSLContext:
    """The context of outgoing connections. Opportunistic TLS verifies nothing: plaintext would be the alternative (RFC 7435)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authorities:
        context.load_verify_locations(authorities)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


class TlsLayer:
    """One TLS session. Give it what arrives (`receive`), send what `write` puts out, take the plaintext."""

    def __init__(self, context: ssl.SSLContext, write: Callable[[bytes], None], *, server_side: bool, server_name: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._write = write
        name = server_name if server_name and not server_side else None
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side, server_hostname=name)
        self.established = False

    @property
    def version(self) -> str:
        return self._session.version() or ""

    @property
    def cipher(self) -> str:
        cipher = self._session.cipher()
        return cipher[0] if cipher else ""

    def handshake(self, data: bytes = b"") -> bool:
        """Go on with the handshake. True once it is over. Raises ssl.SSLError when it failed; the alert has been sent then."""
        self._incoming.write(data)
        try:
            self._session.do_handshake()
            self.established = True
        except ssl.SSLWantReadError:
            return False
        finally:
            self._flush()
        return True

    def receive(self, data: bytes = b"") -> tuple[bytes, bool]:
        """Plaintext that `data` completes, and whether the peer ended the session. Raises ssl.SSLError when it is damaged."""
        if data:
            self._incoming.write(data)
        chunks: list[bytes] = []
        ended = False
        try:
            while chunk := self._session.read(READ_OCTETS):
                chunks.append(chunk)
            ended = True
        except ssl.SSLWantReadError:
            pass  # all records that are complete have been read
        except ssl.SSLZeroReturnError:
            ended = True
        finally:
            self._flush()  # answers to key updates
        return b"".join(chunks), ended

    def send(self, data: bytes) -> None:
        """Encrypt and put out."""
        self._session.write(data)
        self._flush()

    def finish(self) -> None:
        """Say that nothing more follows (close_notify)."""
        try:
            self._session.unwrap()
        except ssl.SSLError:
            pass  # the peer's own close_notify is not waited for
        finally:
            self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._write(self._outgoing.read())
