"""From text to Settings: what is filled in, and what is refused."""

from pathlib import Path

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from smx.config.check import check
from smx.config.load import examine, find_config, load, load_text
from smx.config.parser import source_of
from smx.config.problems import ConfigError
from smx.config.schema import ListenSocket, MailerEntry, MapSettings, Settings
from smx.units import DAY, MINUTE, SECOND

SAMPLE = """
hostname = "mx.example.org";
spool = "/var/spool/smx";

qmgr {
    aq_max_entries = 8192;
    cut_through = 1s;
    smtpc { initial_connections = 5; max_connections = 100; }
    retry { min = 5m; max = 4h; give_up = 5d; warn = 4h; }
    start_action = wait; user = root; restart_dependencies = { smtps, smtpc, smar };
}
smtps mx {
    listen_socket { type = inet; address = "0.0.0.0"; port = 25; }
    processes = 2; io_timeout = 5m;
    start_action = pass; user = root;
}
smtpc { }
smar {
    nameserver = { 127.0.0.1 }; dns_timeout = 6s;
    map users { type = inline; entries = { "alice" = ""; }; }
    local_user_map = users; lmtp_socket = "/run/lmtp";
    local_domains = { "example.org" };
    mailertable = { ".example.net" = "[relay.example.net]:25"; };
}
"""


def messages(text: str) -> list[str]:
    return [p.message for p in check(text, source_of("smx.conf", text), look_at_files=False).problems]


def only(text: str) -> str:
    """The one complaint about a text."""
    found = messages(text)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.feature("SX46")
def test_smar_is_told_where_this_host_listens() -> None:
    """Not the sockets of the file system, nor those whose port the kernel picks."""
    more = """listen_socket { type = inet6; port = 587; } listen_socket { type = unix; path = "/run/x"; } listen_socket { port = 0; }"""
    got = load_text(SAMPLE.replace("processes = 2;", f"processes = 2; {more}"))
    assert got.smar.own_addresses == (("0.0.0.0", 25), ("::1", 587))


@pytest.mark.feature("SX62")
def test_the_sample_in_the_spirit_of_the_original_is_understood() -> None:
    got = load_text(SAMPLE)
    assert got.order == ("qmgr", "smtps.mx", "smtpc", "smar")
    assert got.qmgr.retry.give_up_us == 5 * DAY
    assert got.qmgr.cut_through_us == SECOND
    assert got.smtps[0].listen_socket == (ListenSocket("inet", "0.0.0.0", 25),)
    assert got.smtps[0].io_timeout_us == 5 * MINUTE
    assert got.smar.nameserver == (("127.0.0.1", 53),)
    assert got.smar.mailertable == (MailerEntry(".example.net", "host", "relay.example.net", 25),)
    assert got.smar.map == (MapSettings("users", "inline", "", (("alice", ""),)),)


def test_what_is_not_given_follows_from_hostname_and_spool(good: str) -> None:
    got = load_text(good)
    assert got.postmaster == got.qmgr.postmaster == got.qmgr.double_bounce_to == "postmaster@mx.example.org"
    assert got.smar.local_domains == ("mx.example.org",)
    assert got.smtpc.helo == got.smtps[0].hostname == got.lda.hostname == "mx.example.org"
    assert got.smar.lmtp_socket == got.lda.socket == "/var/spool/smx/run/lda"
    assert got.log.file == "/var/spool/smx/log/smx.log"
    assert got.mcp.spool == got.smtpc.spool == "/var/spool/smx"


def test_what_is_given_is_not_overruled(good: str) -> None:
    text = good.replace("smtpc {", 'postmaster = "p@a.example"; smtpc { helo = h.example;').replace("smtps mx {", "smtps mx { hostname = s.example;")
    got = load_text(text.replace("lda {", 'lda { socket = "l";'))
    assert (got.postmaster, got.qmgr.double_bounce_to) == ("p@a.example", "p@a.example")
    assert (got.smtpc.helo, got.smtps[0].hostname) == ("h.example", "s.example")
    assert got.smar.lmtp_socket == got.lda.socket == f"{Path.cwd()}/l"


