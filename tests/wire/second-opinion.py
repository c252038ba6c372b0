#!/usr/bin/env python3
"""Lets tshark, which knows Kafka's protocol from another author, read a capture of our own messages.

Goal: a mistake that our encoder and decoder share is seen by somebody else. Method: wire-capture writes one request and
one response for every API and version; tshark must read each that it claims to know to its end, and must find the
known content of the first exchange. Skipped (77) where tshark is not installed.

    second-opinion.py WIRE-CAPTURE
"""

import os
import shutil
import subprocess
import sys
import tempfile

# Where tshark 4.0 is wrong: (key, direction) -> what it does, as seen in the bytes of the capture. All of these messages
# agree with Kafka's own schemas (compare-schemas.py).
OLD_BYTES = "reads the four-byte length of bytes in versions that are not flexible as two bytes"
TSHARK_WRONG = {
    (0, "request"): "fails on an empty set of records",
    (11, "request"): OLD_BYTES, (11, "response"): OLD_BYTES, (14, "request"): OLD_BYTES, (14, "response"): OLD_BYTES,
    (15, "response"): OLD_BYTES, (36, "request"): OLD_BYTES, (36, "response"): OLD_BYTES, (38, "response"): OLD_BYTES,
    (39, "request"): OLD_BYTES, (40, "request"): OLD_BYTES,
    (19, "request"): "reads each replica of an assignment as a list of its own",
    (20, "response"): "knows no throttle time in front of the topics",
    (31, "response"): "stops before the end of the matching entries",
    (43, "request"): "does not read the topic's name",
    (45, "request"): "fails on the first topic",
    (46, "request"): "fails on the first topic",
}
READ_MIN = 200  # messages that it reads without complaint; far fewer means that the test has lost its object
KNOWN = {"kafka.host": "seven.example", "kafka.port": "19092", "kafka.cluster_id": "our-cluster", "kafka.rack": "r1",
         "kafka.topic_name": "orders", "kafka.partition_id": "3", "kafka.leader_epoch": "12"}


def tshark(capture, fields, only=None):
    command = ["tshark", "-r", capture, "-d", "tcp.port==9092,kafka", "-T", "fields", "-E", "separator=|"]
    for f in fields:
        command += ["-e", f]
    if only:
        command += ["-Y", only]
    out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True).stdout
    return [line.split("|") for line in out.splitlines()]


def read_all(capture, listing):
    """Returns what tshark complained of, and counts of messages: read, unknown to it, known to be misread."""
    names = {int(n): (int(key), int(version), name) for n, key, version, name in map(str.split, listing.splitlines())}
    said = {}
    for stream, port, expert in tshark(capture, ["tcp.stream", "tcp.srcport", "_ws.expert.message"]):
        said[int(stream), "response" if port == "9092" else "request"] = expert
    complaints, read, unknown, misread = [], 0, 0, 0
    for (stream, direction), expert in sorted(said.items()):
        key, version, name = names[stream]
        both = said.get((stream, "request"), "") + said.get((stream, "response"), "")
        if "Unsupported" in both or "Unknown" in both:
            unknown += 1
        elif not expert:
            read += 1
        elif (key, direction) in TSHARK_WRONG or (expert == "Request missing" and (key, "request") in TSHARK_WRONG):
            misread += 1
        else:
            complaints.append("%s %s version %d: tshark says: %s" % (name, direction, version, expert))
    if len(said) != 2 * len(names):
        complaints.append("%d messages written, %d seen" % (2 * len(names), len(said)))
    return complaints, read, unknown, misread


def known_values(capture):
    rows = tshark(capture, list(KNOWN), only="tcp.stream == 0 && tcp.srcport == 9092")
    if len(rows) != 1:
        return ["the known response was not seen"]
    return ["%s is %s, not %s" % (f, got, want) for (f, want), got in zip(KNOWN.items(), rows[0]) if got != want]


def main():
    if not shutil.which("tshark"):
        print("skip: tshark is not installed")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        capture = os.path.join(folder, "wire.pcap")
        listing = subprocess.run([sys.argv[1], capture], stdout=subprocess.PIPE, check=True, text=True).stdout
        complaints, read, unknown, misread = read_all(capture, listing)
        complaints += known_values(capture)
    if read < READ_MIN:
        complaints.append("tshark read only %d messages; %d were expected" % (read, READ_MIN))
    for line in complaints:
        print(line)
    print("%d messages read, %d in versions that tshark does not know, %d that it is known to misread, %d complaints"
          % (read, unknown, misread, len(complaints)))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
