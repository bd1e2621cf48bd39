"""From an address to a directory: one component, or no mailbox at all."""

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smx.lda.mailboxes import COMPONENT_OCTETS_MAX, Mailboxes
from smx.smtp.address import Mailbox


@pytest.mark.parametrize(
    ("pattern", "local_part", "domain", "directory"),
    [
        ("/mail/%u", b"joe", b"example.org", "/mail/joe"),
        ("/mail/%u", b"Joe+lists", b"example.org", "/mail/joe"),
        ("/mail/%u", b"+joe", b"example.org", "/mail/+joe"),
        ("/mail/%d/%u/Maildir", b"joe", b"example.org", "/mail/example.org/joe/Maildir"),
        ("/mail/%u/%d", b"%d", b"example.org", "/mail/%d/example.org"),
        ("/mail/all", b"joe", b"example.org", "/mail/all"),
        ("/mail/%u", "jörg".encode(), b"example.org", "/mail/jörg"),
        ("/mail/%u", b"x" * COMPONENT_OCTETS_MAX, b"example.org", "/mail/" + "x" * COMPONENT_OCTETS_MAX),
        ("/mail/%u", b"x" * (COMPONENT_OCTETS_MAX + 1), b"example.org", None),
        ("/mail/%u", b"..", b"example.org", None),
        ("/mail/%u", b".", b"example.org", None),
        ("/mail/%u", b"", b"example.org", None),
        ("/mail/%u", b"a/b", b"example.org", None),
        ("/mail/%u", b"a\0b", b"example.org", None),
        ("/mail/%u", b"a\nb", b"example.org", None),
        ("/mail/%u", b"\xff", b"example.org", None),
        ("/mail/%d/%u", b"joe", b"", None),
        ("/mail/%d/%u", b"joe", b"..", None),
        ("/mail/%d/%u", b"joe", b"a/b", None),
    ],
)
def test_the_directory_of_an_address(pattern: str, local_part: bytes, domain: bytes, directory: str | None) -> None:
    assert Mailboxes(pattern).directory(Mailbox(local_part, domain)) == directory


@given(local_part=st.binary(max_size=80), domain=st.binary(max_size=80))
def test_no_address_leaves_its_place(local_part: bytes, domain: bytes) -> None:
    directory = Mailboxes("/mail/%d/%u").directory(Mailbox(local_part, domain))
    if directory is not None:
        assert posixpath.normpath(directory) == directory
        assert directory.startswith("/mail/")
        assert directory.count("/") == 3
        assert "\0" not in directory
