"""The faults. Each scenario is a function of a Run and goes on while run.going(); what it leaves broken the harness puts right."""

from dataclasses import dataclass, field


@dataclass
class Scenario:
    name: str
    what: str
    steps: object
    layout: str = "3"
    seconds: int = 30
    settings: list = field(default_factory=list)
    layers: tuple = ()                  # "disk", "clock": libraries before every node
    disk: str = None                    # of each ingest node: hosts.Disk's kind:size
    wires: bool = False
    configs: dict = field(default_factory=dict)     # of the topic
    cuts: bool = False                  # needs namespaces
    alone: bool = False                 # also makes sense for a node alone
    flood: bool = False                 # beside the others, a client that produces as fast as it can
    walk: bool = True                   # in the end every node is stopped once, and all is read from the others


ALL = {}


def scenario(name, what, **options):
    def add(steps):
        ALL[name] = Scenario(name, what, steps, **options)
        return steps
    return add


# -- processes --

@scenario("none", "no fault: what clients see of a healthy cluster", seconds=10, alone=True)
def nothing(run):
    while run.going():
        run.wait(1)


@scenario("leader-killed", "SIGKILL of a node that leads, started again after some seconds", alone=True, seconds=45)
def leader_killed(run):
    while run.going():
        node, _ = run.leader()
        run.kill(node, "leader killed")
        run.wait(3, 6)
        run.start(node)
        run.healthy()
        run.wait(1, 3)


@scenario("controller-killed", "SIGKILL of the active controller, started again after some seconds", layout="3+2", seconds=45)
def controller_killed(run):
    while run.going():
        run.kill(run.active())
        run.wait(3, 5)
        for node in run.nodes():
            if not node.alive():
                run.start(node)
        run.healthy()
        run.wait(1, 2)


@scenario("any-killed", "SIGKILL of any node in short turns, at times while it starts", alone=True)
def any_killed(run):
    while run.going():
        node = run.some()
        run.kill(node, "killed")
        run.wait(0.1, 2)
        run.start(node)
        if run.random.random() < 0.3:
            run.wait(0.01, 0.5)
            if node.alive():
                run.kill(node, "killed while it starts")
                run.start(node)
        run.healthy()
        run.wait(0.2, 1)


@scenario("all-killed", "all nodes killed at once", alone=True)
def all_killed(run):
    while run.going():
        run.fault("all killed", partitions=[("records", p) for p in range(3)], control=True)
        for node in run.nodes():
            node.kill()
        run.wait(0.2, 2)
        for node in run.random.sample(run.nodes(), len(run.nodes())):
            run.start(node)
        run.healthy()
        run.wait(2, 4)


@scenario("two-killed", "two of three killed; the third must not go on alone")
def two_killed(run):
    while run.going():
        pair = run.random.sample(run.nodes(), 2)
        for node in pair:
            run.kill(node, "one of two killed")
        run.wait(2, 4)
        for node in pair:
            run.start(node)
            run.wait(0, 1)
        run.healthy()
        run.wait(1, 2)


@scenario("paused", "SIGSTOP of a node for up to eight seconds: it wakes up and believes that it still leads", alone=True)
def paused(run):
    while run.going():
        node, led = run.leader()
        run.fault("leader paused", node, partitions=led)
        node.pause()
        run.wait(0.3, 8)
        node.resume()
        run.healed("resumed", node)
        run.healthy()
        run.wait(0.5, 2)


@scenario("rolling", "SIGTERM of one node after the other, each when all are in sync again", alone=True, seconds=40)
def rolling(run):
    roll(run)


@scenario("rolling-full", "the same under full load, of which not one delivery may fail", seconds=60, flood=True)
def rolling_full(run):
    roll(run)


def roll(run):
    while run.going():
        for node in run.nodes():
            run.fault("stopped", node, partitions=run.cluster.led_by(node, "records") if node.serves else (),
                      control=node.controls and run.cluster.active_controller() is node)
            node.stop()
            run.start(node)
            run.healthy()
            run.wait(0.5, 1)


@scenario("quick", "a bit of everything that needs no root, each once: what `make test` does", seconds=60)
def quick(run):
    node, _ = run.leader()
    run.kill(node, "leader killed")
    run.wait(2.5)
    run.start(node)
    run.healthy()
    node, led = run.leader()
    run.fault("leader paused", node, partitions=led)
    node.pause()
    run.wait(2.5)
    node.resume()
    run.healthy()
    run.fault("all killed", control=True)
    for node in run.nodes():
        node.kill()
    for node in run.nodes():
        run.start(node)
    run.healthy()
    run.wait(1)


# -- the network --

@scenario("cut-off", "a node that leads hears nobody and is heard by nobody", cuts=True)
def cut_off(run):
    while run.going():
        node, led = run.leader()
        others = [n.number for n in run.nodes() if n is not node]
        run.fault("leader cut off from the nodes", node, partitions=led)
        run.cluster.hosts.deaf(node.number, *others)
        for other in others:
            run.cluster.hosts.deaf(other, node.number)
        run.wait(2, 8)
        run.cluster.hosts.heal()
        run.healed("joined", node)
        run.healthy()
        run.wait(1, 2)


@scenario("one-way", "a node is heard by the others and hears nothing of them, or the other way round", cuts=True)
def one_way(run):
    while run.going():
        node, led = run.leader()
        others = [n.number for n in run.nodes() if n is not node]
        if run.random.random() < 0.5:
            run.fault("leader hears nobody", node, partitions=led)
            run.cluster.hosts.deaf(node.number, *others)
        else:
            run.fault("leader is heard by nobody", node, partitions=led)
            for other in others:
                run.cluster.hosts.deaf(other, node.number)
        run.wait(2, 8)
        run.cluster.hosts.heal()
        run.healed("joined", node)
        run.healthy()
        run.wait(1, 2)


