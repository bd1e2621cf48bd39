"""Certificates: those that the suite shows when the target says STARTTLS to it, made for each host, signed by the suite's authority.

It needs the library `cryptography`; without it the cases that show certificates end as dependency failures.
"""

import datetime
import ssl
import tempfile
from pathlib import Path
from typing import Final

from conformance.outcome import MissingDependency

KINDS: Final = ("good", "expired", "self-signed", "other-name")
_DAY: Final = datetime.timedelta(days=1)
_VERSIONS: Final = {"": ssl.TLSVersion.MAXIMUM_SUPPORTED, "TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def server_context(kind: str, name: str, authority: str, version_max: str = "") -> ssl.SSLContext:
    """For a host of this name. `authority`: a PEM file with the certificate and key of the suite's authority; empty: everything is self-signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = _VERSIONS[version_max]
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(_made(kind, name, authority))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def make_authority(path: Path) -> None:
    """Write a new authority, certificate and key, into one PEM file."""
    path.write_bytes(_made("authority", "suite authority", ""))


def make_server(path: Path, name: str, authority: Path) -> None:
    """Write a certificate and key for a server of this name, signed by the authority."""
    path.write_bytes(_made("good", name, str(authority)))


def _made(kind: str, name: str, authority: str) -> bytes:
    """A PEM text: certificate, then key."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
    except ImportError as error:
        raise MissingDependency("certificates need the library cryptography") from error
    assert kind in (*KINDS, "authority"), kind
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    issuer, signer = subject, key
    if authority and kind not in ("self-signed", "authority"):
        pem = Path(authority).read_bytes()
        issuer = x509.load_pem_x509_certificate(pem).subject
        loaded = serialization.load_pem_private_key(pem, None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signer = loaded
    now = datetime.datetime.now(datetime.UTC)
    begin, end = (now - 30 * _DAY, now - _DAY) if kind == "expired" else (now - _DAY, now + 30 * _DAY)
    shown = "other.invalid" if kind == "other-name" else name
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(begin).not_valid_after(end)
    if kind == "authority":
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    else:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(shown)]), critical=False)
    certificate = builder.sign(signer, hashes.SHA256())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM) + private