def test_an_address_literal_may_be_local_and_a_domain_with_what_is_below_it_relayed(good: str) -> None:
    lists = 'local_domains = { mx.example.org, "[192.0.2.1]", "[IPv6:2001:DB8:0::1]" }; relay_domains = { b.example, .C.example };'
    got = load_text(good.replace("smar {", f"smar {{ {lists}"))
    assert got.smar.local_domains == ("mx.example.org", "[192.0.2.1]", "[ipv6:2001:db8::1]")
    assert got.smar.relay_domains == ("b.example", ".c.example")


@pytest.mark.parametrize("lists", ["local_domains = { };", "local_domains = { a.example }; relay_domains = { .example.org };"])
def test_no_warning_that_the_host_refuses_mail_to_itself_where_it_delivers_none_or_sends_it_on(good: str, lists: str) -> None:
    text = good.replace("smar {", f"smar {{ {lists}")
    assert check(text, source_of("smx.conf", text)).problems == ()


@pytest.mark.feature("SX63")
def test_flags_are_negated_by_dont(good: str) -> None:
    got = load_text(good.replace("smtps mx {", "smtps mx { extensions = { dont_chunking, dont_dsn };"))
    assert "chunking" not in got.smtps[0].extensions
    assert got.smtps[0].extensions == ("smtputf8",)


def test_the_order_of_the_processes_is_that_of_the_file(good: str) -> None:
    assert load_text(good).order == ("smtps.mx", "qmgr", "smtpc", "lda", "smar")
    turned = "".join(f"{line}\n" for line in reversed(good.splitlines()))
    assert load_text(turned).order == ("smar", "lda", "smtpc", "qmgr", "smtps.mx")


def test_two_servers_have_different_settings(good: str) -> None:
    got = load_text(good + "smtps sub { listen_socket { type = inet6; port = 2587; } message_size_max = 1MiB; relay_from = { }; }")
    assert [server.name for server in got.smtps] == ["mx", "sub"]
    assert got.smtps[1].listen_socket == (ListenSocket("inet6", "::1", 2587),)
    assert got.smtps[1].relay_from == ()
    assert got.smtps[0].message_size_max_octets != got.smtps[1].message_size_max_octets == 1 << 20


@pytest.mark.feature("SX68")
def test_each_module_has_a_level_of_its_own(good: str) -> None:
    got = load_text(good + "log { level = warning; levels = { qmgr = debug; smtps.mx = info; mcp = error; }; format = console; file = -; }")
    assert got.log.level == "warning"
    assert got.log.levels == (("qmgr", "debug"), ("smtps.mx", "info"), ("mcp", "error"))
    assert got.log.file == "-"
    assert "no module" in only(good + "log { levels = { qmgrr = debug; }; }")
    assert "expected error, warning, info or debug" in only(good + "log { levels = { qmgr = 9; }; }")


def test_relative_paths_begin_at_the_file_in_which_they_stand(tmp_path: Path, good: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "lda.conf").write_text('lda { maildirs = "boxes/%d/%u"; }')
    (tmp_path / "smx.conf").write_text(good.replace('"/var/spool/smx"', "./spool").replace("lda { }", "include sub/lda.conf;"))
    got = load(str(tmp_path / "smx.conf"))
    assert got.spool == f"{tmp_path}/spool"
    assert got.lda.maildirs == f"{tmp_path}/sub/boxes/%d/%u"


