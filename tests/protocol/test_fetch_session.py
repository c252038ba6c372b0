#!/usr/bin/env python3
"""Incremental fetch sessions (KIP-227).

Goal: kafka-semantics items 30 and 32. Method: a session is driven request by request, with right and wrong epochs,
and its answers are compared with what changed meanwhile; the cache is filled beyond its size.
"""

import unittest

from fetching import FetchCase, flat, of, values
from kafka import ERR

VERSIONS = range(7, 19)
FINAL = -1


class SessionCase(FetchCase):
    def open(self, client, version, wanted, **fields):
        """A new session; returns its id and the first answer."""
        answer = self.ask(client, version, wanted, session_epoch=0, **fields)
        self.assertError(answer["error_code"], ERR.NONE)
        self.assertGreater(answer["session_id"], 0)
        return answer["session_id"], answer

    def go_on(self, client, version, session, epoch, wanted=(), forget=(), error=ERR.NONE, **fields):
        """The next request of a session; returns the pairs (partition, answer)."""
        answer = self.ask(client, version, wanted, forget, session_id=session, session_epoch=epoch, **fields)
        self.assertError(answer["error_code"], error)
        if error:
            self.assertEqual((answer["session_id"], answer["responses"]), (0, []))
        else:
            self.assertEqual(answer["session_id"], session)
        return flat(answer)


