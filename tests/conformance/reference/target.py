"""The target file of the reference."""

from typing import Final

from conformance.target import Auth, Delivery, Dns, Limits, Mail, Sources, Target, Tls

TARGET: Final = Target(
    name="reference",
    hostname="mx.local.test",
    services={"smtp": "memory"},
    mail=Mail(local_domain="local.test", recipients=("alice@local.test", "bob@local.test"), unknown="nobody@local.test", relay_domain="relay.dest.test"),
    sources=Sources(trusted="192.0.2.200", outsider="198.51.100.1"),
    delivery=Delivery(command="memory"),
    dns=Dns(listen="memory"),
    control=dict.fromkeys(("kill", "start", "stop", "restart", "flush"), "memory"),
    auth=Auth("alice", "secret"),
    tls=Tls(suite_ca="memory"),
    policy={"retry_s": 1_800, "give_up_s": 432_000},
    limits=Limits(reply_s=5.0, delivery_s=5.0),
)
