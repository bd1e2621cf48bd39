"""Settings as text and JSON."""

import msgspec
import pytest

from smx.config.check import check
from smx.config.load import load_text
from smx.config.option import Option, default_of
from smx.config.parser import source_of
from smx.config.schema import OPTIONS, SECTIONS
from smx.config.show import explain, show_text, to_json
from tests.config.test_check import SAMPLE

RICH = """
smtps second {
    listen_socket { type = unix; path = "/run/smtp"; }
    listen_socket { type = inet6; port = 2526; }
    protocol = lmtp; extensions = { dont_chunking }; greeting = "a \\"b\\" \\\\";
}
mcp { restart_min = 250ms; }
log { levels = { qmgr = debug; }; }
"""
MAILERS = '"a" = local; "b" = "error:5.1.1 x y"; c = "lmtp:unix:/x"; d = "lmtp:[::1]:24"; e = "hub.example:26"; '


def test_what_is_shown_reads_back_to_the_same_settings() -> None:
    settings = load_text(SAMPLE.replace("mailertable = {", f"mailertable = {{ {MAILERS}") + RICH)
    assert load_text(show_text(settings), "/elsewhere/smx.conf") == settings


def test_no_flag_at_all_reads_back(good: str) -> None:
    off = ", ".join(f"dont_{name}" for name in load_text(good).smtps[0].extensions)
    settings = load_text(good.replace("smtps mx {", f"smtps mx {{ extensions = {{ {off} }};"))
    assert settings.smtps[0].extensions == ()
    assert load_text(show_text(settings)) == settings


def test_the_origin_is_a_line_a_default_or_another_option(good: str) -> None:
    checked = check(good, source_of("smx.conf", good))
    lines = {line.split("=")[0].strip(): line.rpartition("# ")[2] for line in show_text(checked.settings, checked.places).splitlines()}
    assert lines["port"] == "smx.conf:3"
    assert lines["cut_through"] == "default"
    assert lines["double_bounce_to"] == "postmaster"


def test_the_json_has_units_in_its_names(good: str) -> None:
    settings = load_text(good)
    shown = msgspec.json.decode(msgspec.json.encode(to_json(settings)))
    assert shown["qmgr"]["retry"]["min_us"] == 300_000_000
    assert shown["smtps"][0]["name"] == "mx"
    assert shown["smtps"][0]["listen_socket"][0]["port"] == 2525
    assert shown["order"] == list(settings.order)
    with_origin = to_json(settings, {})
    assert with_origin["qmgr"]["retry"]["min_us"] == {"value": 300_000_000, "origin": "default"}


@pytest.mark.parametrize("option", OPTIONS, ids=lambda o: o.path)
def test_every_option_can_be_explained(option: Option) -> None:
    struct = next(section.struct for section in SECTIONS if section.path == option.section)
    told = explain(option, default_of(struct, option.field))
    assert told["option"] == option.path
    assert all(told.values())
