"""Target: where to connect or to listen: HOST, HOST:PORT, [ADDRESS]:PORT, or the path of a UNIX socket."""

from msgspec import Struct

PORT_MAX = 65_535


class Target(Struct, frozen=True):
    """`path` is a UNIX socket; else host and port."""

    host: str = "127.0.0.1"
    port: int = 25
    path: str = ""

    @property
    def text(self) -> str:
        """As people write it."""
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_target(text: str, port: int = 25) -> Target:
    """ValueError says what was expected. `port` counts where none is written."""
    if text.startswith("unix:") or "/" in text:
        path = text.removeprefix("unix:")
        if not path:
            raise ValueError("expected a path behind unix:")
        return Target("", 0, path)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"expected [ADDRESS]:PORT like [::1]:2525, not {text!r}")
        said = rest[1:] if rest else str(port)
    elif text.count(":") > 1:
        raise ValueError(f"an IPv6 address stands in brackets: [{text}]")
    else:
        host, colon, said = text.partition(":")
        said = said if colon else str(port)
    if not host:
        raise ValueError(f"a host is missing in {text!r}: expected HOST:PORT, or the path of a UNIX socket")
    if not (said.isascii() and said.isdigit() and int(said) <= PORT_MAX):
        raise ValueError(f"expected a port from 0 to {PORT_MAX}, not {said!r}")
    return Target(host, int(said))
