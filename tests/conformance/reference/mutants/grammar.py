"""The grammar of arguments (RFC 5321 4.1.2, 4.1.3): a production that is too narrow, or too wide."""

# mypy: disable-error-code="attr-defined, call-overload, func-returns-value, method-assign, misc, no-any-return, return-value, var-annotated"

from typing import Any, Final, NamedTuple

from tests.conformance.reference.grammar import PRODUCTIONS, Grammar, Path
from tests.conformance.reference.mta import Reference
from tests.conformance.reference.mutants.mutant import Mutant, altered, ids, mutant
from tests.conformance.reference.reply import Reply
from tests.conformance.reference.session import Session

GOOD: Final = "4.1.2-n1a 3.3-n1"
FORM: Final = "4.1.4-13a 4.1.4-13b 4.1.4-14b"
CHARACTER: Final = "4.1.2-9"
ROUTE: Final = "4.1.2-1a F.2-1 C-3a 4.1.1.3-2a 3.3-5a"
LITERAL_4: Final = "4.1.3-n1 4.1.2-n1a"
LITERAL_6: Final = "4.1.3-n2 4.1.2-n1a"
HELLO: Final = "4.1.4-5 4.1.4-6"


class Row(NamedTuple):
    name: str
    tests: str
    production: str
    pattern: str


def _without(letters: str) -> str:
    """The letters of an atom but for these."""
    return "[" + "".join("\\" + letter if letter in "-]^\\" else letter for letter in _ATEXT if letter not in letters) + "]"


def _with(production: str, more: str) -> str:
    return f"(?:{PRODUCTIONS[production]}|{more})"


