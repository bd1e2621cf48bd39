"""Macros in the right-hand side of the mailer table and of aliases (SX51): parts of the recipient's address.

    ${user}       its local part without the detail
    ${detail}     what stands behind recipient_delimiter; empty when nothing does
    ${domain}     its domain
    ${address}    all of it

Their values come from a peer. So they are put in where a right-hand side has been taken apart already, into one local part, one host, one component
of a path, one text: whatever they hold, they make no further target, directory or option.
"""

import re
from collections.abc import Mapping
from typing import Final

USER: Final = "user"
DETAIL: Final = "detail"
DOMAIN: Final = "domain"
ADDRESS: Final = "address"
MACROS: Final = (USER, DETAIL, DOMAIN, ADDRESS)
MACRO_BEGIN: Final = "${"
_MACRO: Final = re.compile(r"\$\{([^}]*)\}?")


def macros_in(text: str, allowed: tuple[str, ...] = MACROS) -> frozenset[str]:
    """The macros in a text; ValueError when one is not known, not allowed there, or not closed."""
    found = set()
    for macro in _MACRO.finditer(text):
        if macro[1].lower() not in allowed or not macro[0].endswith("}"):
            raise ValueError(f"{macro[0]} cannot stand here; expected one of {', '.join(f'${{{name}}}' for name in allowed)}")
        found.add(macro[1].lower())
    return frozenset(found)


def with_values(text: str, values: Mapping[str, str]) -> str:
    """The text with the values in place of the macros, in one pass: what is put in is not looked at again."""
    return _MACRO.sub(lambda macro: values[macro[1].lower()], text)
