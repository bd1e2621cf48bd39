"""What an option takes that is not in the file: hostname, spool and what follows from them; and the copies that each process gets."""

from collections.abc import Container
from typing import Any

from msgspec.structs import replace

from smx.config.schema import ListenSocket, Settings, SmtpsSettings, spool_path


def derive(settings: Settings, given: Container[str]) -> Settings:
    """The settings with everything filled in; given tells which options ("smtps.mx.hostname") the file has."""

    def unless_given(path: str, value: Any) -> dict[str, Any]:
        return {} if path in given else {path.rpartition(".")[2]: value}

    host, spool = settings.hostname, settings.spool
    postmaster = settings.postmaster if "postmaster" in given else f"postmaster@{host}"
    lda = replace(
        settings.lda,
        **unless_given("lda.socket", spool_path(spool, "run/lda")),
        **unless_given("lda.maildirs", spool_path(spool, "maildirs/%u")),
    )
    servers = tuple(_derive_server(server, settings, postmaster, given) for server in settings.smtps)
    return replace(
        settings,
        postmaster=postmaster,
        log=replace(settings.log, **unless_given("log.file", spool_path(spool, "log/smx.log"))),
        mcp=replace(settings.mcp, hostname=host, spool=spool),
        qmgr=replace(settings.qmgr, hostname=host, spool=spool, postmaster=postmaster, **unless_given("qmgr.double_bounce_to", postmaster)),
        smtps=servers,
        smar=replace(
            settings.smar,
            hostname=host,
            spool=spool,
            postmaster=postmaster,
            own_addresses=tuple((socket.address, socket.port) for server in servers for socket in server.listen_socket if socket.port),
            **unless_given("smar.local_domains", (host,)),
            **unless_given("smar.lmtp_socket", lda.socket),
        ),
        smtpc=replace(settings.smtpc, hostname=host, spool=spool, **unless_given("smtpc.helo", host)),
        lda=replace(lda, hostname=host, spool=spool),
    )


def _derive_server(server: SmtpsSettings, settings: Settings, postmaster: str, given: Container[str]) -> SmtpsSettings:
    own_name = f"smtps.{server.name}.hostname" in given
    key = server.tls.key or server.tls.certificate
    return replace(
        server,
        hostname=server.hostname if own_name else settings.hostname,
        spool=settings.spool,
        postmaster=postmaster,
        tls=replace(server.tls, key=key),
        listen_socket=tuple(_derive_socket(server.name, number, socket, given) for number, socket in enumerate(server.listen_socket)),
    )


def _derive_socket(name: str, number: int, socket: ListenSocket, given: Container[str]) -> ListenSocket:
    """An inet6 socket without an address listens on ::1; a UNIX socket has neither address nor port."""
    path = f"smtps.{name}.listen_socket.{number}"
    if socket.type == "unix":
        return replace(socket, address="", port=0)
    if socket.type == "inet6" and f"{path}.address" not in given:
        return replace(socket, address="::1")
    return socket
