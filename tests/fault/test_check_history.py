#!/usr/bin/env python3
"""The checker finds each broken promise, and nothing in a history without one.

Method: a small history in which everything is right; each test changes one thing in it and names the findings that this
must give, all of them. A kind that no test plants fails the last test.
"""

import copy
import tempfile
import unittest
from pathlib import Path

import history
from check_history import KINDS, Checker

OF = ["t", 0]
PLANTED = set()


def rows(producer, first, count):
    return [history.row_of(history.value_of(producer, 0, first + i, b"x" * i)) for i in range(count)]


def good():
    """Two producers, a reader, a committer, a fault, calm, and a last reading of ten offsets."""
    tape, t = [], [0.0]

    def add(do, by, **fields):
        t[0] += 0.1
        tape.append({"t": round(t[0], 3), "by": by, "do": do, **fields})

    log = []
    for number in range(5):
        producer, n = ("a", number) if number % 2 else ("b", number)
        part = rows(producer, n, 2)
        add("send", producer, of=OF, n=n, count=2)
        if number == 2:
            add("fault", "nemesis", what="kill", node=1, of=OF)
            add("calm", "nemesis")
        add("ack", producer, of=OF, since=t[0] - 0.05, at=len(log), n=n, sums=[r[2] for r in part])
        add("read", "reader", of=OF, at=len(log), rows=part)
        log += part
        add("end", "reader", of=OF, since=t[0], end=len(log), via="list")
        add("end", "reader", of=OF, since=t[0], end=len(log), via="fetch")
        add("commit?", "group", group="g", of=OF, offset=len(log))
        add("commit", "group", group="g", of=OF, offset=len(log), since=t[0] - 0.1)
        add("committed", "group", group="g", of=OF, offset=len(log), since=t[0])
        add("changed", "control", since=t[0] - 0.05)
    add("stop", "nemesis")
    add("read", "final", of=OF, at=0, rows=log[:6])
    add("read", "final", of=OF, at=6, rows=log[6:])
    add("final", "final", of=OF, start=0, end=len(log), round=1)
    return tape


# The producers of good(): numbers of "a" are 1 2 3 4 with 1-2 and 3-4; of "b" 0 1, 2 3, 4 5.


