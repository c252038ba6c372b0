"""A machine under a real systemd: PID 1 of namespaces of its own, on a root that is an overlay over this machine's files.

What is changed in it goes to a tmpfs and is gone with it; the host's files, units, sysctls, links and processes are out of its reach.
Or on the tree that SYSTEMD_ROOT names, such as one of debootstrap with another version of systemd.

    unshare (mount, pid, uts, ipc, net, cgroup) -> mounts -> chroot -> /lib/systemd/systemd --unit=machine.target
    nsenter <- systemctl and all else that a test runs in it
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CHRONIKD = Path(os.environ.get("CHRONIKD", ROOT / "build/src/chronikd/chronikd")).resolve()
CHRONIK_CTL = Path(os.environ.get("CHRONIK_CTL", ROOT / "build/src/ctl/chronik-ctl")).resolve()
BASE = os.environ.get("SYSTEMD_ROOT", "/")
CGROUPS = Path("/sys/fs/cgroup")
BOOT_S = 60
PR_SET_PDEATHSIG = 1

# Runs in the new namespaces, as their first process. $1: the folder, $2: the tree below.
SETUP = r"""
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/up" "$1/work" "$1/m"
mount -t overlay -o lowerdir="$2",upperdir="$1/up",workdir="$1/work" overlay "$1/m"
m=$1/m
for d in run tmp; do mount -t tmpfs -o mode=755 tmpfs $m/$d; done
chmod 1777 $m/tmp
mount -t proc proc $m/proc
mount --bind $m/proc/sys $m/proc/sys && mount -o remount,bind,ro $m/proc/sys
mount -t sysfs -o ro sysfs $m/sys
mount -t tmpfs -o mode=755 tmpfs $m/dev
mkdir $m/dev/pts $m/dev/shm $m/dev/mqueue
for n in null zero full random urandom tty; do
        cp -a /dev/$n $m/dev/$n
done
mount -t devpts -o newinstance,ptmxmode=666 devpts $m/dev/pts
mount -t tmpfs -o mode=1777 tmpfs $m/dev/shm
ln -s pts/ptmx $m/dev/ptmx
ln -s /proc/self/fd $m/dev/fd
: >$m/dev/console
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
        mount -t cgroup2 cgroup2 $m/sys/fs/cgroup
else
        mount -t tmpfs -o mode=755 tmpfs $m/sys/fs/cgroup
        while read -r h; do
                mkdir $m/sys/fs/cgroup/$h
                case $h in
                unified) mount -t cgroup2 cgroup2 $m/sys/fs/cgroup/$h ;;
                systemd) mount -t cgroup -o none,name=systemd cgroup $m/sys/fs/cgroup/$h ;;
                *) mount -t cgroup -o $h cgroup $m/sys/fs/cgroup/$h ;;
                esac
        done <<END
