"""Aliases: the file's syntax, and what an address expands to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from smx.config.schema_smar import AliasesSettings, MapSettings, SmarSettings
from smx.limits import ALIAS_DEPTH_MAX, EXPANSION_RECIPIENTS_MAX
from smx.smar.aliases import Target, parse, parse_targets
from smx.smar.tables import ALIASES_MAP
from tests.smar.driver import Driver

SETTINGS = SmarSettings(
    hostname="example.org", postmaster="postmaster@example.org", local_domains=("example.org", "example.net"), aliases=AliasesSettings("/etc/aliases")
)


def driver(file: str, settings: SmarSettings = SETTINGS) -> Driver:
    entries, problems = parse(file)
    assert not problems
    return Driver(settings, maps={ALIASES_MAP: {entry.name: entry.targets for entry in entries}})


# --- syntax ---------------------------------------------------------------------------------------------------------------------


def test_a_file_has_comments_continuations_quotes_and_addresses() -> None:
    text = """# people
Root: alice,
\tbob

"John Doe" : "john doe"@Example.ORG , <carol@example.net>
list@example.org: a , b
"""
    entries, problems = parse(text)
    assert problems == ()
    assert [(entry.name, entry.targets, entry.line) for entry in entries] == [
        ("root", "alice, bob", 2),
        ("john doe", '"john doe"@Example.ORG , <carol@example.net>', 5),
        ("list@example.org", "a , b", 6),
    ]
    assert parse_targets(entries[1].targets) == (Target('"john doe"@example.org'), Target("carol@example.net"))


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("alice", [Target("alice")]),
        ("\\alice", [Target("alice", True)]),
        ("\\alice@example.org, bob", [Target("alice@example.org", True), Target("bob")]),
        ('"a,b"@example.org', [Target('"a,b"@example.org')]),
        ('"a\\"b"@example.org', [Target('"a\\"b"@example.org')]),
        ('"plain"@example.org', [Target("plain@example.org")]),
        ("a,, b,", [Target("a"), Target("b")]),
        ("user+detail@Example.ORG", [Target("user+detail@example.org")]),
        ("x@bücher.example", [Target("x@xn--bcher-kva.example")]),
    ],
)
def test_targets_are_read(text: str, targets: list[Target]) -> None:
    assert list(parse_targets(text)) == targets


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("no colon here", "expected `name: target, target`"),
        ("a:", "a has no target"),
        ("a: ,", "a has no target"),
        (": b", "an empty name"),
        ('a: "|/bin/program"', "delivery to a program is not supported"),
        ("a: |program", "delivery to a program is not supported"),
        ("a: /var/file", "delivery to a file is not supported"),
        ("a: :include:/etc/list", "included lists are not supported"),
        ("a: b c", "not an address: b c"),
        ("a: b@", "not an address: b@"),
        ("a: @c", "not an address: @c"),
        ("a: b@c..d", "not an address: b@c..d"),
        ('a: "b@c', "not an address"),
        ("a: b@c d", "not an address"),
        ("\\a: b", "a name has no backslash"),
        ("A: b", "a stands in line 1 already"),
    ],
)
def test_errors_have_their_line(line: str, problem: str) -> None:
    entries, problems = parse(f"a: first\n\n{line}\nlast: b" if line == "A: b" else f"first: x\n\n{line}\nlast: b")
    ((number, text),) = problems
    assert number == 3
    assert problem in text
    assert entries[-1].name == "last", "the others are read all the same"


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    entries, problems = parse(text)
    for entry in entries:
        assert parse_targets(entry.targets)
    assert all(line >= 1 and problem for line, problem in problems)


# --- expansion -------------------------------------------------------------------------------------------------------------------


@pytest.mark.feature("SX50")
@pytest.mark.parametrize(
    ("file", "recipient", "members"),
    [
        ("info: alice", "info@example.org", ["alice@example.org"]),
        ("info: alice", "INFO@example.net", ["alice@example.net"]),
        ("info: alice", "info+x@example.org", ["alice@example.org"]),
        ("info+x: bob\ninfo: alice", "info+x@example.org", ["bob@example.org"]),
        ("info: far@elsewhere.example", "info@example.org", ["far@elsewhere.example"]),
        ("info@example.org: bob\ninfo: alice", "info@example.org", ["bob@example.org"]),
        ("info@example.org: bob\ninfo: alice", "info@example.net", ["alice@example.net"]),
        ("info@example.org: bob\ninfo+y: alice", "info+y@example.org", ["bob@example.org"]),
        ("a: b, c\nb: d\nc: d, e", "a@example.org", ["d@example.org", "e@example.org"]),
        ("a: x, X@example.org, x@far.example, X@far.example", "a@example.org", ["x@example.org", "x@far.example", "X@far.example"]),
        ("a: a, b", "a@example.org", ["a@example.org", "b@example.org"]),
        ("a: \\b, c\nb: far@elsewhere.example", "a@example.org", ["b@example.org", "c@example.org"]),
        ("a: b, c\nb: a, d", "a@example.org", ["d@example.org", "c@example.org"]),
        ('"john doe": john', '"john doe"@example.org', ["john@example.org"]),
        ('a: "john doe"', "a@example.org", ['"john doe"@example.org']),
        ("a: b@example.net\nb: c", "a@example.org", ["c@example.net"]),
        ("postmaster: root\nroot: alice", "postmaster", ["alice@example.org"]),
    ],
)
def test_an_alias_expands_to_its_members_once(file: str, recipient: str, members: list[str]) -> None:
    resolved = driver(file).resolve(recipient.encode())
    assert [address.decode() for address in resolved.expansion] == members
    assert (resolved.route, resolved.verdict, resolved.reverse_path) == (None, None, None)


@pytest.mark.feature("SX50")
@pytest.mark.parametrize(
    ("file", "recipient"), [("a: a", b"a@example.org"), ("a: \\a", b"a@example.org"), ("a: A@example.org", b"a@example.org"), ("b: c", b"a@example.org")]
)
def test_an_alias_of_itself_is_delivered(file: str, recipient: bytes) -> None:
    route = driver(file).resolve(recipient).route
    assert route is not None
    assert route.destination == "local"


def test_what_an_alias_gave_is_not_expanded_again() -> None:
    """A7: QMGR asks about the members with expand=False."""
    smar = driver("a: a, b\nb: far@elsewhere.example")
    for member in (b"a@example.org", b"b@example.org"):
        route = smar.resolve(member, expand=False).route
        assert route is not None
        assert route.destination == "local"


@pytest.mark.parametrize(("file", "code"), [("a: b\nb: a", b"5.4.6"), ("a: b\nb: c\nc: a, b", b"5.4.6")])
def test_an_alias_that_only_loops_fails(file: str, code: bytes) -> None:
    assert driver(file).refusal(b"a@example.org") == (554, code)


def test_depth_and_size_are_bounded() -> None:
    chain = "\n".join(f"a{n}: a{n + 1}" for n in range(ALIAS_DEPTH_MAX + 1))
    assert driver(chain).resolve(b"a1@example.org").expansion == (b"a%d@example.org" % (ALIAS_DEPTH_MAX + 1),)
    assert driver(chain).refusal(b"a0@example.org") == (554, b"5.4.6")
    large = "a: " + ", ".join(f"u{n}" for n in range(EXPANSION_RECIPIENTS_MAX + 1))
    assert driver(large).refusal(b"a@example.org") == (554, b"5.3.5")


@pytest.mark.feature("SX50")
@pytest.mark.parametrize(
    ("flags", "recipient", "expanded"),
    [
        (("localpart", "local_domains"), b"info@example.org", True),
        (("localpart", "local_domains"), b"whole@far.example", False),
        (("localpart",), b"whole@far.example", True),
        (("localpart",), b"info@far.example", False),
        (("local_domains",), b"info@example.org", False),
        (("local_domains",), b"whole@example.org", True),
        ((), b"whole@far.example", True),
        ((), b"info@example.org", False),
    ],
)
def test_the_flags_say_which_keys_count_for_whom(flags: tuple[str, ...], recipient: bytes, expanded: bool) -> None:
    settings = replace(SETTINGS, aliases=AliasesSettings("/etc/aliases", flags))
    resolved = driver("info: x\nwhole@far.example: y@example.org\nwhole@example.org: y", settings).resolve(recipient)
    assert bool(resolved.expansion) == expanded


def test_a_list_with_an_owner_gets_its_errors_there_unless_the_sender_is_null() -> None:
    smar = driver("list: a, b\nowner-list: admin\nplain: a")
    assert smar.resolve(b"list@example.org").reverse_path == b"owner-list@example.org"
    assert smar.resolve(b"list@example.org", reverse_path=b"").reverse_path is None
    assert smar.resolve(b"plain@example.org").reverse_path is None
    assert smar.resolve(b"owner-list@example.org").reverse_path is None


def test_postmaster_of_every_local_domain_reaches_the_configured_one() -> None:
    smar = driver("x: y", replace(SETTINGS, postmaster="help@far.example"))
    for recipient in (b"postmaster", b"PostMaster@example.net", b"postmaster@example.org"):
        assert smar.resolve(recipient).expansion == (b"help@far.example",)
    smar = driver("x: y")
    route = smar.resolve(b"postmaster").route
    assert route is not None
    assert route.destination == "local"
    assert smar.resolve(b"postmaster@example.net").expansion == (b"postmaster@example.org",)


def test_a_member_that_no_user_is_fails_when_its_turn_comes() -> None:
    settings = replace(SETTINGS, local_user_map="users", map=(MapSettings("users", entries=(("alice", ""),)),))
    smar = driver("info: alice, ghost", settings)
    assert smar.resolve(b"info@example.org").expansion == (b"alice@example.org", b"ghost@example.org")
    verdict = smar.resolve(b"ghost@example.org", expand=False).verdict
    assert verdict is not None
    assert verdict.enhanced == b"5.1.1"


def test_aliases_that_cannot_be_read_defer() -> None:
    smar = Driver(SETTINGS, maps={ALIASES_MAP: "/etc/aliases: no such file"})
    assert smar.refusal(b"anyone@example.org") == (451, b"4.3.0")
    assert smar.resolve(b"anyone@far.example").verdict is not None, "others are not concerned"


@given(
    st.dictionaries(
        st.sampled_from("abcdef"), st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", "\\a", "z", "y@far.example"]), min_size=1, max_size=4), max_size=6
    )
)
def test_any_graph_of_aliases_ends_in_members_that_are_no_aliases(graph: dict[str, list[str]]) -> None:
    resolved = Driver(SETTINGS, maps={ALIASES_MAP: {name: ", ".join(targets) for name, targets in graph.items()}}).resolve(b"a@example.org")
    members = [address.decode() for address in resolved.expansion]
    assert len(members) == len(set(members))
    stopped = {target[1:] for targets in graph.values() for target in targets if target.startswith("\\")}
    own = {name for name, targets in graph.items() if name in targets}
    for member in members:
        local = member.partition("@")[0]
        assert local not in graph or local in stopped | own
