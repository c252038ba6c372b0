"""A node's wall clock, moved forward at will (shift-clock.c)."""

import os
import struct
import tempfile

from node import ROOT

MINUTE_S, DAY_S = 60, 24 * 3600


class Clock:
    """Give env() to the node, then forward() it. The node's monotonic clock goes on as it does."""

    def __init__(self):
        self.preload = os.environ.get("SHIFT_CLOCK_LIB", ROOT / "build/tests/protocol/libshift-clock.so")
        if not os.path.exists(self.preload):
            raise FileNotFoundError(f"{self.preload} is not there; build it with 'make'")
        self.file = tempfile.NamedTemporaryFile(prefix="chronik-clock-")
        self.set(0)

    def env(self):
        return {"LD_PRELOAD": str(self.preload), "SHIFT_CLOCK": self.file.name,
                "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    def set(self, ahead_s):
        """So many seconds ahead of this machine's clock."""
        os.pwrite(self.file.fileno(), struct.pack("=q", int(ahead_s * 1000)), 0)

    def close(self):
        self.file.close()
