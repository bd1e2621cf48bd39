"""The tables of options and the Structs of the settings say the same."""

import msgspec
import pytest
from msgspec.structs import fields

from smx.config.option import Kind, Option, Section, default_of
from smx.config.schema import OPTIONS, SECTIONS, LdaSettings, QmgrSettings, Settings, SmtpsSettings, kind_of_process, process_settings

# Fields without an option of their own: copies of the top's and of other sections', and the name of a section.
COPIED = {"hostname", "spool", "postmaster", "name", "order", "own_addresses"}


def rows(section: Section) -> list[Option]:
    return [option for option in OPTIONS if option.section == section.path]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda s: s.path or "top")
def test_every_field_has_an_option_or_a_section_or_is_a_copy(section: Section) -> None:
    explained = {option.field for option in rows(section)}
    explained |= {s.field for s in SECTIONS if s.path and s.path.rpartition(".")[0] == section.path}
    names = {info.name for info in fields(section.struct)}
    assert names - explained <= COPIED
    assert explained <= names


@pytest.mark.parametrize("option", OPTIONS, ids=lambda o: o.path)
def test_every_default_is_within_its_own_bounds(option: Option) -> None:
    struct = next(section.struct for section in SECTIONS if section.path == option.section)
    default = default_of(struct, option.field)
    if option.kind in (Kind.INTEGER, Kind.TIME, Kind.SIZE):
        assert option.low <= default <= option.high or (default == 0 and option.zero)
    if option.kind is Kind.CHOICE:
        assert default in option.choices
    if option.kind is Kind.FLAGS:
        assert list(default) == sorted(default)
    assert option.explanation


def test_no_option_stands_twice() -> None:
    paths = [option.path for option in OPTIONS]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize("section", SECTIONS, ids=lambda s: s.path or "top")
def test_settings_survive_the_way_to_a_child(section: Section) -> None:
    settings = section.struct()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(settings), type=section.struct) == settings


def test_the_tags_of_the_structs_differ() -> None:
    tags = [section.struct.__struct_config__.tag for section in SECTIONS]
    assert len(tags) == len(set(tags))


def test_a_process_gets_its_own_part() -> None:
    settings = Settings(smtps=(SmtpsSettings(name="mx"), SmtpsSettings(name="sub")))
    assert process_settings(settings, "smtps.sub") == SmtpsSettings(name="sub")
    assert process_settings(settings, "qmgr") == QmgrSettings()
    assert process_settings(settings, "lda") == LdaSettings()
    assert kind_of_process("smtps.sub") == "smtps"
