"""The machine under test: the real components with small stores, one mail domain, and a few hosts around it."""

from smx.config.schema import LdaSettings, MailerEntry, QmgrSettings, RetrySettings, SmarSettings, SmtpcSettings, SmtpsSettings
from smx.config.schema_qmgr import QmgrSmtpcSettings
from smx.config.schema_smar import AliasesSettings
from smx.lda.machine import Lda
from smx.qmgr.machine import Qmgr
from smx.smar.machine import Smar
from smx.smtpc.machine import Smtpc
from smx.smtps.machine import Smtps
from smx.units import DAY, KIB, MIB, SECOND
from tests.crash.disk import Disk
from tests.crash.outside import Outside, Sink, count_content
from tests.crash.world import World

HOSTNAME = "mx.lab.example"
DOMAIN = "lab.example"
EPOCHS_A_LIFE = 10
WASTE_MAX = 64 * MIB  # so much that nothing is ever copied

SINKS: dict[str, tuple[str, dict[str, str]]] = {
    # domain            address        what its host answers while the trouble lasts
    "sink.example": ("192.0.2.10", {}),
    "later.example": ("192.0.2.11", {"a@later.example": "450 4.2.1 Later", "b@later.example": "450 4.2.1 Later"}),
    "never.example": ("192.0.2.12", {"a@never.example": "550 5.1.1 Unknown", "b@never.example": "550 5.1.1 Unknown"}),
    "down.example": ("192.0.2.13", {}),
}


def components(*, cut_through: bool, waste_max: int = WASTE_MAX) -> list[object]:
    """Fresh components of one life, QMGR first. `waste_max`: octets of dead content beyond which segments are given up."""
    spool = "/spool"
    qmgr = QmgrSettings(
        hostname=HOSTNAME,
        spool=spool,
        postmaster=f"postmaster@{DOMAIN}",
        double_bounce_to=f"postmaster@{DOMAIN}",
        cut_through_us=SECOND if cut_through else 0,
        min_free_octets=0,
        ibdb_segment_octets=64 * KIB,
        cdb_segment_octets=64 * KIB,
        cdb_waste_max_octets=waste_max,
        smtpc=QmgrSmtpcSettings(initial_connections=2, max_connections=4),
        retry=RetrySettings(min_us=SECOND, max_us=4 * SECOND, give_up_us=5 * DAY, warn_us=0, dead_min_us=SECOND, dead_max_us=2 * SECOND),
    )
    table = [MailerEntry(domain, "host", address, 25) for domain, (address, _) in SINKS.items()]
    smar = SmarSettings(
        hostname=HOSTNAME,
        spool=spool,
        local_domains=(DOMAIN,),
        mailertable=tuple(table),
        lmtp_socket=f"{spool}/run/lda",
        aliases=AliasesSettings(file="/etc/aliases"),
    )
    return [
        Qmgr(qmgr),
        Smar(smar),
        Lda(LdaSettings(hostname=HOSTNAME, spool=spool, socket=f"{spool}/run/lda", maildirs="/m/%u")),
        Smtpc(SmtpcSettings(hostname=HOSTNAME, helo=HOSTNAME, spool=spool, tls=False, idle_keep_us=SECOND), "smtpc.0"),
        Smtps(SmtpsSettings(name="mx", hostname=HOSTNAME, spool=spool, cdb_segment_octets=64 * KIB), "smtps.mx.0"),
    ]


def power_on(disk: Disk, outside: Outside, *, life: int, cut_through: bool = False, trouble: bool = True, waste_max: int = WASTE_MAX) -> World:
    """A new life of the machine on this disk. With `trouble` False every host elsewhere is healthy."""

    def host(domain: str) -> Sink:
        return Sink(outside, SINKS[domain][1] if trouble or domain == "never.example" else {})

    hosts = {(address, 25): (lambda domain=domain: host(domain)) for domain, (address, _) in SINKS.items() if not (trouble and domain == "down.example")}
    world = World(components(cut_through=cut_through, waste_max=waste_max), disk, epoch=life * EPOCHS_A_LIFE, hosts=hosts)  # type: ignore[arg-type]

    def deposit(directory: str, content: bytes) -> None:
        count_content(content, [f"{directory.rpartition('/')[2]}@{DOMAIN}"], outside.arrived, outside.bounces)

    world.on_deposit = deposit
    return world
