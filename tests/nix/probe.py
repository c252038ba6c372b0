#!/usr/bin/env python3
"""What stands in a network namespace: listens on ports, or tries to reach some.

    probe.py serve TCP,TCP... UDP,UDP...    every address, both kinds of IP; prints `ready`
    probe.py try                            reads JSON [[source, address, protocol, port], ...]; prints [true, false, ...]
    probe.py fetch SOURCE ADDRESS PORT      a megabyte from a server; prints how many bytes came

A TCP server says `ok`, or after a line `bulk` a megabyte; a UDP server gives back what it got.
"""

import json
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

PATIENCE_S = 4
BULK = 1 << 20


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def addresses():
    """Those of this namespace, but for that of the link."""
    links = json.loads(subprocess.check_output(["ip", "-json", "addr", "show", "dev", "eth0"]))
    return [a["local"] for link in links for a in link["addr_info"] if a["scope"] == "global"]


def answer(connection):
    with connection:
        connection.settimeout(20)
        try:
            asked = connection.recv(16)
            connection.sendall(b"x" * BULK if asked.startswith(b"bulk") else b"ok")
        except OSError:
            pass


def serve_tcp(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def serve_udp(s):
    while True:
        data, sender = s.recvfrom(64)
        s.sendto(data, sender)


def serve(tcp, udp):
    for port in tcp:
        listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
        threading.Thread(target=serve_tcp, args=(listener,), daemon=True).start()
    for port in udp:
        # One for each address, so that the answer leaves from the one that was asked.
        for address in addresses():
            s = socket.socket(family(address), socket.SOCK_DGRAM)
            s.bind((address, port))
            threading.Thread(target=serve_udp, args=(s,), daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


def reaches(row):
    source, address, protocol, port = row
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family(address), kind) as s:
        s.settimeout(PATIENCE_S)
        try:
            s.bind((source, 0))
            s.connect((address, port))
            s.send(b"hello")
            return bool(s.recv(16))
        except OSError:
            return False


def fetch(source, address, port):
    got = 0
    with socket.socket(family(address), socket.SOCK_STREAM) as s:
        s.settimeout(PATIENCE_S)
        s.bind((source, 0))
        s.connect((address, port))
        s.send(b"bulk\n")
        try:
            while data := s.recv(65536):
                got += len(data)
        except OSError:
            pass
    return got


def main():
    numbers = lambda text: [int(n) for n in text.split(",") if n]  # noqa: E731
    if sys.argv[1] == "serve":
        serve(numbers(sys.argv[2]), numbers(sys.argv[3]))
    elif sys.argv[1] == "fetch":
        print(fetch(sys.argv[2], sys.argv[3], int(sys.argv[4])))
    else:
        rows = json.load(sys.stdin)
        with ThreadPoolExecutor(len(rows)) as pool:
            print(json.dumps(list(pool.map(reaches, rows))))


if __name__ == "__main__":
    main()
