"""`smx-sendmail`: the classic command by which programs send mail: a message on standard input, recipients as arguments or in its header (-t).

The message goes by SMTP to the smx that runs on this host; when there is none nothing is kept, and the status (75) tells the caller to try later.

    -t           recipients from To, Cc and Bcc; those of the command line are added
    -i, -oi      a line with only a dot does not end the message
    -f, -r ADDR  envelope sender, <> for none        -F NAME   full name for a From field that has to be made
    -N WHEN      DSN: never, or success,failure,delay         -R full|hdrs   -V ENVID
    -bm          send (the default)                  -bp       list the queue      -bi       check the aliases
    -bs          speak SMTP on standard input and output      -bv       say whether the recipients would be taken
    -q           try everything in the queue now; -qIID, -qRTEXT, -qSTEXT: what has it in queue id, recipient, sender
    -v           show the replies                    -C FILE   configuration

Other options of the classic command are taken and ignored; -bd, -bD and -bt are refused: `smx run` starts the MTA, `smx route` tells routes.
Statuses are those of sysexits.h: 0 taken over, 64 usage, 65 the message was refused, 67 a recipient was refused, 69 refused otherwise, 75 try again.
"""

import os
import smtplib
import socket
import sys
import time
from typing import Final, NamedTuple

from smx.cli import message as messages
from smx.cli.submit_to import NotConfiguredError, NotRunningError, Target, find_target

EX_OK: Final = 0
EX_USAGE: Final = 64
EX_DATAERR: Final = 65
EX_NOUSER: Final = 67
EX_UNAVAILABLE: Final = 69
EX_TEMPFAIL: Final = 75
EX_CONFIG: Final = 78
TIMEOUT_S: Final = 300.0
WITH_VALUE: Final = "ABCDFLNOPRVXfhpr"  # the value follows, in the same word or as the next one
WITH_REST: Final = "bdeoqM"  # the value is the rest of the word, perhaps nothing
ALONE: Final = "GImnstUvi"
RELAY_PATIENCE_S: Final = 60.0  # -bs: for replies, after the end of standard input without QUIT
READ_OCTETS: Final = 64 * 1024


class UsageError(Exception):
    """A command line that cannot be meant."""


class Options(NamedTuple):
    mode: str = "m"
    from_header: bool = False
    dot_ends: bool = True
    sender: str | None = None
    full_name: str = ""
    notify: str = ""
    ret: str = ""
    envid: str = ""
    verbose: bool = False
    queue: str | None = None
    config: str = ""
    recipients: tuple[str, ...] = ()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    called = os.path.basename(sys.argv[0])
    words = sys.argv[1:] if arguments is None else arguments
    if arguments is None and called.endswith(("mailq", "newaliases")):
        return _other_command(called, words)
    try:
        options = parse(words)
    except UsageError as error:
        return _say(str(error), EX_USAGE)
    try:
        return _run(options)
    except NotRunningError as error:
        return _say(f"{error}; nothing was sent", EX_TEMPFAIL)
    except NotConfiguredError as error:
        return _say(str(error), EX_CONFIG)


def parse(words: list[str]) -> Options:
    """The options of a command line. Raises UsageError."""
    options = Options()
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in ALONE:
                options = _take(options, letter, "")
            elif letter in WITH_REST:
                options, letters = _take(options, letter, letters), ""
            elif letter in WITH_VALUE:
                value = letters or (rest.pop(0) if rest else None)
                if value is None:
                    raise UsageError(f"-{letter} needs a value")
                options, letters = _take(options, letter, value), ""
            else:
                raise UsageError(f"there is no option -{letter}; see the manual")
    return options._replace(recipients=tuple(rest))