class Planted(unittest.TestCase):
    def setUp(self):
        self.tape = good()

    def pick(self, do, which=0, **fields):
        """The which-th event of this kind, to be changed."""
        return [e for e in self.tape if e["do"] == do and all(e.get(k) == v for k, v in fields.items())][which]

    def judge(self, *kinds):
        PLANTED.update(kinds)
        violations = Checker().feed(sorted(self.tape, key=lambda e: e["t"])).judge()
        self.assertEqual(sorted({v.kind for v in violations}), sorted(kinds), violations)
        return violations

    def add_after(self, event, **fields):
        new = {**copy.deepcopy(event), **fields}
        new["t"] = event["t"] + 0.01
        self.tape.append(new)
        return new

    def cut_the_end(self, offsets):
        """The last reading comes back without the newest @offsets."""
        last = self.pick("read", 1, by="final")
        last["rows"] = last["rows"][:-offsets]
        self.pick("final")["end"] -= offsets

    def test_nothing(self):
        self.judge()

    def test_lost_at_the_end(self):
        self.cut_the_end(1)
        self.judge("lost", "end too low")

    def test_lost_in_the_middle(self):
        first = self.pick("read", 0, by="final")
        self.tape.remove(first)
        self.add_after(first, rows=first["rows"][:2])
        self.add_after(first, at=4, rows=first["rows"][4:])
        violations = self.judge("lost", "gap")
        self.assertIn("2 of 10 acknowledged offsets, such as [2, 3]", violations[0].text)

    def test_lost_without_offset(self):
        ack = self.pick("ack", 0)
        self.add_after(self.pick("send", 0), n=10, count=1)
        self.add_after(ack, at=-1, n=10, sums=[1])
        self.judge("lost")

    def test_kept_without_offset(self):
        """An acknowledgement that names no offset is no finding while the record is there."""
        ack = self.pick("ack", 4)
        ack["at"] = -1
        self.judge()

    def test_retention(self):
        """What lies before the start may be gone."""
        self.pick("final")["start"] = 2
        first = self.pick("read", 0, by="final")
        first["at"], first["rows"] = 2, first["rows"][2:]
        self.judge()

    def share(self):
        """A group that was lent everything as it came, and accepted it, but the first record at its second coming."""
        for ack in [e for e in self.tape if e["do"] == "ack"]:
            at = list(range(ack["at"], ack["at"] + 2))
            part = dict(by="s", of=OF, group="s", offsets=at)
            events = [dict(do="lent", since=ack["t"], **part), dict(do="accept?", since=ack["t"], **part)]
            if ack["at"]:
                events.append(dict(do="accept", since=ack["t"], **part))
            else:                           # the answer did not come; then another member was faster
                part.update(by="other")
                events += [dict(do="unlent", since=ack["t"], **{**part, "by": "s"}), dict(do="lent", since=ack["t"], **part),
                           dict(do="accept?", since=ack["t"], **part), dict(do="accept", since=ack["t"], **part)]
            self.tape += [dict(t=ack["t"] + 0.01 * (i + 1), **e) for i, e in enumerate(events)]

    def test_shared(self):
        self.share()
        self.judge()

    def test_came_again(self):
        self.share()
        accept = self.pick("accept", 1)
        self.add_after(accept, do="lent", by="other", since=accept["t"] - 0.005)    # asked for before: nobody's fault
        self.judge()
        self.add_after(accept, do="lent", by="other", since=accept["t"] + 0.005)
        self.judge("came again")

    def test_not_accepted(self):
        self.share()
        self.tape.remove(self.pick("accept", 2))
        self.judge()                        # it may have been done
        self.tape.remove(self.pick("accept?", 3))
        self.judge("not accepted")

    def test_vanished(self):
        """Shown to a consumer and never acknowledged; then it is gone."""
        self.pick("send", 4)["count"] = 3
        self.add_after(self.pick("read", 4), at=10, rows=rows("b", 6, 1))
        self.judge("vanished")

    def test_changed_between_readers(self):
        self.pick("read", 1, by="reader")["rows"][0][2] ^= 1
        self.judge("changed")

    def test_changed_at_the_end(self):
        """The newest record became another one that was really sent: the first is lost as well, to who looks by content."""
        self.pick("read", 1, by="final")["rows"][3] = rows("a", 1, 1)[0]
        self.judge("changed")

    def test_changed_since_ack(self):
        self.pick("ack", 3)["sums"][1] ^= 1
        self.judge("changed")

    def test_two_leaders(self):
        """Two producers were told the same offset."""
        self.pick("ack", 2)["at"] -= 2
        self.judge("changed")

    def test_doubled(self):
        """Sent again after the fault, and appended again."""
        self.pick("read", 1, by="final")["rows"].append(rows("b", 4, 1)[0])
        self.pick("final")["end"] += 1
        self.judge("doubled")

    def test_doubled_is_right_without_idempotence(self):
        self.pick("read", 1, by="final")["rows"].append(rows("b", 4, 1)[0])
        self.pick("final")["end"] += 1
        self.assertEqual(Checker(not_idempotent=["b"]).feed(self.tape).judge(), [])

    def test_order(self):
        """The batch of numbers 10 and 11 lies before that of 8 and 9; nobody else had seen them."""
        self.pick("send", 4)["count"] = 20
        self.pick("read", 1, by="final")["rows"] += rows("b", 10, 2) + rows("b", 8, 2)
        self.pick("final")["end"] += 4
        self.judge("order")

    def test_phantom(self):
        self.pick("read", 1, by="final")["rows"].append(rows("b", 77, 1)[0])
        self.pick("final")["end"] += 1
        self.judge("phantom")

    def test_phantom_of_bytes(self):
        self.pick("read", 1, by="final")["rows"].append(history.row_of(b"zeroes"))
        self.pick("final")["end"] += 1
        self.judge("phantom")

    def test_end_went_back(self):
        self.pick("end", 3, via="list")["end"] = 3
        self.judge("end went back")

    def test_end_at_the_same_time(self):
        """Asked before the higher one was told: no order between the two."""
        end = self.pick("end", 3, via="list")
        end["end"], end["since"] = 3, self.pick("end", 2, via="list")["t"] - 0.01
        self.judge()

    def test_end_of_a_fetch(self):
        """Lower for a moment in fetches: counted, and no more."""
        self.pick("end", 3, via="fetch")["end"] = 3
        checker = Checker().feed(self.tape)
        self.assertEqual(checker.judge(), [])
        self.assertEqual(checker.figures.counts["lower ends in fetches"], 1)

    def test_end_too_low(self):
        self.pick("end", 4, via="fetch")["end"] = 12
        self.judge("end too low")

    def test_commit_went_back(self):
        self.pick("committed", 3)["offset"] = 2
        self.judge("commit went back")

    def test_commit_gone(self):
        self.pick("committed", 4)["offset"] = -1
        self.judge("commit went back")

    def test_commit_in_flight(self):
        """Found before the commit was acknowledged: the older one is right as well."""
        found = self.pick("committed", 3)
        found["offset"], found["since"] = 6, self.pick("commit", 3)["t"] - 0.05
        self.judge()

    def test_commit_of_nobody(self):
        self.pick("committed", 4)["offset"] = 11
        self.judge("commit of nobody")

    def test_unread(self):
        self.tape.remove(self.pick("final"))
        self.judge("unread")

    def test_gap(self):
        """Nobody was told of these offsets, but they must hold something."""
        final = self.pick("final")
        final["end"] += 2
        self.judge("gap")

    def test_not_available(self):
        calm = self.pick("calm")
        calm["t"] = self.pick("ack", 4)["t"] + 0.01
        self.judge("not available")

    def test_refused(self):
        self.add_after(self.pick("send", 1), do="refused", what="Produce", error="CORRUPT_MESSAGE")
        self.judge("refused")

    def test_second_reading(self):
        """The second reading, from other leaders, is judged like the first."""
        final = self.pick("final")
        for read in [e for e in self.tape if e["do"] == "read" and e["by"] == "final"]:
            self.add_after(final, **{**read, "t": 0})
        self.add_after({**final, "t": final["t"] + 1}, round=2)
        self.judge()
        self.tape.remove([e for e in self.tape if e["do"] == "read" and e["by"] == "final"][-1])
        self.judge("lost", "gap")


