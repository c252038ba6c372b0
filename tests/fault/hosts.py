"""Where the nodes of a cluster stand: on ports of the loopback, or each in a network namespace of its own.

Namespaces need root. The whole run lives in a mount, process and network namespace of its own (inside()): whatever ends it, the
kernel removes its processes, links, rules and mounts with it. Beside the nodes' namespaces there is the hub, where the clients
and the harness are; every node has a cable to the hub's bridge.

    node 1 eth0 10.77.0.1 ---+
    node 2 eth0 10.77.0.2 ---+--- br0 10.77.0.254 (hub: clients, harness)
    node 3 eth0 10.77.0.3 ---+

With @wires a cable is two taps and a program between them (wire.c) that delays what passes.
"""

import mmap
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
INSIDE = "CHRONIK_FAULT_INSIDE"         # set in the environment of the process that lives in namespaces of its own
KAFKA, ADMIN, PEER = 9092, 9644, 9093
SKIP = 77                               # exit status that Meson takes for skipped


def sh(*command, text=None):
    done = subprocess.run([str(c) for c in command], input=text, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")
    return done.stdout


def why_not():
    """What this user or machine lacks for namespaces, or None."""
    if os.geteuid():
        return "network namespaces need root"
    for tool in ("unshare", "nsenter", "ip", "nft", "mount"):
        if not shutil.which(tool):
            return f"{tool} is not installed (tools/packages-fault.txt)"
    done = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True, check=False)
    return f"namespaces are not allowed here: {done.stderr.strip()}" if done.returncode else None


def is_inside():
    return bool(os.environ.get(INSIDE))


def inside():
    """Go on in namespaces of our own: this program once more. Returns in the one that is there already."""
    if is_inside():
        return
    os.execvpe("unshare", ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
                           sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})


class Loopback:
    """All on 127.0.0.1. Ports are below those that the kernel gives to clients, so a node finds its own free after a restart."""

    can_cut = False

    def __init__(self, ids, wires=False):
        chance, taken = random.SystemRandom(), set()
        self.ports = {}
        for node in ids:
            self.ports[node] = {}
            for which in (KAFKA, ADMIN, PEER):
                port = chance.randrange(20000, 32000)
                while port in taken or not free(port):
                    port = chance.randrange(20000, 32000)
                taken.add(port)
                self.ports[node][which] = port

    def close(self):
        pass

    def address(self, node, which):
        return f"127.0.0.1:{self.ports[node][which]}"

    def command(self, node, command):
        return command


def free(port):
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