def _take(options: Options, letter: str, value: str) -> Options:
    match letter:
        case "t":
            return options._replace(from_header=True)
        case "i":
            return options._replace(dot_ends=False)
        case "o":
            return options._replace(dot_ends=False) if value.startswith("i") else options
        case "f" | "r":
            return options._replace(sender=value)
        case "F":
            return options._replace(full_name=value)
        case "N":
            return options._replace(notify=value)
        case "R":
            return options._replace(ret=value)
        case "V":
            return options._replace(envid=value)
        case "v":
            return options._replace(verbose=True)
        case "C":
            return options._replace(config=value)
        case "q":
            return options._replace(mode="q", queue=value) if options.mode == "m" else options
        case "I":
            return options._replace(mode="i")
        case "b":
            if value not in ("m", "s", "p", "i", "v"):
                raise UsageError(f"-b{value} is not supported: `smx run` starts the MTA, `smx route` shows routes")
            return options._replace(mode=value)
    return options


def _run(options: Options) -> int:
    match options.mode:
        case "p":
            return _other_command("mailq", ["-C", options.config] if options.config else [])
        case "i":
            return _other_command("newaliases", ["-C", options.config] if options.config else [])
        case "q":
            return _try_queue(options)
        case "s":
            return _relay(find_target(options.config))
        case "v":
            return _send(options, find_target(options.config), None)
    message = messages.read(sys.stdin.buffer.read(), dot_ends=options.dot_ends)
    return _send(options, find_target(options.config), message)


def _other_command(called: str, words: list[str]) -> int:
    if called.endswith("mailq"):
        from smx.cli import mailq

        return mailq.main(words)
    from smx.cli import newaliases

    return newaliases.main(words)


# --- sending


def _send(options: Options, target: Target, message: messages.Message | None) -> int:
    """Hand the message over; with None only ask whether the recipients would be taken."""
    given = [*options.recipients, *(messages.recipients_of(message) if message and options.from_header else [])]
    recipients = list(dict.fromkeys(messages.qualified(address, target.hostname) for address in given))
    if not recipients:
        return _say("no recipients", EX_USAGE)
    sender = messages.qualified(_login() if options.sender is None else options.sender, target.hostname)
    try:
        with _connected(target, options) as smtp:
            return _transaction(smtp, options, sender, recipients, message, target.hostname)
    except smtplib.SMTPResponseException as error:
        return _say(_reply(error.smtp_code, error.smtp_error), EX_TEMPFAIL if error.smtp_code < 500 else EX_UNAVAILABLE)
    except (OSError, smtplib.SMTPException) as error:
        return _say(f"no smx answers at {target.text}: {error}; nothing was sent", EX_TEMPFAIL)


class _Submission(smtplib.SMTP):
    """SMTP to a target that may be a UNIX socket."""

    def __init__(self, target: Target) -> None:
        self._target = target
        super().__init__(target.host or "localhost", target.port or 25, local_hostname=target.hostname, timeout=TIMEOUT_S)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return open_socket(self._target, timeout)


def open_socket(target: Target, timeout_s: float | None) -> socket.socket:
    """A connection to the target. Raises OSError."""
    if not target.path:
        return socket.create_connection((target.host, target.port), timeout_s)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout_s)
    connection.connect(target.path)
    return connection


def _connected(target: Target, options: Options) -> _Submission:
    smtp = _Submission(target)
    smtp.set_debuglevel(1 if options.verbose else 0)
    smtp.ehlo_or_helo_if_needed()
    return smtp


def _transaction(smtp: smtplib.SMTP, options: Options, sender: str, recipients: list[str], message: messages.Message | None, hostname: str) -> int:
    octets = b""
    if message is not None:
        message_id = f"{time.time_ns():x}.{os.getpid()}"
        octets = messages.finished(message, sender=sender, full_name=_full_name(options), hostname=hostname, message_id=message_id)
    code, text = smtp.mail(sender, _mail_parameters(smtp, options, octets, [sender, *recipients]))
    if code >= 400:
        return _say(_reply(code, text), EX_TEMPFAIL if code < 500 else EX_UNAVAILABLE)
    status, accepted = _recipients(smtp, options, recipients)
    if message is None or not accepted:
        return status
    code, text = smtp.data(octets)
    if code >= 400:
        return _say(_reply(code, text), EX_TEMPFAIL if code < 500 else EX_DATAERR)
    return status