_ATEXT: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+/=?^_`{|}~-"

NARROW: Final = (
    Row("no-null-path", GOOD + " 4.5.1-4", "reverse-path", "<path>"),
    Row("no-single-letter", GOOD, "atom", "(?:<atext>{2,})"),
    Row("no-dots-in-local-part", GOOD, "dot-string", "<atom>"),
    Row("no-digits-in-local-part", GOOD, "atext", _without("0123456789")),
    Row("no-plus", GOOD, "atext", _without("+")),
    Row("no-equals", GOOD, "atext", _without("=")),
    *(Row(f"no-sign-{ord(letter):02x}", GOOD, "atext", _without(letter)) for letter in "!#$%&'*/?^`{|}~"),
    Row("no-leading-sign", GOOD, "local-part", "(?:(?![-])<dot-string>|<quoted-string>)"),
    Row("no-capitals-in-local-part", GOOD, "atext", _without("ABCDEFGHIJKLMNOPQRSTUVWXYZ")),
    Row("no-quoted-string", GOOD + " 4.1.2-5a 4.1.2-n2", "local-part", "<dot-string>"),
    Row("no-empty-quotes", GOOD, "quoted-string", '(?:"(?:<qtext>|<quoted-pair>)+")'),
    *(
        Row(f"no-quoted-{name}", GOOD, "quoted-string", f'(?:"(?!{look})(?:<qtext>|<quoted-pair>)*")')
        for name, look in (
            ("space", r"[^\"]* "),
            ("at", '[^"]*@'),
            ("open", '[^"]*<'),
            ("close", '[^"]*>'),
            ("comma", '[^"]*,'),
            ("dots", r"[^\"]*\.\."),
            ("quote", r'[^\"]*\\"'),
            ("backslash", r"[^\"]*\\\\"),
            ("needless-pair", r"[^\"]*\\[a-z]"),
            ("needless", r"[a-z]+\""),
        )
    ),
    Row("no-quoted-pair", GOOD + " 4.1.2-n2 4.1.2-5a", "quoted-string", '(?:"<qtext>*")'),
    Row("no-leading-digit-in-domain", GOOD, "sub-domain", "(?:[A-Za-z](?:<ldh-str>)?)"),
    Row("no-double-hyphen", GOOD, "ldh-str", "(?:[A-Za-z0-9]*(?:-[A-Za-z0-9]+)*)"),
    Row("no-hyphen", GOOD, "ldh-str", "[A-Za-z0-9]+"),
    Row("no-long-label", GOOD + " 4.5.3.1.2-n1", "sub-domain", "(?:<let-dig>[A-Za-z0-9-]{0,55})"),
    Row("no-one-letter-label", GOOD, "sub-domain", "(?:<let-dig><ldh-str>)"),
    Row("no-capitals-in-domain", GOOD + " 2.4-n2", "let-dig", "[a-z0-9]"),
    Row("no-single-label", GOOD, "domain", r"(?:<sub-domain>(?:\.<sub-domain>)+)"),
    Row("no-ipv4-literal", LITERAL_4, "literal", r"(?:\[<ipv6>\])"),
    Row("no-ipv4-of-three-digits", LITERAL_4, "ipv4", r"(?P<ipv4>[0-9]{1,2}(?:\.[0-9]{1,2}){3})"),
    Row("no-ipv6-literal", LITERAL_6, "literal", r"(?:\[<ipv4>\])"),
    Row("no-ipv6-short", LITERAL_6, "ipv6", "(?:IPv6:(?P<ipv6>(?:[0-9A-Fa-f]+:)+[0-9A-Fa-f.]+))"),
    Row("no-ipv6-full", LITERAL_6, "ipv6", "(?:IPv6:(?P<ipv6>[0-9A-Fa-f:.]*::[0-9A-Fa-f:.]*))"),
    Row("no-ipv6-end", LITERAL_6, "ipv6", "(?:IPv6:(?P<ipv6>[0-9A-Fa-f:.]+[0-9A-Fa-f]))"),
    Row("no-ipv6-with-ipv4", LITERAL_6, "ipv6", "(?:[Ii][Pp][Vv]6:(?P<ipv6>[0-9A-Fa-f:]+))"),
    Row("no-ipv6-tag-in-small-letters", LITERAL_6, "ipv6", "(?:IPv6:(?P<ipv6>[0-9A-Fa-f:.]+))"),
    Row("no-route", ROUTE, "path", "<<mailbox>>"),
    Row("no-route-of-two", ROUTE, "route", "(?P<route>@<domain>:)"),
    Row("no-postmaster-alone", "4.5.1-3 4.5.1-4 2.3.5-4", "forward-path", "<path>"),
    Row("postmaster-in-small-letters-only", "4.5.1-3 4.5.1-4 2.3.5-4", "postmaster", "<(?P<postmaster>postmaster)>"),
    Row("hello-no-literal", LITERAL_4 + " " + LITERAL_6, "hello-name", "<domain>"),
    Row("from-in-capitals-only", "2.4-n1 2.4-1", "from", "FROM:"),
    Row("to-in-capitals-only", "2.4-n1 2.4-1", "to", "TO:"),
    Row("parameters-in-capitals-only", "2.4-n1", "parameter", "(?P<keyword>[A-Z0-9][A-Z0-9-]*)(?:=(?P<value>[!-<>-~]+))?"),
)

