"""Processes that are killed and started again, and the storm that does it from a seed."""
import os
import random
import signal
import subprocess
import sys
import time

STORM_TIMES = 4
ENDED_BY_ITSELF = 3     # a program gives up what it cannot settle, and is started again


class Program:
    """One process at a time of the same command. What it writes is appended to @log."""

    def __init__(self, name, command, log, env=None):
        self.name, self.command, self.log = name, [str(c) for c in command], log
        self.env = {**os.environ, **(env or {})}
        self.process, self.starts, self.kills, self.gave_up = None, 0, 0, 0

    def start(self):
        with open(self.log, "ab") as log:
            log.write(f"-- start {self.starts} of {self.name}\n".encode())
            log.flush()
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env)
        self.starts += 1
        return self

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """SIGKILL; False if it had ended by itself."""
        if not self.running():
            return False
        self.process.kill()
        self.process.wait()
        self.kills += 1
        return True

    def keep(self):
        """Start it again if it has given up; any other end of its own is a failure."""
        if self.running():
            return
        if self.process.returncode != ENDED_BY_ITSELF:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}: {self.tail()}")
        self.gave_up += 1
        self.start()

    def stop(self, limit_s=40, fine=(0,)):
        """SIGTERM; it must end with a status that is @fine."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(limit_s)
        if status not in fine:
            raise AssertionError(f"{self.name} ended with {status} after SIGTERM: {self.tail()}")

    def end(self):
        """Whatever its state; for the end of a check."""
        if self.running():
            self.process.kill()
        if self.process:
            self.process.wait()

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def tail(self):
        return " | ".join(self.text().splitlines()[-4:])[-400:]


class Together:
    """Programs that end with the block they are used in."""

    def __init__(self, *programs):
        self.programs = programs

    def __enter__(self):
        for p in self.programs:
            p.start()
        return self.programs

    def __exit__(self, kind, *_exc):
        for p in self.programs:
            p.end()
            if kind and os.environ.get("CHECKS_TRACE") == "1":
                print(p.text(), file=sys.stderr)


def seed():
    """CHECKS_SEED, or a new one; it fixes the victims and the moments, not what the machine does in between."""
    return int(os.environ.get("CHECKS_SEED") or random.SystemRandom().randrange(1, 1 << 31))


def storm(rng, programs, broker, seconds, torn, pause_s=(1.0, 4.0), on_kill=lambda _program: None):
    """Kill and start again for @seconds: each program twice as often as the broker, in an order that @rng shuffles. It goes on, for
    four times as long at most, until @torn(): no moment is sure to tear a transaction, and a run that tears none proves nothing."""
    begin = time.monotonic()
    deck = []
    while (past := time.monotonic() - begin) < seconds or (past < STORM_TIMES * seconds and not torn()):
        if not deck:
            deck = 2 * list(programs) + ([broker] if broker.node else [])
            rng.shuffle(deck)
        quiet(programs, rng.uniform(*pause_s))
        victim = deck.pop()
        if victim is broker:
            broker.kill(rng.uniform(0, 1))
        elif victim.kill():
            on_kill(victim)
            time.sleep(rng.uniform(0, 1))
            victim.start()


def quiet(programs, seconds, done=lambda: False):
    """Let the programs work for @seconds, or until @done(). Return: whether it was done."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for p in programs:
            p.keep()
        if done():
            return True
        time.sleep(0.1)
    return False