def _mail_parameters(smtp: smtplib.SMTP, options: Options, octets: bytes, addresses: list[str]) -> list[str]:
    header, _, body = octets.partition(b"\r\n\r\n")
    parameters = []
    if smtp.has_extn("size") and octets:
        parameters.append(f"SIZE={len(octets)}")
    if smtp.has_extn("8bitmime") and not (header.isascii() and body.isascii()):
        parameters.append("BODY=8BITMIME")
    if smtp.has_extn("smtputf8") and not (header.isascii() and all(map(str.isascii, addresses))):
        parameters.append("SMTPUTF8")
    if smtp.has_extn("dsn"):
        parameters += [f"RET={options.ret.upper()}"] if options.ret else []
        parameters += [f"ENVID={xtext(options.envid)}"] if options.envid else []
    return parameters


def _recipients(smtp: smtplib.SMTP, options: Options, recipients: list[str]) -> tuple[int, int]:
    """(exit status so far, how many were accepted)."""
    status, accepted = EX_OK, 0
    parameters = [f"NOTIFY={options.notify.upper()}"] if options.notify and smtp.has_extn("dsn") else []
    for address in recipients:
        code, text = smtp.rcpt(address, parameters)
        if code < 400:
            accepted += 1
            if options.mode == "v":
                print(f"{address}... deliverable")
        else:
            status = _say(f"{address}: {_reply(code, text)}", EX_TEMPFAIL if code < 500 else EX_NOUSER)
    return status, accepted


def xtext(value: str) -> str:
    """RFC 3461 4."""
    return "".join(letter if "!" <= letter <= "~" and letter not in "+=" else f"+{ord(letter):02X}" for letter in value)


def _reply(code: int, text: bytes | str) -> str:
    said = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    return f"{code} {said}"


def _login() -> str:
    """The account of the caller; the environment is not asked, it may say anything."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _full_name(options: Options) -> str:
    """-F, else the name in the password file, for senders who did not say another address."""
    if options.full_name or options.sender is not None:
        return options.full_name
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_gecos.partition(",")[0]
    except KeyError:
        return ""


# --- the other modes


def _relay(target: Target) -> int:
    """-bs: octets to and fro until the server closes."""
    import selectors

    try:
        connection = open_socket(target, None)
    except OSError as error:
        return _say(f"no smx answers at {target.text}: {error}", EX_TEMPFAIL)
    with connection, selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ, (connection.fileno(), sys.stdout.fileno()))
        selector.register(sys.stdin, selectors.EVENT_READ, (sys.stdin.fileno(), connection.fileno()))
        patience = None
        while ready := selector.select(patience):
            for key, _ in ready:
                source, sink = key.data
                octets = os.read(source, READ_OCTETS)
                if octets:
                    _write_all(sink, octets)
                elif source == connection.fileno():
                    return EX_OK
                else:  # a half-closed connection would count as lost: the replies that are due are waited for
                    selector.unregister(sys.stdin)
                    patience = RELAY_PATIENCE_S
    return EX_OK


def _write_all(descriptor: int, octets: bytes) -> None:
    while octets:
        octets = octets[os.write(descriptor, octets) :]


def _try_queue(options: Options) -> int:
    """-q: retry what the rest of the option names."""
    from smx.admin.queue import QueueTool, who
    from smx.cli.submit_to import find_spool
    from smx.ids import id_number
    from smx.live.admin_link import AdminUnreachableError
    from smx.messages import Filter

    kind, value = (options.queue or "")[:1], (options.queue or "")[1:]
    try:
        wanted = {"I": lambda: Filter(transaction=id_number(value)), "R": lambda: Filter(recipient=f"*{value}*"), "S": lambda: Filter(sender=f"*{value}*")}
        chosen = wanted[kind]() if kind in wanted else Filter()
    except ValueError as error:
        return _say(str(error), EX_USAGE)
    try:
        with QueueTool(find_spool(options.config)) as tool:
            tool.change("retry", chosen, dry_run=False, who=who())
    except AdminUnreachableError as error:
        return _say(str(error), EX_TEMPFAIL)
    return EX_OK


def _say(text: str, status: int) -> int:
    print(f"smx-sendmail: {text}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
