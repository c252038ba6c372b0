#!/usr/bin/env python3
"""What clients were told (history.py), held against what a cluster promises. Pure: events in, findings out.

    tests/fault/check_history.py FOLDER/*.jsonl

A promise that was broken is a Violation; `kind` is its short name, one of KINDS. What is measured and judged by nobody is in
Figures. Nothing here knows which faults were done, but for the times of calm and stop.
"""

import collections
import sys

import history

Violation = collections.namedtuple("Violation", "kind text")

KINDS = {
    "lost": "an acknowledged record is not there in the end",
    "vanished": "a record that a consumer was given is not there in the end",
    "changed": "an offset had another content for somebody else, or later",
    "doubled": "a record of an idempotent producer is there twice",
    "order": "records of a producer in a partition are not in its order",
    "phantom": "a record was read that nobody had sent",
    "end went back": "the high watermark was lower than it had been for the same client before",
    "end too low": "in the end the high watermark is below one that was shown",
    "commit went back": "a committed offset was lower than one acknowledged before",
    "commit of nobody": "an offset was found committed that nobody had tried to commit",
    "came again": "a share group was given a record that it had accepted before",
    "not accepted": "an acknowledged record was not accepted in a share group in the end",
    "unread": "a partition could not be read to its end after the faults",
    "gap": "offsets are missing between the start and the end of a partition",
    "not available": "nothing was acknowledged to a partition after the faults",
    "refused": "an answer that no fault excuses",
}
EXAMPLES = 3                                # of each finding in its text


class Figures:
    """Counts, and the windows in which nothing was acknowledged."""

    def __init__(self):
        self.counts = collections.Counter()
        self.windows = {}                   # (topic, partition) -> (longest time without an ack, when it began)
        self.control_window = (0.0, 0.0)
        self.flood = None                   # the event of that name
        self.faults = []                    # (time, what, window of the partitions that it touched or None)


class Partition:
    """What is known of one partition."""

    def __init__(self):
        self.content = {}                   # offset -> (row, who said so)
        self.acked = {}                     # offset -> producer
        self.told_kept = []                 # (producer, number, checksum) of records acknowledged without an offset
        self.shown = set()                  # offsets that readers were given
        self.sent = {}                      # producer -> highest number sent so far
        self.ends = {}                      # (reader, via) -> (time, end)
        self.end_max = 0
        self.ack_times = []
        self.finals = []                    # (start, end, offsets that were read since the final one before)
        self.reading = set()                # offsets of the last reading that is going on


class Sharing:
    """What a share group has done in one partition."""

    def __init__(self):
        self.accepted = {}                  # offset -> when that was answered first
        self.tried = {}                     # offset -> how many acceptances were not answered, as far as is known