class Session(SessionCase):
    def test_without_a_session(self):
        """Item 30: epoch -1 makes no session, in every version; its answer has id 0 and every partition."""
        topic = self.topic(partitions=2)
        for version in VERSIONS:
            answer = self.ask(self.client(), version, [of(topic, 0), of(topic, 1)], session_epoch=FINAL)
            self.assertEqual((answer["error_code"], answer["session_id"], len(flat(answer))), (0, 0, 2))

    def test_first_answer_is_full(self):
        """Item 30: epoch 0 makes a session with an id of its own, and is answered with every partition, changed or
        not."""
        topic = self.topic(partitions=3)
        ids = set()
        for version in VERSIONS:
            session, answer = self.open(self.client(), version, [of(topic, p) for p in range(3)])
            self.assertEqual([index for index, _ in flat(answer)], [0, 1, 2])
            ids.add(session)
        self.assertEqual(len(ids), len(VERSIONS))

    def test_only_changes(self):
        """Item 30: later answers hold the partitions with news alone: records, a moved high watermark, a moved
        start."""
        for version in VERSIONS:
            with self.subTest(version=version):
                topic = self.topic(partitions=3)
                client = self.client()
                session, _ = self.open(client, version, [of(topic, p) for p in range(3)])
                self.assertEqual(self.go_on(client, version, session, 1), [])
                self.fill(topic, [b"a"], partition=1)
                (index, part), = self.go_on(client, version, session, 2)
                self.assertEqual((index, values(part)), (1, [b"a"]))
                (index, part), = self.go_on(client, version, session, 3)    # its position was not moved
                self.assertEqual((index, values(part)), (1, [b"a"]))
                self.assertEqual(self.go_on(client, version, session, 4, [of(topic, 1, 1)]), [])
                self.assertEqual(self.go_on(client, version, session, 5), [])

    def test_start_moved(self):
        """Item 30: a partition whose start moved is told, though it has no records for the client."""
        topic = self.topic(partitions=2)
        self.fill(topic, [b"a"], [b"b"])
        client = self.client()
        session, _ = self.open(client, 12, [of(topic, 0, 2), of(topic, 1)])
        self.assertEqual(self.go_on(client, 12, session, 1), [])
        client.call("DeleteRecords", 2, timeout_ms=5000, topics=[
            {"name": topic, "partitions": [{"partition_index": 0, "offset": 1}]}])
        (index, part), = self.go_on(client, 12, session, 2)
        self.assertEqual((index, part["log_start_offset"], part["records"]), (0, 1, b""))
        self.assertEqual(self.go_on(client, 12, session, 3), [])

    def test_wrong_epoch(self):
        """Item 30: a wrong epoch is error 71, and the session stays as it was."""
        topic = self.topic()
        for version in VERSIONS:
            with self.subTest(version=version):
                client = self.client()
                session, _ = self.open(client, version, [of(topic)])
                for wrong in (2, 7, (1 << 31) - 1, -2):
                    self.go_on(client, version, session, wrong, error=ERR.INVALID_FETCH_SESSION_EPOCH)
                self.go_on(client, version, session, 1)
                self.go_on(client, version, session, 1, error=ERR.INVALID_FETCH_SESSION_EPOCH)
                self.go_on(client, version, session, 2)

    def test_unknown_session(self):
        """Item 30: an id that no session has is error 70."""
        topic = self.topic()
        for version in VERSIONS:
            for unknown in (0, 1, -5, 1 << 30):
                with self.subTest(version=version, unknown=unknown):
                    self.go_on(self.client(), version, unknown, 1, [of(topic)], error=ERR.FETCH_SESSION_ID_NOT_FOUND)

    def test_close(self):
        """Item 30: the final epoch ends the session and is answered as a fetch without one."""
        topic = self.topic()
        client = self.client()
        for version in VERSIONS:
            session, _ = self.open(client, version, [of(topic)])
            answer = self.ask(client, version, [of(topic)], session_id=session, session_epoch=FINAL)
            self.assertEqual((answer["error_code"], answer["session_id"], len(flat(answer))), (0, 0, 1))
            self.go_on(client, version, session, 1, error=ERR.FETCH_SESSION_ID_NOT_FOUND)

    def test_new_in_place_of_old(self):
        """Item 30: epoch 0 with the id of a session ends that one and makes another."""
        topic = self.topic()
        client = self.client()
        old, _ = self.open(client, 12, [of(topic)])
        new, answer = self.open(client, 12, [of(topic)], session_id=old)
        self.assertNotEqual(new, old)
        self.assertEqual(len(flat(answer)), 1)
        self.go_on(client, 12, old, 1, error=ERR.FETCH_SESSION_ID_NOT_FOUND)
        self.go_on(client, 12, new, 1)

    def test_add_and_forget(self):
        """Item 30: partitions are added with a full answer of their own, and forgotten ones are told no more. A
        partition that was never there can be forgotten."""
        for version in VERSIONS:
            with self.subTest(version=version):
                topic = self.topic(partitions=3)
                client = self.client()
                session, _ = self.open(client, version, [of(topic, 0)])
                self.assertEqual([i for i, _ in self.go_on(client, version, session, 1, [of(topic, 1)])], [1])
                for partition in range(3):
                    self.fill(topic, [b"x"], partition=partition)
                self.assertEqual(sorted(i for i, _ in self.go_on(client, version, session, 2)), [0, 1])
                answer = self.go_on(client, version, session, 3, forget=[(topic, [0, 2])])
                self.assertEqual([i for i, _ in answer], [1])
                self.assertEqual([i for i, _ in self.go_on(client, version, session, 4)], [1])

    def test_forget_all(self):
        """Item 30: a session without partitions is over: its answer has id 0, and the id is known no more."""
        topic = self.topic()
        client = self.client()
        session, _ = self.open(client, 12, [of(topic)])
        answer = self.ask(client, 12, [], [(topic, [0])], session_id=session, session_epoch=1)
        self.assertEqual((answer["error_code"], answer["session_id"], answer["responses"]), (0, 0, []))
        self.go_on(client, 12, session, 2, error=ERR.FETCH_SESSION_ID_NOT_FOUND)

    def test_no_session_of_nothing(self):
        """Item 30: a new session without partitions is none. (Kafka makes one; a client without partitions asks
        nothing.)"""
        self.chronikd_only("Kafka makes a session")
        answer = self.ask(self.client(), 12, [], session_epoch=0)
        self.assertEqual((answer["error_code"], answer["session_id"]), (0, 0))

    def test_errors_always(self):
        """Item 30: a partition with an error is in every answer until the error is gone; then it is told once more."""
        for version in VERSIONS:
            with self.subTest(version=version):
                topic = self.topic()
                self.fill(topic, [b"a"])
                client = self.client()
                session, _ = self.open(client, version, [of(topic, 0, 9)])
                for epoch in (1, 2):
                    (_, part), = self.go_on(client, version, session, epoch)
                    self.assertError(part["error_code"], ERR.OFFSET_OUT_OF_RANGE)
                (_, part), = self.go_on(client, version, session, 3, [of(topic, 0, 1)])
                self.assertEqual((part["error_code"], part["high_watermark"]), (0, 1))
                self.assertEqual(self.go_on(client, version, session, 4), [])

    def test_unknown_topic_in_session(self):
        """Item 30: a topic that does not exist is part of the session, told with its error each time; once it is
        there it is served under its name."""
        name = self.fresh("later")
        topic = self.topic()
        client = self.client()
        session, answer = self.open(client, 12, [of(topic), of(name)])
        self.assertEqual(sorted(p["error_code"] for _, p in flat(answer)), [0, 3])
        (_, part), = self.go_on(client, 12, session, 1)
        self.assertError(part["error_code"], ERR.UNKNOWN_TOPIC_OR_PARTITION)
        self.topic(name=name)
        self.fill(name, [b"here"])
        (_, part), = self.go_on(client, 12, session, 2)
        self.assertEqual((part["error_code"], values(part)), (0, [b"here"]))

    def test_names_and_ids_do_not_mix(self):
        """Item 30: a session of names cannot be gone on with by ids, nor the other way round: error 106, and the
        session stays."""
        topic = self.topic()
        client = self.client()
        for first, second in ((12, 13), (7, 18), (13, 12), (18, 7)):
            with self.subTest(first=first, second=second):
                session, _ = self.open(client, first, [of(topic)])
                self.go_on(client, second, session, 1, error=ERR.FETCH_SESSION_TOPIC_ID_ERROR)
                self.go_on(client, first, session, 1)

    def test_versions_of_one_kind_mix(self):
        """Item 30: within names, and within ids, a client may change the version."""
        topic = self.topic()
        client = self.client()
        for first, second in ((7, 12), (12, 7), (13, 18), (18, 13)):
            session, _ = self.open(client, first, [of(topic)])
            self.go_on(client, second, session, 1)

    def test_unknown_id_in_session(self):
        """Item 30: an id that no topic has is UNKNOWN_TOPIC_ID for its partition in every answer."""
        topic = self.topic()
        client = self.client()
        session, answer = self.open(client, 13, [of(topic), of(b"\x07" * 16)])
        self.assertEqual(sorted(p["error_code"] for _, p in flat(answer)), [0, 100])
        for epoch in (1, 2):
            (_, part), = self.go_on(client, 13, session, epoch)
            self.assertError(part["error_code"], ERR.UNKNOWN_TOPIC_ID)

    def test_recreated_topic(self):
        """Items 30, 48: a session by id does not get the records of another topic with the same name."""
        topic, other = self.topic(), self.topic()
        old = self.topic_id(topic)
        client = self.client()
        session, _ = self.open(client, 13, [of(other), of(old)])
        self.delete_topic(topic)
        self.chronikd_only("Kafka takes a while to forget a topic")
        self.topic(name=topic)
        self.fill(topic, [b"not for you"])
        (_, part), = self.go_on(client, 13, session, 1)
        self.assertIn(part["error_code"], (ERR.UNKNOWN_TOPIC_ID, ERR.INCONSISTENT_TOPIC_ID))
        self.assertEqual(part["records"], b"")

    def test_leader_epoch_is_kept(self):
        """Item 30, KAFKA-9338: the leader epoch that the client named is checked in later requests as well."""
        topic = self.topic()
        client = self.client()
        session, answer = self.open(client, 12, [of(topic, current_leader_epoch=99)])
        self.assertError(flat(answer)[0][1]["error_code"], ERR.UNKNOWN_LEADER_EPOCH)
        (_, part), = self.go_on(client, 12, session, 1)
        self.assertError(part["error_code"], ERR.UNKNOWN_LEADER_EPOCH)
        (_, part), = self.go_on(client, 12, session, 2, [of(topic, current_leader_epoch=-1)])
        self.assertError(part["error_code"], ERR.NONE)

    def test_another_connection(self):
        """Item 30: a session belongs to its id, not to its connection."""
        topic = self.topic()
        session, _ = self.open(self.client(), 12, [of(topic)])
        self.go_on(self.client(), 12, session, 1)

    def test_wait_for_changes(self):
        """Items 28, 30: a request of a session without news waits, and is answered with the partition that wakes it."""
        topic = self.topic(partitions=2)
        client = self.client()
        session, _ = self.open(client, 12, [of(topic, 0), of(topic, 1)])
        client.send("Fetch", 12, **self.request(12, [], max_wait_ms=8000, session_id=session, session_epoch=1))
        self.assertTrue(client.silent(0.3))
        self.fill(topic, [b"news"], partition=1)
        (index, part), = flat(client.receive())
        self.assertEqual((index, values(part)), (1, [b"news"]))