class Figures(unittest.TestCase):
    def test_windows(self):
        checker = Checker().feed(good())
        checker.judge()
        f = checker.figures
        acks = [e["t"] for e in good() if e["do"] == "ack"]
        gaps = {round(b - a, 3) for a, b in zip(acks, acks[1:])}
        self.assertAlmostEqual(f.windows[("t", 0)][0], max(gaps), 3)
        self.assertEqual((f.counts["records acknowledged"], f.counts["records read"], f.counts["faults"]), (10, 20, 1))
        fault = f.faults[0]
        self.assertAlmostEqual(checker.window_of(fault["t"], fault["t"] + 0.5, [("t", 0)]), acks[2] - acks[1], 3)

    def test_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x.jsonl"
            writer = history.Writer(path, "me")
            writer.write("stop", t=2.0)
            writer.write("calm", t=1.0, by="you")
            writer.close()
            with open(path, "a", encoding="utf-8") as file:
                file.write('{"t":3,"by"')                       # killed while it wrote
            self.assertEqual(history.read([path]), [{"t": 1.0, "by": "you", "do": "calm"}, {"t": 2.0, "by": "me", "do": "stop"}])

    def test_values(self):
        self.assertEqual(history.row_of(history.value_of("p", 3, 12, b"a:b"))[:2], ["p", 12])
        for value in (None, b"", b"x", b"a:b:c", b"\xff:0:1:"):
            self.assertEqual(history.row_of(value)[1], -1)


class Whole(unittest.TestCase):
    def test_each_kind_was_planted(self):
        """Runs last: names sort behind Planted."""
        self.assertEqual(PLANTED, set(KINDS))


if __name__ == "__main__":
    unittest.main()