# (what is replaced, by what, part of the one complaint)
REFUSED = [
    ("qmgr {", "qmgr { aq_max_entires = 5;", 'has no option "aq_max_entires"; did you mean "aq_max_entries"?'),
    ("qmgr {", "qmgr { min = 5m;", "it belongs in section qmgr.retry"),
    ("qmgr {", "qmgr { hostname = a.example;", "it belongs to the top of the file"),
    ("qmgr {", "qmgr { retry = 5m;", "retry is a section: retry { ... }"),
    ("qmgr {", "qmgr { rety { }", 'has no section "rety"; did you mean "retry"?'),
    ("qmgr {", "qmgr { user { }", "user is an option: user = value;"),
    ("qmgr {", "qmgr x {", "takes no name"),
    ("smtps mx {", "smtps {", "needs a name"),
    ("qmgr {", "qmgr { min_free = 1; min_free = 2;", "min_free is given twice; first at smx.conf:4"),
    ("qmgr { }", "qmgr { } qmgr { }", "qmgr is given twice"),
    ("smtps mx {", "smtps mx { listen_socket { port = 1; } } smtps MX {", "smtps mx is given twice"),
    ("qmgr {", "qmgr { aq_max_entries = 3;", "3 is out of range: expected 16 to 10000000"),
    ("qmgr {", "qmgr { cut_through = 2m;", "2m is out of range: expected 0 to 1m"),
    ("qmgr {", "qmgr { cut_through = 5;", "a time needs a unit: 5s, 5m or 5h?"),
    ("qmgr {", "qmgr { min_free = 5MB;", "did you mean 5MiB?"),
    ("qmgr {", "qmgr { min_free = { 5, 6 };", "takes one value, not a list"),
    ("qmgr {", "qmgr { retry { min = 5h; }", "qmgr.retry.min (5h) is larger than qmgr.retry.max (4h)"),
    ("qmgr {", "qmgr { retry { max = 1m; }", "qmgr.retry.max (1m) is smaller than qmgr.retry.min (5m)"),
    ("qmgr {", "qmgr { smtpc { initial_connections = 101; }", "initial_connections (101) is larger than qmgr.smtpc.max_connections (100)"),
    ("qmgr {", "qmgr { aq_new_share_percent = 70;", "more than 100 together"),
    ("qmgr {", "qmgr { restart_dependencies = { smtp };", 'there is no process "smtp"'),
    ("qmgr {", "qmgr { double_bounce_to = root;", "expected an address like postmaster@example.org"),
    ("qmgr {", "qmgr { start_action = pass;", "start_action: expected wait"),
    ("smtpc {", "smtpc { tls = maybe;", "expected yes or no"),
    ("smtpc {", "smtpc { bind_inet = ::1;", "needs an IPv4 address"),
    ("mx.example.org", "mx", "expected a full name"),
    ("mx.example.org", "192.0.2.1", "expected a full name"),
    ("mx.example.org", "mx_.exa mple.org", "expected a domain"),
    ('hostname = "mx.example.org";', "", "hostname must be given"),
    ("qmgr { }", "", "there is no section qmgr"),
    ("smtps mx { listen_socket { port = 2525; } }", "", "there is no section smtps NAME"),
    ("listen_socket { port = 2525; }", "", "has no listen_socket"),
    ("port = 2525;", "port = 25; address = ::1;", "needs an IPv4 address"),
    ("port = 2525;", "port = 25; path = x;", "has no path"),
    ("port = 2525;", "type = unix;", "needs a path"),
    ("port = 2525;", "type = unix; path = x; port = 25;", "has no port"),
    ("port = 2525; }", "port = 25; } protocol = lmtp;", "LMTP must not be spoken on port 25"),
    ("port = 2525; }", "port = 25; address = 0.0.0.0; } listen_socket { port = 25; address = 127.0.0.1; }", "is the same as the one at smx.conf:3"),
    ("port = 2525; }", "type = unix; path = a; } listen_socket { type = unix; path = a; }", "is the same as the one"),
    ("port = 2525; }", "address = 0.0.0.0; } relay_from = { 0.0.0.0/1, 128.0.0.0/1 };", "anybody could send to anybody"),
    ("port = 2525; }", "type = inet6; address = ::; } relay_from = ::/0;", "anybody could send to anybody"),
    ("port = 2525; }", "port = 2525; } extensions = { dsn, dont_dsn };", "contradict"),
    ("port = 2525; }", "port = 2525; } extensions = { dont_dns };", 'did you mean "dont_dsn"?'),
    ("port = 2525; }", 'port = 2525; } greeting = "two\\nlines";', "printable"),
    ("port = 2525; }", "port = 2525; } content_memory_max = 32MiB;", "is larger than smtps.mx.cdb_segment_octets (16MiB)"),
    ("lda { }", "", "mail for mx.example.org has nowhere to go"),
    ("lda {", "lda { maildirs = /m;", "needs %u"),
    ("lda {", f"lda {{ socket = /{'s' * 107};", "at most 107 octets"),
    ("lda {", "lda { socket = /var/spool/smx/run/qmgr.sock;", "lda.socket is the path of the link to QMGR as well"),
    ("port = 2525;", "type = unix; path = /var/spool/smx/run/lda;", "is the path of lda.socket as well"),
    ("smar {", 'smar { local_domains = { "[192.0.2.256]" };', "expected an address literal"),
    ("smar {", 'smar { relay_domains = { "..example" };', "expected a domain"),
    ("smar {", "smar { relay_domains = { b.example, MX.example.org };", "mx.example.org is in local_domains as well"),
    ("smar {", "smar { local_user_map = users;", "there is no map users"),
    ("smar {", "smar { map m { type = file; }", "needs a file"),
    ("smar {", "smar { map m { type = inline; file = x; }", "has no file"),
    ("smar {", "smar { map m { type = file; file = x; entries = { a = b; }; }", "has no entries here"),
    ("smar {", "smar { map m { type = hsh; }", "expected inline, file or passwd"),
    ("smar {", "smar { map m { entries = { a = 1; A = 2; }; }", 'key "a" stands twice'),
    ("smar {", "smar { map m { entries = { a, b }; }", "takes a table"),
    ("smar {", "smar { mailertable = { a.example = 192.0.2.1; };", "an address stands in brackets"),
    ("smar {", 'smar { mailertable = { "a..b" = local; };', "expected a domain"),
    ("smar {", "smar { nameserver = ns.example;", "expected an IP address"),
    ("smar {", 'smar { recipient_delimiter = "+-";', "one character"),
    ("smar {", "smar { local_domains = { a = b; };", "takes a list"),
    ("lda {", 'lda { maildirs = "a\\nb/%u";', "expected a path"),
]


