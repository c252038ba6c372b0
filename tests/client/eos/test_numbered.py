#!/usr/bin/env python3
"""Goal: numbered.py speaks of every planted fault, and of nothing else. Method: a good copy, and each fault planted in it."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from numbered import faults, totals, totals_faults, value  # noqa: E402

COUNTS = {0: 30, 1: 20}


class Planted(unittest.TestCase):
    def setUp(self):
        self.rows = [(p, value(p, n)) for n in range(30) for p in COUNTS if n < COUNTS[p]]

    def test_good(self):
        """Each record once and in order: nothing is said, however the partitions are mixed."""
        self.assertEqual(faults(self.rows, COUNTS), [])
        self.assertEqual(faults(sorted(self.rows, key=lambda r: r[0]), COUNTS), [])

    def test_lost(self):
        """A record that is missing is named: the first, one in the middle, the last, all."""
        for n in (0, 7, 19):
            self.assertEqual(faults([r for r in self.rows if r != (1, value(1, n))], COUNTS), [f"lost: 1-{n}"])
        self.assertEqual(faults([r for r in self.rows if r[0] == 0], COUNTS), ["lost: 1-0, 1-1, 1-2, 1-3, 1-4 and 15 more"])

    def test_twice(self):
        """A record that is there again is named, right behind itself or at the end."""
        at = self.rows.index((0, value(0, 9)))
        self.assertEqual(faults(self.rows[:at] + self.rows[at:at + 1] + self.rows[at:], COUNTS), ["twice: 0-9"])
        self.assertEqual(faults(self.rows + [(0, value(0, 9))], COUNTS), ["twice: 0-9"])

    def test_order(self):
        """Two records that changed places are told."""
        rows = [r for r in self.rows if r[0] == 1]
        rows[4], rows[5] = rows[5], rows[4]
        self.assertEqual(faults(rows, {1: 20}), ["out of order: 1-4"])

    def test_foreign(self):
        """What was never sent, and what is in another partition than it was, is told, and lost where it belongs."""
        self.assertEqual(faults(self.rows + [(0, "0-30"), (0, "x"), (5, "5-0")], COUNTS),
                         ["not ours: 0-30 in partition 0, x in partition 0, 5-0 in partition 5"])
        moved = [(0, t) if t == "1-3" else (p, t) for p, t in self.rows]
        self.assertEqual(faults(moved, COUNTS), ["not ours: 1-3 in partition 0", "lost: 1-3"])


class Totals(unittest.TestCase):
    """The same of running totals."""

    def lines(self, *numbers, key="1.2"):
        """What the application sends when it adds these records."""
        return [f"{key} {i + 1} {sum(numbers[:i + 1]) + i + 1}" for i in range(len(numbers))]

    def test_good(self):
        """Each record is added once: nothing is said, and the totals are those in the end."""
        lines = [line for rest in range(5) for line in self.lines(*range(rest, 20, 5), key=f"1.{rest}")]
        self.assertEqual(totals_faults(lines, {1: 20}), [])
        self.assertEqual(totals({1: 20})["1.2"], (4, 2 + 7 + 12 + 17 + 4))
        self.assertIn("1.2 4 42", lines)

    def test_planted(self):
        """Records that are not added, added twice, or whose addition is forgotten again, are told."""
        rest = [line for r in (0, 1, 3, 4) for line in self.lines(*range(r, 20, 5), key=f"1.{r}")]
        for numbers, said in (((2, 12, 17), "lost: 2-1 "), ((2, 7, 7, 12, 17), "twice: 2-1 "), ((2, 12, 7, 17), "out of order: 2-1 "),
                              ((2, 7, 13, 17), "1.2 has grown by 13, which is not its own")):
            found = totals_faults(rest + self.lines(*numbers), {1: 20})
            self.assertTrue(found and found[0].startswith(said), (numbers, found))
        forgotten = ["1.2 1 3", "1.2 2 11", "1.2 2 16", "1.2 3 34"]
        self.assertEqual(totals_faults(rest + forgotten, {1: 20})[0], "1.2 counts 2 after 2")


if __name__ == "__main__":
    unittest.main()
