"""PKI: a certificate authority of a test, with certificates for servers, as files and as contexts."""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    pass


class Pki:
    """An authority. Files are written below `directory`."""

    def __init__(self, directory: Path) -> None:
        import trustme  # only tests that speak TLS need it

        self._directory: Final = directory
        self._authority: Final[trustme.CA] = trustme.CA()
        directory.mkdir(parents=True, exist_ok=True)
        self.authority_file: Final = directory / "authority.pem"
        self._authority.cert_pem.write_to_path(self.authority_file)

    def server_files(self, *names: str) -> tuple[Path, Path]:
        """(certificate chain, key) for these host names or addresses."""
        certificate = self._authority.issue_cert(*names)
        chain, key = self._directory / f"{names[0]}.pem", self._directory / f"{names[0]}.key"
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        return chain, key

    def server_context(self, *names: str) -> ssl.SSLContext:
        """A context for a server with these names."""
        chain, key = self.server_files(*names)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(chain, key)
        return context

    def client_context(self) -> ssl.SSLContext:
        """A context for a client that trusts this authority and nobody else."""
        return ssl.create_default_context(cafile=str(self.authority_file))