@pytest.mark.feature("SX64")
@pytest.mark.parametrize(("old", "new", "complaint"), REFUSED, ids=[row[1][:50] or f"no {row[0][:20]}" for row in REFUSED])
def test_a_mistake_is_told_once_and_nothing_else_is(good: str, old: str, new: str, complaint: str) -> None:
    assert old in good
    text = good.replace(old, new)
    assert complaint in only(text)
    with pytest.raises(ConfigError):
        load_text(text, look_at_files=False)


WARNINGS = [
    ("smtpc {", "smtpc { timeouts { dot = 5m; }", "RFC 5321 4.5.3.2.6"),
    ("port = 2525; }", "port = 2525; } recipients_max = 10;", "RFC 5321 4.5.3.1.8"),
    ("smar {", "smar { relay_domains = { b.example, B.example };", "stands twice"),
    ("smar {", "smar { local_domains = { example.org };", "mail to postmaster@mx.example.org would be refused"),
]


@pytest.mark.parametrize(("old", "new", "complaint"), WARNINGS)
def test_a_warning_does_not_make_a_configuration_unusable(good: str, old: str, new: str, complaint: str) -> None:
    text = good.replace(old, new)
    checked = check(text, source_of("smx.conf", text))
    assert [p.warning for p in checked.problems] == [True]
    assert complaint in checked.problems[0].message
    assert checked.usable


def test_what_follows_from_an_error_is_not_told_again(good: str) -> None:
    assert "out of range" in only(good.replace("qmgr {", "qmgr { retry { max = 9999d; min = 1d; }"))
    assert "unexpected" in only(good.replace('hostname = "mx.example.org";', "hostname = mx example;"))


def test_all_errors_are_told_at_once_in_the_order_of_the_file(good: str) -> None:
    text = good.replace("qmgr {", "qmgr { a = 1; min_free = x;").replace("smar {", "smar { dns_retries = 99 foo = 1;").replace("lda {", "lda { create = 3;")
    checked = check(text, source_of("smx.conf", text))
    assert [p.place.line for p in checked.problems] == [4, 4, 6, 7]


