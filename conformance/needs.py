"""Needs: what a case needs from its target, and why it is skipped when that is not there.

Only what the target offers (EHLO) or its file states counts; nothing is inferred from a failure.

    extension:PIPELINING   offered by EHLO            no-extension:PIPELINING   not offered
    delivery               deliveries can be seen     two-recipients            two valid local recipients
    unknown                an invalid local user      outsider                  an address that the target does not trust
    relay-domain           relayed for anybody: the case's own domain is then below it
    dns                    the target sends by our DNS
    control:kill           a hook of the target file  policy:retry_s            a fact of the target file
    service:submission     a service of the target    auth                      credentials
    suite-tls              certificates of the suite that the target can check
"""

from collections.abc import Callable, Mapping
from typing import Final

from conformance.target import Target

NeedCheck = Callable[[Target, Mapping[str, str], str], bool]

_CHECKS: Final[dict[str, tuple[NeedCheck, str]]] = {
    "extension": (lambda target, offered, name: name in offered, "EHLO does not offer {name}"),
    "no-extension": (lambda target, offered, name: name not in offered, "EHLO offers {name}"),
    "delivery": (lambda target, offered, name: any((target.delivery.maildir, target.delivery.mbox, target.delivery.command)), "deliveries cannot be seen"),
    "two-recipients": (lambda target, offered, name: len(target.mail.recipients) > 1, "the target file has one recipient only"),
    "unknown": (lambda target, offered, name: bool(target.mail.unknown), "the target has no invalid local user"),
    "outsider": (lambda target, offered, name: bool(target.sources.outsider), "the target trusts every address we have"),
    "relay-domain": (lambda target, offered, name: bool(target.mail.relay_domain), "the target relays for no domain"),
    "dns": (lambda target, offered, name: bool(target.dns.listen), "the target does not send by our DNS"),
    "control": (lambda target, offered, name: name in target.control, "the target file has no hook {name}"),
    "policy": (lambda target, offered, name: name in target.policy, "the target file does not state {name}"),
    "service": (lambda target, offered, name: name in target.services, "the target has no service {name}"),
    "auth": (lambda target, offered, name: bool(target.auth.user), "the target file has no credentials"),
    "suite-tls": (lambda target, offered, name: bool(target.tls.suite_ca), "the target does not know the suite's authority"),
}


def lacking(need: str, target: Target, offered: Mapping[str, str]) -> str:
    """Why this need is not met; "" when it is. KeyError for a need that does not exist."""
    kind, _, name = need.partition(":")
    is_met, complaint = _CHECKS[kind]
    return "" if is_met(target, offered, name) else complaint.format(name=name)


def first_lacking(needs: tuple[str, ...], target: Target, offered: Mapping[str, str]) -> str:
    """Why the case is skipped, or ""."""
    return next((reason for reason in (lacking(need, target, offered) for need in needs) if reason), "")


def is_known(need: str) -> bool:
    """Whether there is such a need."""
    kind, colon, name = need.partition(":")
    return kind in _CHECKS and bool(colon) == bool(name) == (kind in ("extension", "no-extension", "control", "policy", "service"))