$3
END
fi
# Only the units of this test: what the machine's owner has enabled is none of its business.
rm -rf $m/etc/systemd/system $m/etc/systemd/system.conf.d $m/var/lib/systemd/* $m/var/lib/chronik $m/etc/chronik
mkdir -p $m/etc/systemd/system
rm -f $m/etc/machine-id && echo 0123456789abcdef0123456789abcdef >$m/etc/machine-id
hostname machine
. "$1.install"
cd $m
pivot_root . tmp
umount -l /tmp
mount --make-rshared /          # as systemd does on a machine, and not in a container: credentials come by propagation
exec env -i container=chronik-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --unit=machine.target --show-status=no --log-target=journal >/dev/null 2>&1 </dev/null
"""

TARGET = """[Unit]
Description=What the test wants
Requires=basic.target
After=basic.target
AllowIsolate=yes
"""

# What a machine has and a namespace cannot, or takes time here.
MASKED = """systemd-udevd.service systemd-udev-trigger.service systemd-udev-settle.service systemd-hwdb-update.service
systemd-resolved.service systemd-networkd.service systemd-timesyncd.service systemd-logind.service getty.target
systemd-update-utmp.service systemd-journal-flush.service systemd-journal-catalog-update.service systemd-random-seed.service
systemd-binfmt.service proc-sys-fs-binfmt_misc.automount dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount
sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount modprobe@.service systemd-modules-load.service
systemd-sysctl.service systemd-firstboot.service ldconfig.service systemd-machine-id-commit.service systemd-remount-fs.service
systemd-tpm2-setup.service systemd-tpm2-setup-early.service systemd-pcrmachine.service systemd-pcrphase-sysinit.service
kmod-static-nodes.service systemd-tmpfiles-setup-dev.service systemd-tmpfiles-setup-dev-early.service
network-online.target""".split()


def why_not():
    """Why there can be no machine here; None: there can."""
    if os.getuid():
        return "only root may make namespaces with a systemd of their own"
    for program in ("unshare", "nsenter", "pivot_root", "systemctl"):
        if not shutil.which(program):
            return f"{program} is not here"
    if not Path(BASE, "lib/systemd/systemd").exists():
        return "systemd is not installed"
    if not (CGROUPS / "cgroup.controllers").exists() and not (CGROUPS / "systemd").exists():
        return "there is no control group for a systemd of its own"
    return None


def version():
    """Of the systemd in the machine."""
    text = subprocess.run(["chroot", BASE, "/lib/systemd/systemd", "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.match(r"systemd (\d+)", text)[1])


def hierarchies():
    """Of control groups, where they are several; the one that systemd makes its own comes with it."""
    if (CGROUPS / "cgroup.controllers").exists():
        return []
    found = [h.name for h in sorted(CGROUPS.iterdir()) if h.is_dir() and not h.is_symlink() and (h / "cgroup.procs").exists()]
    # 256 and newer take several of them no more: then only the new one.
    return found if version() < 256 else ["unified"]


class Machine:
    """Booted by start(). @install: shell that runs before the boot, with $m the root: units, users, files."""

    def __init__(self, install=""):
        self.folder = Path(tempfile.mkdtemp(prefix="chronik-machine-"))
        self.name = self.folder.name
        self.install = install
        self.process = None
        self.init = None

    # ---- life ----

    def groups(self):
        names = hierarchies()
        return [CGROUPS / h / self.name for h in names] if names else [CGROUPS / self.name]

    def enter_groups(self):
        """In the child: a group of its own in each hierarchy, which a cgroup namespace makes its root. It does not outlive the test,
        however that ends."""
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for group in self.groups():
            group.mkdir(exist_ok=True)
            if (group / "cpuset.cpus").exists() and not (group / "cpuset.cpus").read_text().strip():
                for name in ("cpuset.cpus", "cpuset.mems"):
                    (group / name).write_text((group.parent / name).read_text())
            (group / "cgroup.procs").write_text("0")

    def start(self):
        names = hierarchies()
        if version() >= 256 and names == ["unified"]:
            setup = SETUP.replace("[ -f /sys/fs/cgroup/cgroup.controllers ]", "true")
        else:
            setup = SETUP
        install = [f"mkdir -p $m/etc/systemd/system && ln -s /dev/null $m/etc/systemd/system/{unit}" for unit in MASKED]
        install.append(f"cat >$m/etc/systemd/system/machine.target <<'END'\n{TARGET}END")
        (self.folder.parent / (self.name + ".install")).write_text("\n".join([*install, self.install]))
        self.log = open(self.folder.parent / (self.name + ".log"), "wb")
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--fork", "--kill-child", "bash", "-c", setup,
             "setup", str(self.folder), BASE, "\n".join(names)],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=self.enter_groups)
        self.wait_for_boot()

    def wait_for_boot(self):
        end = time.monotonic() + BOOT_S
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            self.init = self.init or self.find_init()
            if self.init and self.run("systemctl", "is-active", "machine.target", check=False).stdout.strip() == "active":
                return
            time.sleep(0.05)
        said = Path(self.log.name).read_text(errors="replace")
        jobs = self.run("systemctl", "list-jobs", check=False).stdout if self.init else ""
        self.close()
        raise RuntimeError(f"the machine does not boot: {said}{jobs}")

    def find_init(self):
        """The first process of its namespace, once it is systemd."""
        try:
            child = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            if child and Path(f"/proc/{child[0]}/comm").read_text().strip() == "systemd":
                return int(child[0])
        except OSError:
            pass
        return None

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()                         # its namespaces, and all in them, go with it
        if self.process:
            self.process.wait()
            self.log.close()
        for group in self.groups():
            self.remove_group(group)
        for suffix in (".install", ".log"):
            (self.folder.parent / (self.name + suffix)).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def remove_group(group):
        """What is killed is gone from its group a moment later."""
        for _ in range(200):
            try:
                for path, folders, _files in os.walk(group, topdown=False):
                    for folder in folders:
                        os.rmdir(os.path.join(path, folder))
                os.rmdir(group)
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.02)

    # ---- use ----

    def run(self, *words, check=True, timeout=60, stdin=""):
        """In the machine, as its root."""
        done = subprocess.run(["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "-C", "--", *map(str, words)],
                              input=stdin, capture_output=True, text=True, timeout=timeout,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""})
        if check and done.returncode:
            raise AssertionError(f"{words}: status {done.returncode}\n{done.stdout}{done.stderr}\n{self.journal(200)}")
        return done

    def popen(self, *words, **options):
        return subprocess.Popen(["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "--", *map(str, words)], **options)

    @contextlib.contextmanager
    def network(self):
        """Sockets that are made within are the machine's, and stay so."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/self/ns/net", "rb") as home, open(f"/proc/{self.init}/ns/net", "rb") as there:
            if libc.setns(there.fileno(), 0):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                yield
            finally:
                libc.setns(home.fileno(), 0)

    def shell(self, text, **options):
        return self.run("bash", "-euc", text, **options).stdout

    def write(self, path, text):
        self.run("bash", "-euc", 'mkdir -p "$(dirname "$1")" && cat >"$1"', "write", path, stdin=text)

    def systemctl(self, *words, **options):
        return self.run("systemctl", *words, **options)

    def property(self, unit, name):
        return self.systemctl("show", "--value", "-p", name, unit).stdout.strip()

    def properties(self, unit, *names):
        text = self.systemctl("show", "-p", ",".join(names), unit).stdout
        return dict(line.split("=", 1) for line in text.splitlines())

    def journal(self, lines=50, unit=None):
        if not self.init:
            return ""
        words = ["journalctl", "--no-pager", "-o", "short-monotonic", "-n", lines, *(["-u", unit] if unit else [])]
        return self.run(*words, check=False).stdout

    def wait_until(self, what, seconds=30):
        """What what() returns once it is true."""
        end = time.monotonic() + seconds
        while True:
            found = what()
            if found:
                return found
            if time.monotonic() > end:
                raise AssertionError(f"not so in {seconds} s\n{self.journal(100)}")
            time.sleep(0.1)