def test_places_tell_where_each_given_option_stands(good: str) -> None:
    checked = check(good, source_of("smx.conf", good))
    assert str(checked.places["smtps.mx.listen_socket.0.port"]) == "smx.conf:3"
    assert str(checked.places["hostname"]) == "smx.conf:1"
    assert "qmgr.min_free" not in checked.places


def test_a_certificate_is_read_and_its_key_must_fit(tmp_path: Path, good: str) -> None:
    authority = trustme.CA()
    one, other = authority.issue_cert("mx.example.org"), authority.issue_cert("b.example.org")
    one.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    one.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    other.private_key_pem.write_to_path(str(tmp_path / "other.key"))

    def outcome(tls: str) -> list[str]:
        (tmp_path / "smx.conf").write_text(good.replace("port = 2525; }", f"port = 2525; }} tls {{ {tls} }}"))
        return [p.message for p in examine(str(tmp_path / "smx.conf")).problems]

    assert outcome("certificate = both.pem;") == []
    assert "not usable" in outcome("certificate = cert.pem; key = other.key;")[0]
    assert "not usable" in outcome("certificate = cert.pem;")[0]
    assert "not usable" in outcome("certificate = smx.conf;")[0]
    assert "cannot read" in outcome("certificate = missing.pem;")[0]
    assert outcome("key = other.key;") == ["a key without a certificate"]


def test_files_and_accounts_must_exist(tmp_path: Path, good: str) -> None:
    bad = good.replace("smar {", "smar { aliases { file = none; } map m { type = file; file = .; }").replace("qmgr {", "qmgr { user = no-such-user;")
    (tmp_path / "smx.conf").write_text(bad + "mcp { group = no-such-group; }")
    found = "\n".join(p.message for p in examine(str(tmp_path / "smx.conf")).problems)
    for part in (f"cannot read {tmp_path}/none", f"cannot read {tmp_path}/.", 'no account "no-such-user"', 'no group "no-such-group"'):
        assert part in found


def test_the_configuration_is_looked_for_in_four_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config("given.conf", {"SMX_CONFIG": "env.conf"}) == "given.conf"
    assert find_config(None, {"SMX_CONFIG": "env.conf"}) == "env.conf"
    monkeypatch.setattr("smx.config.load.USUAL_PATHS", ("lab/smx.conf", "etc/smx.conf"))
    with pytest.raises(ConfigError, match="no configuration"):
        find_config(None, {})
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "smx.conf").touch()
    assert find_config(None, {}) == "etc/smx.conf"
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "smx.conf").touch()
    assert find_config(None, {}) == "lab/smx.conf"


def test_a_file_that_is_not_utf8_is_told_and_not_a_crash(tmp_path: Path, good: str) -> None:
    (tmp_path / "smx.conf").write_bytes(good.replace("mx.example", "m\x00").encode() + b'x = "\xff";')
    with pytest.raises(ConfigError):
        load(str(tmp_path / "smx.conf"))


WORDS = st.sampled_from(
    """smtps mx qmgr smar map users { } = ; , " \\ /* */ # include hostname spool retry min 5m 10MiB yes "a" listen_socket port 25
    type unix path mailertable "*" "[x]:25" entries tls certificate \0""".split()
)


@pytest.mark.feature("SX64")
@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=80), st.lists(WORDS, max_size=40).map(" ".join)))
def test_any_text_is_settings_or_a_configuration_error(text: str) -> None:
    try:
        got: Settings | str = load_text(text)
    except ConfigError as error:
        got = error.render()
    assert got


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_damage_to_a_good_configuration_is_told_with_a_place(data: st.DataObject) -> None:
    where = data.draw(st.integers(0, len(SAMPLE)))
    width = data.draw(st.integers(0, 12))
    text = SAMPLE[:where] + data.draw(st.text(max_size=4)) + SAMPLE[where + width :]
    checked = check(text, source_of("smx.conf", text), look_at_files=False)
    for problem in checked.problems:
        assert 0 <= problem.place.line <= len(problem.place.source.lines)
        assert problem.render().startswith("smx.conf")