WIDE: Final = (
    Row("takes-space", FORM, "dot-string", "(?:<atom>(?:[. ]<atom>)*)"),
    Row("takes-two-ats", FORM, "dot-string", "(?:<atom>(?:[.@]<atom>)*)"),
    *(Row(f"takes-{name}", FORM, "atext", _with("atext", sign)) for name, sign in (("comma", ","), ("semicolon", ";"), ("parenthesis", "[()]"))),
    *(Row(f"takes-{name}", FORM, "atext", _with("atext", sign)) for name, sign in (("bracket", r"[\[\]]"), ("backslash", r"\\"), ("quote", '"'))),
    Row("takes-inner-brackets", FORM, "path", "<<?(?:<route>)?<mailbox>>>?"),
    Row("takes-text-after-quotes", FORM, "local-part", "(?:<dot-string>|<quoted-string><atom>?)"),
    Row("takes-open-quote", FORM, "local-part", '(?:<dot-string>|<quoted-string>|"<atom>)'),
    Row("takes-underscore-in-domain", f"{CHARACTER} {FORM} {HELLO}", "ldh-str", "[A-Za-z0-9_-]*[A-Za-z0-9]"),
    Row("takes-slash-in-domain", f"{CHARACTER} {FORM} {HELLO}", "ldh-str", "[A-Za-z0-9/-]*[A-Za-z0-9]"),
    Row("takes-at-in-hello", f"{CHARACTER} {HELLO}", "hello-name", "(?:(?:<atom>@)?<domain>|<literal>)"),
    Row("takes-space-in-domain", f"{CHARACTER} {FORM}", "domain", r"(?:<sub-domain>(?:[. ]<sub-domain>)*)"),
    Row("takes-nothing-after-from", FORM, "reverse-path", "(?:<path>|<null-path>|(?:))"),
    Row("takes-nothing-after-to", FORM, "forward-path", "(?:<path>|<postmaster>|<(?P<postmaster>)>|(?:))"),
    Row("takes-null-recipient", FORM, "forward-path", "(?:<path>|<postmaster>|<(?P<postmaster>)>)"),
    Row("takes-no-from", FORM, "from", "(?i:FROM:)?"),
    Row("takes-no-to", FORM, "to", "(?i:TO:)?"),
    Row("takes-to-for-from", FORM, "from", "(?i:FROM|TO):"),
    Row("takes-from-for-to", FORM, "to", "(?i:FROM|TO):"),
    Row("takes-no-colon-after-from", FORM, "from", "(?i:FROM):? ?"),
    Row("takes-no-colon-after-to", FORM, "to", "(?i:TO):? ?"),
    Row("takes-no-brackets", FORM, "path", "<?(?:<route>)?<mailbox>>?"),
    Row("takes-no-domain", FORM, "mailbox", "(?P<local>(?:<local-part>))@(?P<domain>(?:<domain>|<literal>|(?:)))"),
    Row("takes-no-local-part", FORM, "mailbox", "(?P<local>(?:<local-part>|(?:)))@(?P<domain>(?:<domain>|<literal>))"),
    Row("takes-only-at", FORM, "null-path", "<@?>"),
    Row("takes-space-in-null-path", FORM, "null-path", "< ?>"),
    Row("takes-leading-dot", FORM, "dot-string", r"(?:\.?<atom>(?:\.<atom>)*)"),
    Row("takes-trailing-dot", FORM, "dot-string", r"(?:<atom>(?:\.<atom>)*\.?)"),
    Row("takes-two-dots", FORM, "dot-string", r"(?:<atom>(?:\.+<atom>)*)"),
    Row("takes-two-dots-in-domain", f"{FORM} {HELLO}", "domain", r"(?:<sub-domain>(?:\.+<sub-domain>)*)"),
    Row("takes-leading-dot-in-domain", FORM, "domain", r"(?:\.?<sub-domain>(?:\.<sub-domain>)*)"),
    Row("takes-trailing-dot-in-domain", FORM, "domain", r"(?:<sub-domain>(?:\.<sub-domain>)*\.?)"),
    Row("takes-leading-hyphen", f"{FORM} {HELLO}", "sub-domain", "(?:-?<let-dig>(?:<ldh-str>)?)"),
    Row("takes-trailing-hyphen", FORM, "sub-domain", "(?:<let-dig>(?:<ldh-str>)?-?)"),
    Row("takes-name-before-path", FORM, "reverse-path", "[A-Za-z ]*(?:<path>|<null-path>)"),
    Row("takes-junk-after-path", FORM, "path", "<(?:<route>)?<mailbox>>[a-z]*"),
    Row("takes-two-paths", FORM, "path", "<(?:<route>)?<mailbox>>(?:,<[^>]*>)?"),
    Row("takes-three-numbers", FORM, "ipv4", r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){2,3})"),
    Row("takes-five-numbers", FORM, "ipv4", r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3,4})"),
    Row("takes-256", f"{FORM} {HELLO}", "ipv4", r"(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3})"),
    Row("takes-letters-in-ipv4", FORM, "ipv4", r"(?:[0-9a-z]{1,3}(?:\.[0-9a-z]{1,3}){3})"),
    Row("takes-open-literal", f"{FORM} {HELLO}", "literal", r"(?:\[(?:<ipv4>|<ipv6>)\]?)"),
    Row("takes-empty-literal", FORM, "literal", r"(?:\[(?:<ipv4>|<ipv6>)?\])"),
    Row("takes-any-ipv6", FORM, "ipv6", "(?:[Ii][Pp][Vv]6:[0-9A-Fa-f:.]+)"),
    Row("takes-route-without-colon", FORM, "route", "(?P<route>@<domain>(?:,@<domain>)*[: ])"),
    Row("takes-route-without-at", FORM, "route", "(?P<route>@?<domain>(?:,@?<domain>)*:)"),
    Row("takes-route-alone", FORM, "mailbox", "(?:(?P<local>(?:<local-part>))@(?P<domain>(?:<domain>|<literal>)))?"),
    Row("takes-empty-hello", HELLO, "hello-name", "(?:<domain>|<literal>|)"),
)