class Checker:
    def __init__(self, not_idempotent=(), final_by="final"):
        self.not_idempotent, self.final_by = set(not_idempotent), final_by
        self.partitions = collections.defaultdict(Partition)
        self.commits = {}                   # (group, topic, partition) -> [(time acknowledged, offset)], rising
        self.tried = collections.defaultdict(set)
        self.shared = collections.defaultdict(Sharing)      # (group, topic, partition) ->
        self.found = collections.OrderedDict()      # (kind, where) -> [texts]
        self.figures = Figures()
        self.control, self.began, self.calm, self.stop = [], None, None, None

    def fail(self, kind, where, text):
        assert kind in KINDS
        self.found.setdefault((kind, where), []).append(text)

    # -- events, in the order of their times --

    def feed(self, events):
        for e in events:
            self.began = e["t"] if self.began is None else self.began
            getattr(self, "on_" + e["do"].replace("?", "_try"))(e, self.partitions[tuple(e["of"])] if "of" in e else None)
        return self

    def on_send(self, e, p):
        p.sent[e["by"]] = max(p.sent.get(e["by"], -1), e["n"] + e["count"] - 1)

    def content(self, e, p, offset, row):
        known, who = p.content.setdefault(offset, (tuple(row), e["by"]))
        if known != tuple(row):
            self.fail("changed", name_of(e["of"]), f"offset {offset} was {known} for {who} and is {tuple(row)} for {e['by']} "
                                                   f"at {e['t']:.3f}")

    def on_ack(self, e, p):
        self.figures.counts["records acknowledged"] += len(e["sums"])
        p.ack_times.append(e["t"])
        for i, checksum in enumerate(e["sums"]):
            row = (e["by"], e["n"] + i, checksum)
            if e["at"] < 0:
                p.told_kept.append(row)
                continue
            p.acked[e["at"] + i] = e["by"]
            self.content(e, p, e["at"] + i, row)

    def on_read(self, e, p):
        self.figures.counts["records read"] += len(e["rows"])
        for offset, row in enumerate(e["rows"], e["at"]):
            self.content(e, p, offset, row)
            p.shown.add(offset)
            if row[1] < 0 or (row[0] in p.sent and row[1] > p.sent[row[0]]):
                self.fail("phantom", name_of(e["of"]), f"offset {offset} has {row} at {e['t']:.3f}")
            if e["by"] == self.final_by:
                p.reading.add(offset)

    def on_end(self, e, p):
        key = e["by"], e["via"]
        before, end = p.ends.get(key, (0, 0))
        if e["since"] >= before and e["end"] < end:
            if e["via"] == "list":
                self.fail("end went back", name_of(e["of"]), f"{e['by']} was told {end} at {before:.3f} and {e['end']} at "
                                                             f"{e['t']:.3f}")
            else:                           # KIP-207: a new leader's fetch may show less for a moment, ListOffsets may not
                self.figures.counts["lower ends in fetches"] += 1
        p.ends[key] = (e["t"], max(end, e["end"]))
        p.end_max = max(p.end_max, e["end"])

    def on_final(self, e, p):
        p.finals.append((e["start"], e["end"], p.reading))
        p.reading = set()

    def on_flood(self, e, p):
        self.figures.flood = e

    def on_commit_try(self, e, p):
        self.tried[(e["group"], *e["of"])].add(e["offset"])

    def on_commit(self, e, p):
        self.figures.counts["offsets committed"] += 1
        known = self.commits.setdefault((e["group"], *e["of"]), [])
        if not known or e["offset"] > known[-1][1]:
            known.append((e["t"], e["offset"]))
        self.tried[(e["group"], *e["of"])].add(e["offset"])

    def on_committed(self, e, p):
        key = (e["group"], *e["of"])
        least = max((offset for t, offset in self.commits.get(key, ()) if t <= e["since"]), default=-1)
        where = f"{e['group']} {name_of(e['of'])}"
        if e["offset"] < least:
            self.fail("commit went back", where, f"{least} was acknowledged before {e['since']:.3f}, and {e['by']} found "
                                                 f"{e['offset']} at {e['t']:.3f}")
        if e["offset"] >= 0 and e["offset"] not in self.tried[key]:
            self.fail("commit of nobody", where, f"{e['by']} found {e['offset']} at {e['t']:.3f}")

    def on_lent(self, e, p):
        done = self.shared[(e["group"], *e["of"])].accepted
        again = [o for o in e["offsets"] if done.get(o, e["t"]) < e["since"]]
        self.figures.counts["records lent"] += len(e["offsets"])
        if again:
            self.fail("came again", f"{e['group']} {name_of(e['of'])}", f"{again[:5]} accepted at {done[again[0]]:.3f} for {e['by']}, asked "
                                                                        f"for after {e['since']:.3f}, at {e['t']:.3f}")

    def on_accept_try(self, e, p):
        tried = self.shared[(e["group"], *e["of"])].tried
        for offset in e["offsets"]:
            tried[offset] = tried.get(offset, 0) + 1

    def on_accept(self, e, p):
        done = self.shared[(e["group"], *e["of"])].accepted
        self.figures.counts["records accepted"] += len(e["offsets"])
        for offset in e["offsets"]:
            done.setdefault(offset, e["t"])

    def on_unlent(self, e, p):
        tried = self.shared[(e["group"], *e["of"])].tried
        for offset in e["offsets"]:
            tried[offset] -= 1

    def on_changed(self, e, p):
        self.control.append(e["t"])
        self.figures.counts["changes of metadata"] += 1

    def on_refused(self, e, p):
        self.fail("refused", e["by"], f"{e['what']}: {e['error']} at {e['t']:.3f}")

    def on_fault(self, e, p):
        self.figures.faults.append(e)
        self.figures.counts["faults"] += 1

    def on_healed(self, e, p):
        pass

    def on_calm(self, e, p):
        self.calm = e["t"]

    def on_stop(self, e, p):
        self.stop = e["t"]

    # -- the end --

    def judge(self, whole=True):
        """All violations, the worst kinds first; figures are in self.figures. Without @whole the run broke off, and only what was
        wrong until then counts."""
        for of, p in sorted(self.partitions.items()):
            if whole and (p.ack_times or p.shown or p.finals):
                self.judge_partition(of, p)
        for key in [k for k in self.found if len(self.found[k]) > EXAMPLES]:
            texts = self.found[key]
            self.found[key] = texts[:EXAMPLES] + [f"and {len(texts) - EXAMPLES} more"]
        self.measure()
        rank = list(KINDS)
        return [Violation(kind, f"{where}: {'; '.join(texts)}")
                for (kind, where), texts in sorted(self.found.items(), key=lambda item: rank.index(item[0][0]))]

    def judge_partition(self, of, p):
        where = name_of(of)
        if not p.finals:
            self.fail("unread", where, "no reading came to its end")
            return
        if self.calm is not None and p.ack_times and p.ack_times[-1] < self.calm:
            self.fail("not available", where, f"the last acknowledgement came at {p.ack_times[-1]:.3f}, calm was at {self.calm:.3f}")
        for start, end, found in p.finals:
            lost = sorted(o for o in p.acked if o >= start and o not in found)
            if lost:
                self.fail("lost", where, f"{len(lost)} of {len(p.acked)} acknowledged offsets, such as {lost[:5]} "
                                         f"({p.content[lost[0]][0]}) of {start} to {end}")
            gone = sorted(o for o in p.shown if o >= start and o not in found and o not in p.acked)
            if gone:
                self.fail("vanished", where, f"{len(gone)} offsets, such as {gone[:5]} ({p.content[gone[0]][0]}) of {start} to {end}")
            missing = sorted(set(range(start, end)) - found)
            if missing:
                self.fail("gap", where, f"{len(missing)} offsets, such as {missing[:5]} of {start} to {end}")
            if end < p.end_max:
                self.fail("end too low", where, f"{p.end_max} was shown, and it ends at {end}")
        self.judge_producers(where, p)
        for group in sorted({g for g, topic, _ in self.shared if topic == of[0]}):
            self.judge_sharing(group, of, p)

    def judge_sharing(self, group, of, p):
        shared = self.shared[(group, *of)]
        missing = sorted(o for o in p.acked if o >= p.finals[-1][0] and o not in shared.accepted and not shared.tried.get(o))
        if missing:
            self.fail("not accepted", f"{group} {name_of(of)}", f"{len(missing)} of {len(p.acked)} offsets, such as {missing[:5]}")

    def judge_producers(self, where, p):
        last = p.finals[-1][2]
        seen, newest = collections.defaultdict(dict), {}
        for offset in sorted(last):
            producer, number, checksum = p.content[offset][0]
            if producer in self.not_idempotent or number < 0:
                continue
            if number in seen[producer]:
                self.fail("doubled", where, f"number {number} of {producer} is at {seen[producer][number]} and at {offset}")
            elif number < newest.get(producer, -1):
                self.fail("order", where, f"number {number} of {producer} is at {offset}, behind {newest[producer]}")
            seen[producer][number] = offset
            newest[producer] = max(newest.get(producer, -1), number)
        for producer, number, checksum in p.told_kept:
            if number not in seen[producer] and p.finals[-1][0] == 0:
                self.fail("lost", where, f"number {number} of {producer} was acknowledged without an offset")

    # -- figures --

    def measure(self):
        until = self.stop
        for of, p in self.partitions.items():
            if p.ack_times:
                self.figures.windows[of] = longest(sorted(p.ack_times), until)
        if self.control:
            self.figures.control_window = longest(sorted(self.control), until)

    def window_of(self, t, until, partitions):
        """The longest time without an acknowledgement that begins before @until and ends after @t, over @partitions."""
        times = [sorted(self.partitions[of].ack_times) for of in partitions]
        return max((gap_over(row, t, until) for row in times if row), default=0.0)

    def control_window_of(self, t, until):
        return gap_over(sorted(self.control), t, until)


def name_of(of):
    return f"{of[0]}-{of[1]}"


def longest(times, until=None):
    """(seconds, when it began) of the longest time between two of @times."""
    times = [t for t in times if until is None or t <= until] + ([until] if until else [])
    return max(((b - a, a) for a, b in zip(times, times[1:])), default=(0.0, 0.0))


def gap_over(times, t, until):
    return max((b - a for a, b in zip(times, times[1:]) if b > t and a < until), default=0.0)


def main():
    checker = Checker().feed(history.read(sys.argv[1:]))
    violations = checker.judge()
    for v in violations:
        print(f"{v.kind}: {v.text}")
    counts = ", ".join(f"{number:,} {what}" for what, number in checker.figures.counts.items())
    print(f"{counts}; {len(violations)} violations")
    for of, (seconds, began) in sorted(checker.figures.windows.items()):
        print(f"{name_of(of)}: {seconds:.2f} s without an acknowledgement from {began:.3f}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
