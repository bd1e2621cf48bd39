"""The reply table: every situation in which the server says something, with code, enhanced code (RFC 3463, RFC 5248) and text.

One row is one situation. The roles add to it what only they know (a reason from a map, a queue id); the dialogue says the rest.
"""

from typing import Final

from smx.smtp.reply import Reply


def _row(code: int, enhanced: tuple[int, int, int] | None, text: bytes) -> Reply:
    return Reply(code, enhanced, (text,))


# fmt: off
# positive
HELO_OK: Final            = _row(250, None, b"Hello")                                                       # RFC 2034 4: HELO and EHLO have no enhanced code
MAIL_OK: Final            = _row(250, (2, 1, 0), b"Sender ok")
RCPT_OK: Final            = _row(250, (2, 1, 5), b"Recipient ok")
DATA_GO: Final            = _row(354, None, b"Go ahead, end with <CRLF>.<CRLF>")
CHUNK_OK: Final           = _row(250, (2, 0, 0), b"Chunk received")                                         # RFC 3030 2
CONTENT_OK: Final         = _row(250, (2, 0, 0), b"Message accepted")
RSET_OK: Final            = _row(250, (2, 0, 0), b"Reset")
NOOP_OK: Final            = _row(250, (2, 0, 0), b"Ok")
VRFY_CANNOT: Final        = _row(252, (2, 5, 0), b"Cannot verify the user, send mail and see")              # RFC 5321 7.3
STARTTLS_GO: Final        = _row(220, (2, 0, 0), b"Ready to start TLS")
QUIT_OK: Final            = _row(221, (2, 0, 0), b"Closing the connection")
# syntax and sequence
UNKNOWN: Final            = _row(500, (5, 5, 1), b"Command not recognized")
LINE_OVERLONG: Final      = _row(500, (5, 5, 6), b"Line too long")                                          # RFC 5321 4.5.3.1.9
LINE_BARE: Final          = _row(500, (5, 5, 2), b"Bare CR or LF in a command")                             # RFC 5321 2.3.8
SYNTAX: Final             = _row(501, (5, 5, 4), b"Syntax error in arguments")
NO_ARGUMENTS: Final       = _row(501, (5, 5, 4), b"This command takes no arguments")
HELO_SYNTAX: Final        = _row(501, (5, 5, 4), b"A domain or an address literal is needed")
SENDER_SYNTAX: Final      = _row(501, (5, 1, 7), b"Syntax error in the reverse-path")
RECIPIENT_SYNTAX: Final   = _row(501, (5, 1, 3), b"Syntax error in the forward-path")
PARAMETER_SYNTAX: Final   = _row(501, (5, 5, 4), b"Bad value of a parameter")
PARAMETER_TWICE: Final    = _row(501, (5, 5, 4), b"A parameter may be given once only")                     # RFC 3461 4.5
CHUNK_SYNTAX: Final       = _row(501, (5, 5, 4), b"Syntax error in BDAT")
NOT_IMPLEMENTED: Final    = _row(502, (5, 5, 1), b"Command not implemented")
HELO_FIRST: Final         = _row(503, (5, 5, 1), b"Send EHLO first")
MAIL_FIRST: Final         = _row(503, (5, 5, 1), b"Send MAIL first")
MAIL_NESTED: Final        = _row(503, (5, 5, 1), b"A transaction is already open")
MIXED_CONTENT: Final      = _row(503, (5, 5, 1), b"DATA and BDAT do not mix, send RSET")                    # RFC 3030 2
AFTER_CONTENT: Final      = _row(503, (5, 5, 1), b"The content has begun, finish it or send RSET")
RESET_NEEDED: Final       = _row(503, (5, 5, 1), b"BDAT failed, send RSET")                                 # RFC 3030 2
TLS_ACTIVE: Final         = _row(503, (5, 5, 1), b"TLS is active already")                                  # RFC 3207 4.2
NOT_NOW: Final            = _row(503, (5, 5, 1), b"Not during a transaction")
NO_SERVICE_QUIT: Final    = _row(503, (5, 5, 1), b"No service here, send QUIT")                             # RFC 5321 3.1
PARAMETER_UNKNOWN: Final  = _row(555, (5, 5, 4), b"Parameter not recognized or not offered")                # RFC 5321 4.1.1.11
NO_RECIPIENTS: Final      = _row(554, (5, 5, 1), b"No valid recipients")                                    # RFC 5321 3.3, RFC 2920 4
NO_RECIPIENTS_LMTP: Final = _row(503, (5, 5, 1), b"No valid recipients")                                    # RFC 2033 4.2
# addresses
SENDER_NON_ASCII: Final    = _row(550, (5, 6, 7), b"A non-ASCII sender needs SMTPUTF8")                     # RFC 6531 3.5
RECIPIENT_NON_ASCII: Final = _row(553, (5, 6, 7), b"A non-ASCII recipient needs SMTPUTF8")                  # RFC 6531 3.5
NO_SUCH_USER: Final        = _row(550, (5, 1, 1), b"No such user")
NO_SUCH_DOMAIN: Final      = _row(550, (5, 1, 2), b"No such domain")
SENDER_REFUSED: Final      = _row(550, (5, 7, 1), b"Sender refused")
RECIPIENT_REFUSED: Final   = _row(550, (5, 7, 1), b"Recipient refused")
RELAY_DENIED: Final        = _row(550, (5, 7, 1), b"Relaying denied")
SENDER_DOMAIN_BAD: Final   = _row(550, (5, 1, 8), b"The sender's domain does not exist")
SENDER_NULL_MX: Final      = _row(550, (5, 7, 27), b"The sender's domain takes no mail")                     # RFC 7505 4.2
RECIPIENT_NULL_MX: Final   = _row(556, (5, 1, 10), b"The recipient's domain takes no mail")                  # RFC 7505 4.1
GREYLISTED: Final          = _row(450, (4, 7, 1), b"Greylisted, try again later")
RESOLVER_BUSY: Final       = _row(451, (4, 4, 3), b"Addresses cannot be resolved now, try again later")
MAILBOX_BUSY: Final        = _row(450, (4, 2, 1), b"Mailbox not available now, try again later")
MAILBOX_FULL: Final        = _row(452, (4, 2, 2), b"Mailbox full")
# sizes and counts
SIZE_EXCEEDED: Final       = _row(552, (5, 3, 4), b"The message is larger than this server accepts")        # RFC 1870 6.1
HEADER_EXCEEDED: Final     = _row(552, (5, 3, 4), b"The header section is too large")
RECIPIENTS_EXCEEDED: Final = _row(452, (4, 5, 3), b"Too many recipients, send the rest in another transaction")  # RFC 5321 4.5.3.1.10
# content
CONTENT_BARE: Final        = _row(554, (5, 6, 0), b"Bare CR or LF in the message, only CRLF ends a line")   # RFC 5321 2.3.8
HOPS_EXCEEDED: Final       = _row(554, (5, 4, 6), b"Too many hops, this message loops")                     # RFC 5321 6.3
LOOP: Final                = _row(554, (5, 4, 6), b"This message was delivered here before")
CONTENT_REFUSED: Final     = _row(554, (5, 7, 1), b"Message refused")
# resources
STORAGE_FULL: Final        = _row(452, (4, 3, 1), b"Insufficient system storage, try again later")
TRY_LATER: Final           = _row(451, (4, 3, 0), b"Local trouble, try again later")
OVERLOADED: Final          = _row(451, (4, 3, 2), b"Too busy, try again later")
# security
TLS_NEEDED: Final          = _row(530, (5, 7, 0), b"Must issue a STARTTLS command first")                   # RFC 3207 4
TLS_NOT_NOW: Final         = _row(454, (4, 7, 0), b"TLS is not available now")                              # RFC 3207 4
TLS_INJECTION: Final       = _row(554, (5, 5, 1), b"STARTTLS must be the last command in a group")          # RFC 3207 4, F34
PIPELINING_BAD: Final      = _row(554, (5, 5, 0), b"Improper use of command pipelining")                    # RFC 2920 3.1, F32
NOT_SMTP: Final            = _row(421, (4, 7, 0), b"This is not SMTP, goodbye")                             # F32
ACCESS_DENIED: Final       = _row(554, (5, 7, 1), b"Access denied")
# the end
SHUTTING_DOWN: Final       = _row(421, (4, 3, 2), b"Service shutting down, try again later")                # RFC 5321 3.8
IDLE_TOO_LONG: Final       = _row(421, (4, 4, 2), b"Idle for too long, goodbye")                            # RFC 5321 4.5.3.2.7
ERRORS_EXCEEDED: Final     = _row(421, (4, 7, 0), b"Too many errors, goodbye")
REFUSALS_EXCEEDED: Final   = _row(421, (4, 7, 0), b"Too many refused addresses, goodbye")
JUNK_EXCEEDED: Final       = _row(421, (4, 7, 0), b"Too many commands without mail, goodbye")
ENDLESS_CONTENT: Final     = _row(421, (4, 3, 4), b"The message does not end, goodbye")
TOO_MANY_SESSIONS: Final   = _row(421, (4, 7, 0), b"Too many connections, try again later")
NO_MAIL_HERE: Final        = _row(521, (5, 3, 2), b"This host accepts no mail")                             # RFC 7504
# fmt: on

HELP: Final = Reply(214, (2, 0, 0), (b"smx speaks RFC 5321.", b"Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP STARTTLS QUIT"))
HELP_LMTP: Final = Reply(214, (2, 0, 0), (b"smx speaks RFC 2033.", b"Commands: LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP STARTTLS QUIT"))

TABLE: Final[dict[str, Reply]] = {name: value for name, value in list(globals().items()) if isinstance(value, Reply)}