def _changed(row: Row) -> Mutant:
    return Mutant(f"grammar-{row.name}", ids(row.tests), {"grammar": Grammar({row.production: row.pattern})})


def _ignoring_parameters(self: Reference, session: Session, parameters: dict[str, str], known: dict[str, str]) -> Reply | None:
    return None


def _after_helo(self: Reference, session: Session, argument: str) -> Reply:
    session.protocol = "ESMTP"
    return Reference.do_mail(self, session, argument)


def _comment_is_dropped(found: tuple[Path, str] | None, self: Grammar, argument: str) -> tuple[Path, str] | None:
    return found and (found[0], "" if "(" in found[1] else found[1])


class _Comments(Grammar):
    """Takes a comment behind the path."""

    def mail(self, argument: str) -> tuple[Path, str] | None:
        return _comment_is_dropped(super().mail(argument), self, argument)


class _Spaces(Grammar):
    """Does not mind white space before the path, yet stands still afterwards."""

    def mail(self, argument: str) -> tuple[Path, str] | None:
        return super().mail(argument.replace(" :", ":").replace(": ", ":").strip())


def _opens_in_spite(reply: Reply, self: Reference, session: Session, argument: str) -> Reply:
    if reply.code >= 500:
        session.state = "mail"
    return reply


def _drops_in_spite(reply: Reply, self: Reference, session: Session, argument: str) -> Reply:
    if reply.code >= 500:
        session.clear()
    return reply


def _closes_in_spite(reply: Reply, self: Reference, session: Session, argument: str) -> Reply:
    return Reply(250, ("2.1.0 Ok",)) if reply.code >= 500 and " " in argument[:7] else reply


_any: Any = lambda self, text: True  # noqa: E731

MUTANTS: Final = (
    *(_changed(row) for row in (*NARROW, *WIDE)),
    mutant("grammar-takes-wrong-literals", f"{FORM} {HELLO}", grammar=Grammar(checks_literals=False)),
    mutant("grammar-takes-comment", FORM, grammar=_Comments()),
    mutant("spaces-open-and-stay", FORM, grammar=_Spaces(), do_rset=lambda self, session, argument: Reply(502, ("5.5.1 No",))),
    mutant(
        "takes-control-characters",
        f"{CHARACTER} {FORM}",
        is_clean=_any,
        grammar=Grammar({"atext": _with("atext", r"[\x00-\x1f\x7f]"), "qtext": _with("qtext", r"[\x00-\x1f\x7f]")}),
    ),
    mutant("refused-mail-opens", FORM + " 4.1.1.11-n1", do_mail=altered("do_mail", _opens_in_spite)),
    mutant("refused-rcpt-drops", "4.1.4-14b 3.3-n4", do_rcpt=altered("do_rcpt", _drops_in_spite)),
    mutant("refused-ehlo-drops", "4.1.4-6", do_ehlo=altered("do_ehlo", _drops_in_spite)),
    mutant("parameters-ignored", "4.1.1.11-n1", refusal_of_parameters=_ignoring_parameters),
    mutant(
        "parameters-not-parsed",
        "4.1.1.11-n1 4.1.4-13a 4.1.4-13b",
        refusal_of_parameters=_ignoring_parameters,
        is_clean=_any,
        grammar=Grammar({"parameter": r"(?P<keyword>[^=]*)(?:=(?P<value>.*))?"}),
    ),
    mutant("space-after-colon-taken-wrongly", FORM, do_mail=altered("do_mail", _closes_in_spite)),
)
