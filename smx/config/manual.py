"""The configuration manual: docs/configuration.md, made from the option tables, so that it cannot disagree with the checker.

smx config explain --all --markdown > docs/configuration.md
"""

from collections.abc import Iterator
from typing import Final

from smx.config.option import Kind, Option, Section, default_of
from smx.config.schema import OPTIONS, SECTIONS
from smx.config.show import explain

HEAD: Final = """\
# Configuration

Made by `smx config explain --all --markdown` from the tables that the checker reads; do not edit it.
`smx init DIR` writes a commented file that works, `smx check` tells everything that is wrong with one, `smx config show --origin` tells what is in
force and where it comes from, `smx config explain qmgr.retry.min` what one option means.

## The language

    hostname = "mx.example.org";                  # an option: name = value;
    smtps mx {                                    # a section: keyword [name] { ... }
        listen_socket { type = inet; address = "0.0.0.0"; port = 25; }
        relay_from = { 127.0.0.0/8, ::1/128 };    # a list
        io_timeout = 5m;                          # a time: 1h30m, 250ms
        message_size_max = 50MiB;                 # a size: KiB, MiB, GiB
        extensions = { dont_chunking };           # flags; dont_ takes one from the default
    }
    smar {
        mailertable = { "example.net" = "[192.0.2.1]:25"; ".example.com" = "lmtp:unix:/run/lmtp"; };   # a table
    }
    include "more.conf";

Names and keywords know no upper and lower case. A value with letters other than those of names stands in quotes. Comments are `# ...`, `// ...` and
`/* ... */`. Relative paths begin at the directory of the file in which they stand. Each process has its section, and runs only when the section is
there; the processes start in the reverse order of the file, and stop in its order.

The right-hand side of `mailertable`: `[host]:port` (this host, no MX), `host:port` (its MX), `lmtp:unix:/path`, `lmtp:[host]:port`, `local`,
`error:5.1.1 text`. Its keys: a domain, `.domain` for everything below it (the longest that fits), `*`; the first of these that matches decides.

Parts of the recipient's address may stand there: `${domain}` in a host; `${domain}` and `${user}` (in lower case) in a path; these, `${detail}` (what
is behind `recipient_delimiter`) and `${address}` in the text of an error. Right-hand sides of aliases take all four in the local part of a target, and
`${domain}` in its domain: `sales: ${user}-${detail}@crm.example`. What a sender writes there never becomes more than that part.
"""


def markdown() -> str:
    """The manual."""
    return HEAD + "".join(f"\n{line}" for section in SECTIONS for line in _section(section)) + "\n"


def _section(section: Section) -> Iterator[str]:
    yield f"## {_title(section)}\n"
    yield f"{section.explanation[0].upper()}{section.explanation[1:]}.{' MCP runs processes for it.' if section.process else ''}\n"
    yield "| option | takes | default | meaning |"
    yield "|---|---|---|---|"
    for option in OPTIONS:
        if option.section == section.path:
            yield _row(option, section)
    yield ""


def _title(section: Section) -> str:
    return f"`{section.path}{' NAME' if section.named else ''}`" if section.path else "The top of the file"


def _row(option: Option, section: Section) -> str:
    told = explain(option, default_of(section.struct, option.field))
    takes = told["takes"]
    if option.choices and option.kind in (Kind.CHOICE, Kind.FLAGS):
        takes += ": " + told["choices"]
    if "range" in told:
        takes += f", {told['range']}"
    meaning = told["meaning"] + (f"; 0: {option.zero}" if option.zero else "")
    default = told["default"] if option.derived else f"`{told['default']}`" if told["default"] != '""' else "none"
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (f"`{option.name}`", takes, default, meaning)) + " |"
