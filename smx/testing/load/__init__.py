"""Load: a load generator and a sink of our own (SX70), so that nobody needs another MTA's tools to load-test one.

Both are asyncio protocols that look only for the octets that matter; `smx-loadgen` and `smx-sink` are their commands. Each message has a token,
which joins what the generator was promised with what arrived at the sink.

    options, target    what is asked for, and where
    draws, addresses   distributions of sizes, recipients, users, domains and arrivals, from a seed
    faults             what may be done wrong, at which stage of a dialogue
    message            the content of a message, and the token in it
    generator          who sends what when
    session, job       one connection of the generator, and the message in hand; opening: until EHLO is answered; misconduct: its faults
    sink               what arrived how often
    sink_session       one connection of the sink; speech: its replies and its faults; keep: where messages are kept
    ledger             what was promised, compared with what arrived
    tally, latency     what is counted; report: the figures, as Structs and as tables
"""
