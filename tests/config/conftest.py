"""A configuration that is good, to be made bad."""

import pytest

GOOD = """\
hostname = "mx.example.org";
spool = "/var/spool/smx";
smtps mx { listen_socket { port = 2525; } }
qmgr { }
smtpc { }
lda { }
smar { }
"""


@pytest.fixture
def good() -> str:
    """The smallest configuration without a complaint."""
    return GOOD