@scenario("one-link", "two nodes do not hear each other; the third hears both", cuts=True)
def one_link(run):
    while run.going():
        a, b = run.random.sample(run.nodes(), 2)
        run.fault(f"no link between {a} and {b}")
        run.cluster.hosts.deaf(a.number, b.number)
        run.cluster.hosts.deaf(b.number, a.number)
        run.wait(2, 8)
        run.cluster.hosts.heal()
        run.healed("link is back")
        run.healthy()
        run.wait(1, 2)


@scenario("flapping", "links that come and go several times in a second", cuts=True, seconds=20)
def flapping(run):
    run.fault("links flap")
    while run.going():
        node = run.some()
        run.cluster.hosts.deaf(node.number, *[n.number for n in run.nodes() if n is not node])
        run.wait(0.05, 0.6)
        run.cluster.hosts.heal()
        run.wait(0.05, 0.6)
    run.healed("links stay")


@scenario("loss", "some percent of all packets are lost at one node or at all", cuts=True)
def loss(run):
    while run.going():
        percent = run.random.choice((1, 5, 20))
        nodes = run.nodes() if run.random.random() < 0.5 else [run.some()]
        run.fault(f"{percent} % lost at {', '.join(map(str, nodes))}")
        for node in nodes:
            run.cluster.hosts.lose(node.number, percent)
        run.wait(3, 8)
        run.cluster.hosts.heal()
        run.healed("nothing is lost")
        run.wait(1, 2)


@scenario("delay", "5 to 100 ms on every cable, with jitter, or on one", cuts=True, wires=True)
def delay(run):
    while run.going():
        ms = run.random.choice((5, 20, 100))
        nodes = run.nodes() if run.random.random() < 0.5 else [run.some()]
        run.fault(f"{ms} ms each way at {', '.join(map(str, nodes))}")
        for node in nodes:
            run.cluster.hosts.delay(node.number, ms, ms / 2)
        run.wait(4, 8)
        run.cluster.hosts.heal()
        run.healed("no delay")
        run.wait(0.5, 1)


# -- disks --

def trouble_syncs(run, what, order, low, high, outage=True):
    """Syncs of a node that leads get @order (hold-sync.c) for @low to @high seconds, again and again."""
    while run.going():
        node, led = run.leader()
        run.fault(what, node, partitions=led if outage else ())
        run.cluster.order(node, order)
        run.wait(low, high)
        run.cluster.order(node, "")
        run.healed("disk goes on", node)
        run.healthy()
        run.wait(0.5, 1)


@scenario("slow-disk", "every sync of one node takes a third of a second", layers=("disk",), alone=True)
def slow_disk(run):
    trouble_syncs(run, "slow disk", "slow /", 3, 6, outage=False)


@scenario("stuck-disk", "syncs of one node wait for seconds", layers=("disk",), alone=True)
def stuck_disk(run):
    trouble_syncs(run, "stuck disk", "hold /", 1, 6)


@scenario("hung-disk", "syncs of a leader's records hang for longer than a follower may lag", layers=("disk",),
          settings=("replication.lag_time_max_ms=3000",))
def hung_disk(run):
    trouble_syncs(run, "hung disk", "hold /records-", 8, 12)


@scenario("failing-disk", "syncs of one node's records fail; it is started again", layers=("disk",))
def failing_disk(run):
    while run.going():
        node, led = run.leader()
        run.fault("failing disk", node, partitions=led)
        run.cluster.order(node, "fail /records-")
        run.wait(1, 4)
        run.cluster.order(node, "")
        if node.alive():
            node.stop()
        run.start(node)
        run.healthy()
        run.wait(1, 2)


@scenario("full-disk", "a node's disk is full for some seconds; then there is room, and it is started again",
          disk="ext4:160m", cuts=True)
def full_disk(run):
    while run.going():
        node, led = run.leader()
        run.fault("full disk", node, partitions=led)
        node.disk.fill()
        run.wait(3, 6)
        node.disk.empty()
        if node.alive():
            node.stop()
        run.start(node)
        run.healthy()
        run.wait(1, 2)


# -- clocks, and everything --

@scenario("clock", "the wall clock of a node that leads jumps by up to 90 s, both ways", layers=("clock",), alone=True)
def clock(run):
    while run.going():
        node, _ = run.leader()
        ahead = run.random.choice((-90, -20, 20, 90))
        run.fault(f"clock {ahead:+d} s", node)
        run.cluster.clock(node, ahead)
        run.wait(3, 6)
        run.cluster.clock(node, 0)
        run.healed("clock is right", node)
        run.wait(0.5, 1)


@scenario("mixed", "kills, pauses and cuts one after the other, without waiting for all to be in sync", cuts=True, seconds=60)
def mixed(run):
    def pause(node):
        node.pause()
        run.wait(0.5, 4)
        node.resume()

    def restart(node):
        node.kill()
        run.wait(0.1, 3)
        run.start(node)

    def cut(node):
        run.cluster.hosts.deaf(node.number, *[n.number for n in run.nodes() if n is not node])
        run.wait(0.5, 4)
        run.cluster.hosts.heal()

    while run.going():
        node = run.some()
        fault = run.random.choice((pause, restart, cut))
        run.fault(f"mixed: {fault.__name__}", node)
        if not node.alive():
            run.start(node)
        fault(node)
        run.wait(0.2, 3)
