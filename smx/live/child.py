"""Child: the process that MCP starts for one component: `python -m smx.live.child PROCESS DESCRIPTOR`.

Job         read the spec, make host, component and devices, tell MCP when the component is ready, end when it halts
Strategies  The read end of MCP's pipe reports end of file when MCP is gone, however it ended: then the child stops in order, and soon.
            SIGTERM stops in order. SIGINT is MCP's business: it comes to the whole terminal group. SIGHUP opens the log anew.
Failures    exit status 0 after an orderly stop; 69 when the queue or a socket is in use; 70 after a bug, with the traceback on standard
            error; 75 when the component halted by itself or did not stop in time (its log line says why); 78 for a certificate that cannot be read.
"""

import os
import signal
import socket
import ssl
import sys
import traceback
from typing import Final

import msgspec

from smx.config.schema_mcp import LogSettings
from smx.factory import make_component
from smx.live import queue_lock
from smx.live.assembly import assemble
from smx.live.child_spec import ChildSpec, read_spec
from smx.live.host import HaltedError, Host, StopTimedOutError
from smx.live.profile import profiled
from smx.live.runner import Runner
from smx.units import SECOND

EX_UNAVAILABLE: Final = 69
EX_SOFTWARE: Final = 70
EX_TEMPFAIL: Final = 75
EX_CONFIG: Final = 78
STOP_GRACE_US: Final = 25 * SECOND
ORPHAN_GRACE_US: Final = 5 * SECOND
READY: Final = b"ready\n"


def main(descriptor: int) -> int:
    """Run the child described behind `descriptor`; gives the exit status."""
    spec = read_spec(descriptor)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return run(spec)
    except (queue_lock.QueueHeldError, OSError) as error:
        print(f"{spec.process}: {error}", file=sys.stderr)
        return EX_CONFIG if isinstance(error, ssl.SSLError) else EX_UNAVAILABLE


def run(spec: ChildSpec) -> int:
    """From the spec to the end of the process. Raises OSError or QueueHeldError when it cannot begin."""
    if spec.kind == "qmgr":
        queue_lock.take(spec.spool)  # held until the process ends
    host = Host(msgspec.msgpack.decode(spec.log, type=LogSettings))
    runner = host.add(make_component(spec.process, spec.settings), spec.process, spec.epoch, spec.seed, spec.spool)
    listeners = tuple((handed.name, _inherited(handed.fd)) for handed in spec.listeners)
    assemble(runner, spec.settings, listeners)
    if spec.record:
        from smx.live.record import Recorder

        Recorder(runner, spec.record, spec.settings)
    _watch(host, spec)
    try:
        with profiled(spec.process):
            host.run()
    except (HaltedError, StopTimedOutError) as error:
        print(f"{spec.process}: {error}", file=sys.stderr)
        return EX_TEMPFAIL
    except Exception:
        print(f"{spec.process}: a bug ended this process", file=sys.stderr)
        traceback.print_exc()
        return EX_SOFTWARE
    return 0


def _inherited(descriptor: int) -> socket.socket:
    os.set_inheritable(descriptor, False)
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)
    return listener


def _watch(host: Host, spec: ChildSpec) -> None:
    """Signals, MCP's pipe, and the word to MCP that the component is ready."""
    host.loop.add_signal_handler(signal.SIGTERM, host.request_stop, STOP_GRACE_US)
    host.loop.add_signal_handler(signal.SIGHUP, host.log.reopen)

    def on_life() -> None:
        host.loop.remove_reader(spec.life_fd)
        if os.read(spec.life_fd, 1) == b"" and not host.stopping:
            host.request_stop(ORPHAN_GRACE_US)

    def on_ready(runner: Runner) -> None:
        try:
            os.write(spec.status_fd, READY)
        except BrokenPipeError:
            return  # MCP is gone: its other pipe says so too
        os.close(spec.status_fd)

    os.set_inheritable(spec.life_fd, False)
    os.set_inheritable(spec.status_fd, False)
    host.loop.add_reader(spec.life_fd, on_life)
    host.on_ready = on_ready


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[2])))
