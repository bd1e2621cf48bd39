"""Interfaces: the addresses of this host (SX46)."""

import socket

from smx.live.interfaces import addresses, listening, local_addresses

TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 127.0.0.0/8 2 0 2
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     |-- 192.0.2.25
        /32 host LOCAL
Local:
     |-- 192.0.2.25
        /32 host LOCAL
"""


def test_our_own_addresses_stand_in_the_table_of_routes() -> None:
    assert local_addresses(TRIE) == ["127.0.0.1", "192.0.2.25"]
    assert local_addresses("") == []


def test_the_unspecified_address_stands_for_all_on_which_one_can_listen() -> None:
    found = addresses("0.0.0.0")
    assert "127.0.0.1" in found
    for address in found:
        socket.create_server((address, 0)).close()
    assert addresses("192.0.2.1") == ["192.0.2.1"]


def test_smar_is_told_only_of_sockets_whose_address_does_not_say_it() -> None:
    assert {event.port for event in listening((("0.0.0.0", 25), ("127.0.0.1", 26)))} == {25}
