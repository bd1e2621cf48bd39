"""The configurations that `smx init` writes: `lab`, a whole host to play with below one directory, and `relay`, everything to one next hop."""

import os
from typing import Final

from msgspec import Struct

from smx.config.mailer import parse_domain, parse_entry
from smx.config.template import Template, fill
from smx.config.text import quote

CONFIG_NAME: Final = "smx.conf"

_LANGUAGE: Final = """\
The language: options `name = value;`, lists { a, b }, tables { "key" = "value"; }, sections `keyword [name] { ... }`.
Times are written 5m3s, sizes 10MiB; upper and lower case are the same in names; relative paths begin at the directory of this file.
`smx check` tells everything that is wrong with it, `smx config explain NAME` what an option means, `smx config show --origin` what is in force.
A line that begins with # shows the default of an option; take the # away to change it.
The processes start in the reverse order of their sections, and stop in this order."""

_LAB: Final = f"""\
smx.conf, made by `smx init --profile lab`: a whole mail host in this directory, to play with and to learn from. It needs no root.
  send   mail from this host to 127.0.0.1, port 2525 unless you chose another
  read   the Maildirs of the local users, in maildirs/
  users  in the file users; other names for them in the file aliases
  wait   mail to down.example stays in the queue: nobody ever answers there
Mail to other domains is sent to their MX hosts, but only for clients on this host.

{_LANGUAGE}"""

_RELAY: Final = f"""\
smx.conf, made by `smx init --profile relay`: takes mail from this host and sends all of it to one next hop, which knows what to do with it.
No mail is delivered here. Ports below 1024 need root.

{_LANGUAGE}"""

_USERS: Final = """\
# The local users, one a line: RCPT for anybody else gets 550. The first mail to a user makes the Maildir. A change is noticed within seconds.
alice
bob
postmaster
root
"""

_ALIASES: Final = """\
# Other names for local recipients: `name: target, target`. A target is a local user, another alias, or an address anywhere.
# A change is noticed within seconds; smx-newaliases tells what is wrong with the file.
mailer-daemon: postmaster
abuse: postmaster
webmaster: alice
team: alice, bob
"""

_DOWN: Final = '{ "down.example" = "[127.0.0.1]:1"; }'
_ORDER: Final = ("log", "mcp", "smtps", "qmgr", "smtpc", "lda", "smar")


class Choices(Struct, frozen=True):
    """What the caller of `smx init` may choose; an empty text takes the default of the profile, port 0 as well."""

    hostname: str = ""
    next_hop: str = ""
    address: str = "127.0.0.1"
    port: int = 0


def lab(choices: Choices) -> dict[str, str]:
    """The files of the profile lab: name -> text. ValueError for a bad choice."""
    hostname = parse_domain(choices.hostname or "mx.lab.example")
    domain = "lab.example" if not choices.hostname else hostname.partition(".")[2] or hostname
    domains = dict.fromkeys((domain, hostname)) if "." in domain else {hostname: None}
    chosen = {
        "hostname": quote(hostname),
        "spool": quote("spool"),
        **_listener(choices, 2525),
        "lda.maildirs": quote("maildirs/%u"),
        "smar.local_domains": "{ " + ", ".join(quote(name) for name in domains) + " }",
        "smar.local_user_map": "users",
        "smar.map.type": "file",
        "smar.map.file": quote("users"),
        "smar.aliases.file": quote("aliases"),
    }
    chosen["smar.mailertable"] = _everything_to(choices.next_hop) if choices.next_hop else _DOWN
    notes = {"smar": 'mailertable sends a domain elsewhere: mailertable = { "example.net" = "[127.0.0.1]:2526"; ".example.org" = "mx.example.org:25"; };'}
    template = Template(_LAB, chosen, {"smtps": "mx", "smar.map": "users"}, _ORDER, notes)
    return {"users": _USERS, "aliases": _ALIASES, CONFIG_NAME: fill(template)}


def relay(choices: Choices) -> dict[str, str]:
    """The files of the profile relay. ValueError for a bad choice, or without a next hop."""
    if not choices.next_hop:
        raise ValueError('the profile relay needs --next-hop, like "[192.0.2.1]:25" (this host) or "example.org" (its MX)')
    chosen = {
        "hostname": quote(parse_domain(choices.hostname or "relay.example.org")),
        "spool": quote("spool"),
        **_listener(choices, 25),
        "smar.local_domains": "{ }",
        "smar.mailertable": _everything_to(choices.next_hop),
    }
    order = tuple(path for path in _ORDER if path != "lda")
    return {CONFIG_NAME: fill(Template(_RELAY, chosen, {"smtps": "local"}, order))}


PROFILES: Final = {"lab": lab, "relay": relay}


def _listener(choices: Choices, port: int) -> dict[str, str]:
    kind = "inet6" if ":" in choices.address else "inet"
    return {
        "smtps.listen_socket.type": kind,
        "smtps.listen_socket.address": quote(choices.address),
        "smtps.listen_socket.port": str(choices.port or port),
        "smtps.relay_from": '{ "127.0.0.0/8", "::1/128" }',
    }


def _everything_to(next_hop: str) -> str:
    parse_entry("*", next_hop)
    return f'{{ "*" = {quote(next_hop)}; }}'


def write(directory: str, files: dict[str, str]) -> list[str]:
    """Write the files, which must not exist, the configuration last; returns their paths. OSError as it comes (FileExistsError for a file that is there)."""
    os.makedirs(directory, exist_ok=True)
    paths = [os.path.join(directory, name) for name in files]
    for path in paths:
        if os.path.lexists(path):
            raise FileExistsError(17, "is there already", path)
    for path, text in zip(paths, files.values(), strict=True):
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    return paths
