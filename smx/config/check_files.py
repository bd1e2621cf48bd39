"""Checks that look outside of the configuration: certificates, files of maps and aliases, accounts and groups."""

import grp
import os
import pwd
from collections.abc import Iterator

from smx.config.crosscheck import Complaint, Scene
from smx.config.problems import Problem


def complaints(scene: Scene) -> list[Problem]:
    """What the file system and the account database say against the settings."""
    found = (*_certificates(scene), *_files(scene), *_accounts(scene))
    return [Problem(scene.place(path), message) for path, message in found if path not in scene.failed]


def _certificates(scene: Scene) -> Iterator[Complaint]:
    for server in scene.settings.smtps:
        tls, path = server.tls, f"smtps.{server.name}.tls"
        if not tls.certificate:
            if tls.key:
                yield f"{path}.key", "a key without a certificate"
            continue
        if {f"{path}.certificate", f"{path}.key"} & scene.failed:
            continue
        reasons = [(name, _unreadable(file)) for name, file in (("certificate", tls.certificate), ("key", tls.key))]
        bad = [(name, reason) for name, reason in reasons if reason]
        if bad:
            yield f"{path}.{bad[0][0]}", f"{bad[0][0]}: cannot read {getattr(tls, bad[0][0])}: {bad[0][1]}"
            continue
        reason = _unusable_pair(tls.certificate, tls.key)
        if reason:
            yield f"{path}.certificate", reason


def _unusable_pair(certificate: str, key: str) -> str:
    """Why TLS does not take this certificate and key; empty when it does."""
    import ssl  # only needed for a configuration with a certificate

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        same = "" if key == certificate else f" with key {key}"
        return f"{certificate} is not usable{same}: {reason}"
    return ""


def _unreadable(path: str) -> str:
    """Why a file cannot be read; empty when it can."""
    try:
        with open(path, "rb") as file:
            if not os.path.isfile(path):
                return "not a plain file"
            file.read(1)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _files(scene: Scene) -> Iterator[Complaint]:
    smar = scene.settings.smar
    named = [("smar.aliases.file", smar.aliases.file), *((f"smar.map.{entry.name}.file", entry.file) for entry in smar.map)]
    for path, file in named:
        reason = _unreadable(file) if file and path in scene.places else ""
        if reason:
            yield path, f"cannot read {file}: {reason}"


def _accounts(scene: Scene) -> Iterator[Complaint]:
    for process in scene.settings.order:
        user = scene.value(f"{process}.user")
        if user and not _known(pwd.getpwnam, user):
            yield f"{process}.user", f'there is no account "{user}" on this host'
    group = scene.settings.mcp.group
    if group and not _known(grp.getgrnam, group):
        yield "mcp.group", f'there is no group "{group}" on this host'


def _known(look_up: object, name: str) -> bool:
    assert callable(look_up)
    try:
        look_up(name)
    except KeyError:
        return False
    return True
