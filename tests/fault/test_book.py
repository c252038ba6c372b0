#!/usr/bin/env python3
"""The checker itself: each promise that is broken is noticed, and what is kept is not.

Method: small stories told to the book.
"""

import unittest

from book import Book, Broken

P = ("t", 0)


class Promises(unittest.TestCase):
    def setUp(self):
        self.book = Book()
        self.book.acknowledge(P, 0, [b"a:0:0:", b"a:0:1:"])

    def test_content(self):
        self.book.saw(P, 0, b"a:0:0:")
        with self.assertRaises(Broken):
            self.book.saw(P, 1, b"a:0:2:")
        with self.assertRaises(Broken):
            self.book.acknowledge(P, 1, [b"a:0:2:"])
        self.book.saw(P, 2, b"x" * 100 + b"y")
        with self.assertRaises(Broken):
            self.book.saw(P, 2, b"x" * 100 + b"z")

    def test_start(self):
        self.book.starts_at(P, 3, life=1)
        self.book.starts_at(P, 3, life=1)
        with self.assertRaises(Broken):
            self.book.starts_at(P, 2, life=1)
        self.book.starts_at(P, 2, life=2)
        self.book.starts_at(P, 3, life=1)           # an answer from before, late
        self.assertEqual(self.book.start_of(P), 2)
        with self.assertRaises(Broken):
            self.book.starts_at(P, 1, life=2)

    def test_acknowledged(self):
        self.book.all_there(P, {0, 1}, 0, 2)
        self.book.all_there(P, {1}, 1, 2)           # what retention has passed may be gone
        with self.assertRaises(Broken):
            self.book.all_there(P, {0}, 0, 1)

    def test_newest_of_key(self):
        self.book.acknowledge(P, 2, [b"1", b"2"], [b"k", b"k"])
        self.book.newest_there(P, [(3, b"k", b"2")])
        self.book.newest_there(P, [(2, b"k", b"1"), (5, b"k", b"3")])
        for found in ([], [(2, b"k", b"1")], [(3, b"k", b"1")]):
            with self.assertRaises(Broken):
                self.book.newest_there(P, found)

    def test_order(self):
        self.book.in_order(P, [b"a:0:0:", b"b:0:7:", b"a:0:1:x"], b"a", True)
        self.book.in_order(P, [b"a:0:5:", b"a:0:6:"], b"a", False)
        for values, whole in (([b"a:0:1:"], True), ([b"a:0:0:", b"a:0:0:"], True), ([b"a:0:5:", b"a:0:7:"], False),
                              ([b"a:0:6:", b"a:0:5:"], False)):
            with self.assertRaises(Broken):
                self.book.in_order(P, values, b"a", whole)

    def test_first_reason_stays(self):
        self.book.guard(self.book.saw, P, 0, b"other")
        self.assertIn("offset 0", self.book.broken)
        first = self.book.broken
        self.book.guard(lambda: 1 / 0)
        self.assertEqual(self.book.broken, first)
        other = Book()
        other.guard(lambda: 1 / 0)
        self.assertIn("ZeroDivisionError", other.broken)


if __name__ == "__main__":
    unittest.main()
