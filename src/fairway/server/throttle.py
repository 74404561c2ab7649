"""How many wrong keys an address may send: ten a minute, in shared memory that never grows."""

from __future__ import annotations

import ipaddress
import mmap
import struct
import time

LIMIT = 10
WINDOW_S = 60.0

_SLOTS = 4096
_SLOT = struct.Struct("=qdd")  # whose it is, when their window began, how many have failed in it


class Throttle:
    """Counts failures by address; made before a fork, it counts those of all workers together.

    Each address has one of 4,096 places. Two that share one take it from each other, which lets somebody try
    a little more often: of keys with 256 random bits that is no help. Whoever has a valid key is never asked.
    """

    def __init__(self) -> None:
        self._places = mmap.mmap(-1, _SLOTS * _SLOT.size)

    def fail(self, address: str) -> float:
        """Count a failure; return 0, or the seconds for which the address has failed often enough."""
        # The seed of `hash` is the process' own and forked along, so nobody can choose whom to share with.
        owner = hash(_group(address))
        offset = owner % _SLOTS * _SLOT.size
        now = time.monotonic()
        known, began, count = self._read(offset)
        if known != owner or not 0 <= now - began < WINDOW_S:
            began, count = now, 0
        if count >= LIMIT:
            return max(1.0, began + WINDOW_S - now)
        _SLOT.pack_into(self._places, offset, owner, began, count + 1)
        return 0.0

    def _read(self, offset: int) -> tuple[int, float, float]:
        return _SLOT.unpack_from(self._places, offset)


def _group(address: str) -> str:
    """Return what counts as one caller: an IPv4 address, or the /64 that one customer has of IPv6."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