class Rotation(SessionCase):
    def test_served_go_to_the_end(self):
        """Item 32: with little room each partition gets its turn: the served one goes behind the others."""
        for version in (7, 11, 12, 13, 18):
            with self.subTest(version=version):
                topic = self.topic(partitions=3)
                for partition in range(3):
                    self.fill(topic, *[[b"v" * 500]] * 4, partition=partition)
                client = self.client()
                session, answer = self.open(client, version, [of(topic, p) for p in range(3)], max_bytes=100)
                served = [[i for i, p in flat(answer) if p["records"]]]
                for epoch in range(1, 6):
                    served.append([i for i, p in self.go_on(client, version, session, epoch, max_bytes=100)
                                   if p["records"]])
                for start in range(1, 4):       # the first answer comes before there is an order
                    self.assertEqual(sorted(served[start:start + 3]), [[0], [1], [2]], served)


class Cache(SessionCase):
    SETTINGS = ["fetch.session_cache=3"]

    def test_full_cache(self):
        """Item 30: when every place is taken by sessions in use a fetch is served without one; a place that is given
        back is used again. One with more partitions does not take the place of one that is younger than two minutes
        (test-handler-fetch-session moves the clock)."""
        topic = self.topic(partitions=2)
        client = self.client()
        sessions = [self.open(client, 12, [of(topic)])[0] for _ in range(3)]
        answer = self.ask(client, 12, [of(topic)], session_epoch=0)
        self.assertEqual((answer["error_code"], answer["session_id"], len(flat(answer))), (0, 0, 1))
        self.ask(client, 12, [], session_id=sessions.pop(1), session_epoch=FINAL)
        sessions.append(self.open(client, 12, [of(topic)])[0])
        for session in sessions:
            self.go_on(client, 12, session, 1)
        answer = self.ask(client, 12, [of(topic, 0), of(topic, 1)], session_epoch=0)
        self.assertEqual((answer["error_code"], answer["session_id"]), (0, 0))
        for session in sessions:
            self.go_on(client, 12, session, 2)


class Restart(SessionCase):
    OWN = True

    def test_sessions_do_not_outlive_the_node(self):
        """Item 30: after a restart a session's id is unknown, and the client starts another."""
        topic = self.topic()
        session, _ = self.open(self.client(), 12, [of(topic)])
        self.node.restart()
        client = self.client()
        self.go_on(client, 12, session, 1, error=ERR.FETCH_SESSION_ID_NOT_FOUND)
        self.open(client, 12, [of(topic)])


if __name__ == "__main__":
    unittest.main()