class Namespaces:
    """One namespace for each node. Rules are kept here and given to nft as a whole, so that a change is never half done."""

    can_cut = True

    def __init__(self, ids, wires=False):
        self.ids, self.wires = list(ids), {}
        self.drops = {node: set() for node in ids}          # node -> addresses from which it hears nothing
        self.losses = dict.fromkeys(ids, 0)                 # node -> percent of what arrives that is lost
        prepare_hub()
        for node in ids:
            self.add(node, wires)

    def add(self, node, wire):
        ns = f"n{node}"
        sh("ip", "netns", "add", ns)
        if wire:
            self.wires[node] = Wire(node)
            sh("ip", "link", "set", f"t{node}", "netns", ns)
            sh("ip", "-n", ns, "link", "set", f"t{node}", "name", "eth0")
        else:
            sh("ip", "link", "add", f"v{node}", "type", "veth", "peer", "name", "eth0", "netns", ns)
        sh("ip", "link", "set", f"v{node}", "master", "br0", "up")
        sh("ip", "-n", ns, "addr", "add", f"10.77.0.{node}/24", "dev", "eth0")
        sh("ip", "-n", ns, "link", "set", "eth0", "up")
        sh("ip", "-n", ns, "link", "set", "lo", "up")

    def close(self):
        for wire in self.wires.values():
            wire.close()
        for node in self.ids:
            sh("ip", "netns", "del", f"n{node}")
        for node in self.ids:           # its end here may have gone with the namespace, or not yet
            subprocess.run(["ip", "link", "del", f"v{node}"], capture_output=True, check=False)

    def address(self, node, which):
        return f"10.77.0.{node}:{which}"

    def command(self, node, command):
        return ["nsenter", f"--net=/run/netns/n{node}", "--", *command]

    # -- faults --

    def apply(self, node):
        rules = [f"ip saddr {address} drop" for address in sorted(self.drops[node])]
        if self.losses[node]:
            rules.append(f"numgen random mod 100 < {self.losses[node]} drop")
        body = "\n".join(rules)
        text = ("table inet fault { }\ndelete table inet fault\n"
                f"table inet fault {{\n chain in {{\n type filter hook input priority 0;\n iif lo accept\n{body}\n }}\n}}\n")
        sh(*self.command(node, ["nft", "-f", "-"]), text=text)

    def deaf(self, node, *others):
        """@node hears nothing of @others any more: nodes, or "clients"."""
        self.drops[node] |= {"10.77.0.254" if o == "clients" else f"10.77.0.{o}" for o in others}
        self.apply(node)

    def lose(self, node, percent):
        self.losses[node] = percent
        self.apply(node)

    def delay(self, node, ms, jitter_ms=0):
        """Each way; needs a wire."""
        self.wires[node].set(ms, jitter_ms)

    def heal(self):
        for node in self.ids:
            self.drops[node], self.losses[node] = set(), 0
            self.apply(node)
        for wire in self.wires.values():
            wire.set(0, 0)


def prepare_hub():
    if Path("/sys/class/net/br0").exists() or subprocess.run(["ip", "link", "show", "br0"], capture_output=True,
                                                             check=False).returncode == 0:
        return
    sh("mount", "-t", "tmpfs", "none", "/run")              # ip netns keeps names there; ours go with our mount namespace
    sh("ip", "link", "set", "lo", "up")
    sh("ip", "link", "add", "br0", "type", "bridge")
    sh("ip", "link", "set", "br0", "up")
    sh("ip", "addr", "add", "10.77.0.254/24", "dev", "br0")


class Wire:
    """wire.c between the taps vN and tN. Its delays are two int64 in a file that it maps: microseconds, and how much by chance."""

    def __init__(self, node):
        program = os.environ.get("FAULT_WIRE", ROOT / "build/tests/fault/fault-wire")
        self.path = Path(f"/run/wire-{node}")
        self.path.write_bytes(bytes(16))
        self.process = subprocess.Popen([str(program), str(self.path), f"v{node}", f"t{node}"], stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"READY\n":
            raise RuntimeError(f"{program} did not start")
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 16)

    def set(self, ms, jitter_ms):
        self.map[:] = struct.pack("=qq", int(ms * 1000), int(jitter_ms * 1000))

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.map.close()


class Disk:
    """A file system of a node's own on @folder: `tmpfs:64m`, or `ext4:64m` on a file. Mounted in our own namespace."""

    def __init__(self, folder, what):
        kind, size = what.split(":")
        self.folder, self.filler = Path(folder), Path(folder) / "filler"
        self.folder.mkdir(parents=True, exist_ok=True)
        if kind == "tmpfs":
            sh("mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder)
        else:
            image = f"{folder}.ext4"
            sh("truncate", "-s", size, image)
            sh("mkfs.ext4", "-q", "-m", "0", image)
            sh("mount", "-o", "loop", image, folder)

    def fill(self, leave=0):
        """Only @leave bytes stay free."""
        s = os.statvfs(self.folder)
        with open(self.filler, "wb") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, max(1, s.f_bavail * s.f_frsize - leave))
            except OSError:             # the map of the blocks takes some as well
                chunk = bytes(1 << 16)
                try:
                    while True:
                        file.write(chunk)
                except OSError:
                    pass

    def empty(self):
        self.filler.unlink(missing_ok=True)

    def close(self):
        subprocess.run(["umount", "-l", str(self.folder)], capture_output=True, check=False)
