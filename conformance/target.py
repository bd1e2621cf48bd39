"""Target: the facts about the MTA under test, read from a target file (TOML) that its owner or a profile writes.

name = "smx"
version = "0.1"
hostname = "mx.example.test"            # what the target calls itself
[services]                              # host:port, or the path of a UNIX socket
smtp = "127.0.0.1:2525"
[mail]
local_domain = "example.test"
recipients = ["alice@example.test", "bob@example.test"]     # valid, local
unknown = "nobody@example.test"         # local domain, no such user; "" when every user is valid
relay_domain = "relayed.test"           # accepted from anybody, sent on by MX; "" when there is none
foreign = "someone@elsewhere.test"      # to be refused from outsiders
[sources]
trusted = "127.0.0.1"                   # from here it relays to any domain
outsider = "127.0.0.9"                  # from here it does not; "" when it trusts every address we have
[delivery]
maildir = "/scratch/maildirs/%u"        # %u user, %d domain, %a address; or mbox = "/scratch/mail/%u"; or command = "show-mail %a" that prints an mbox
[dns]
listen = "127.9.0.1:53"                 # where the target asks: the suite answers there
suffix = "dest.test"                    # the cases' domains stand below this
remote_port = 25                        # the port on which it visits MX hosts
addresses = "127.9"                     # the MX hosts of the suite get addresses 127.9.x.y
[control]                               # commands
kill = "kill -9 ..."
start = "..."
[policy]                                # numbers and words that cases may ask for
retry_s = 300
[tls]
ca = "ca.pem"                           # the authority of the target's certificate, for checks by the suite
suite_ca = "suite.pem"                  # authority (certificate and key) that signs the suite's own certificates
[submit]                                # how mail to be sent on is handed in
service = "smtp"
tls = false
auth = false
[limits]
parallel = 8                            # cases at a time
reply_s = 20.0                          # how long a reply, and a delivery, is waited for
delivery_s = 20.0
[auth]
user = "alice"
password = "..."
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct, field


class TargetError(ValueError):
    """The target file cannot be used; the text says where and why."""


class Mail(Struct, frozen=True, forbid_unknown_fields=True):
    local_domain: str
    recipients: tuple[str, ...]
    unknown: str = ""
    relay_domain: str = ""
    foreign: str = "someone@elsewhere.test"


class Sources(Struct, frozen=True, forbid_unknown_fields=True):
    trusted: str = "127.0.0.1"
    outsider: str = ""


class Delivery(Struct, frozen=True, forbid_unknown_fields=True):
    """At most one of them; none: deliveries cannot be seen."""

    maildir: str = ""
    mbox: str = ""
    command: str = ""


class Dns(Struct, frozen=True, forbid_unknown_fields=True):
    """`listen` empty: the target does not ask our DNS, so no case in which it is the client can run."""

    listen: str = ""
    suffix: str = "dest.test"
    remote_port: int = 25
    addresses: str = "127.9"


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    ca: str = ""
    suite_ca: str = ""


class Auth(Struct, frozen=True, forbid_unknown_fields=True):
    user: str = ""
    password: str = ""


class Submit(Struct, frozen=True, forbid_unknown_fields=True):
    """How mail is handed to the target that it shall send on: by which service, after STARTTLS, after AUTH."""

    service: str = "smtp"
    tls: bool = False
    auth: bool = False


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """How hard the suite may press: cases at a time, and how long it waits for a reply and for a delivery."""

    parallel: int = 8
    reply_s: float = 20.0
    delivery_s: float = 20.0


class Target(Struct, frozen=True, forbid_unknown_fields=True):
    """One MTA under test."""

    name: str
    hostname: str
    services: dict[str, str]
    mail: Mail
    version: str = ""
    sources: Sources = field(default_factory=Sources)
    delivery: Delivery = field(default_factory=Delivery)
    dns: Dns = field(default_factory=Dns)
    control: dict[str, str] = field(default_factory=dict)
    policy: dict[str, int | float | str | bool] = field(default_factory=dict)
    tls: Tls = field(default_factory=Tls)
    auth: Auth = field(default_factory=Auth)
    submit: Submit = field(default_factory=Submit)
    limits: Limits = field(default_factory=Limits)

    @property
    def recipient(self) -> str:
        """The first valid local recipient."""
        return self.mail.recipients[0]


def parse(facts: Mapping[str, object]) -> Target:
    """Raises TargetError."""
    try:
        target = msgspec.convert(facts, Target)
    except msgspec.ValidationError as error:
        raise TargetError(f"target file: {error}") from error
    if not target.mail.recipients:
        raise TargetError("target file: mail.recipients has no address")
    for address in (*target.mail.recipients, target.mail.unknown, target.mail.foreign):
        if address and not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
            raise TargetError(f"target file: {address!r} is not an address")
    if sum(map(bool, (target.delivery.maildir, target.delivery.mbox, target.delivery.command))) > 1:
        raise TargetError("target file: delivery has more than one of maildir, mbox and command")
    return target


def load(path: Path) -> Target:
    """Raises TargetError, OSError."""
    try:
        return parse(tomllib.loads(path.read_text()))
    except tomllib.TOMLDecodeError as error:
        raise TargetError(f"{path}: {error}") from error
