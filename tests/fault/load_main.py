"""What the programs under load share: threads whose failure is not lost, and an end by SIGTERM."""

import signal
import sys
import threading


class Load:
    """Ends when `finish` is set; `failed` says why it came to a bad end."""

    def __init__(self):
        self.finish, self.failed = threading.Event(), None

    def guard(self, function):
        try:
            function()
        except Exception as why:            # whatever it is: it must not go unseen
            self.failed = self.failed or f"{type(why).__name__}: {why}"
            self.finish.set()

    def threads(self, *functions):
        """One for each, started."""
        threads = [threading.Thread(target=self.guard, args=(f,), daemon=True) for f in functions]
        for t in threads:
            t.start()
        return threads


def main(load):
    """The status that the program ends with."""
    signal.signal(signal.SIGTERM, lambda *_: load.finish.set())
    load.run()
    if load.failed:
        print(load.failed, file=sys.stderr)
    return 1 if load.failed else 0
