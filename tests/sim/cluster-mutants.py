#!/usr/bin/env python3
"""Bugs planted in whole nodes, one for each rule of replication, consensus and the log, to see that sim-cluster finds them.

For each row of MUTANTS one place of src/ is changed in a copy of the tree, sim-cluster is built with it, and run with one seed
after the other until a run fails or the time is over; then the tests of TESTS, for what takes more seeds than that. Prints what
found it. Status 1: one was found by nobody, or a row does not fit the source any more.

    tests/sim/cluster-mutants.py [--seconds 90] [--nodes 3] [--length 300] [NAME...]
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import mutants

TEST_LIMIT_S = 180
ROOT = pathlib.Path(__file__).resolve().parents[2]

# (name, file, what is there, what is put in its place)
MUTANTS = [
    # the log
    ("a flush does not sync", "plog/flush.c", "r = sync_outcome(file_sync(s->dirty_fd));", "r = 0;"),
    ("a flush counts what came after it had begun", "plog/flush.c", "pl->durable_end = g.end;", "pl->durable_end = pl->end;"),
    ("a sync that failed counts", "plog/flush.c", "                if (r)\n                        flush_failed(pl, r);",
     "                if (r) {\n                        flush_failed(pl, -ENOMEM);\n                        r = 0;\n                }"),
    ("a torn batch at the end is taken", "plog/walk.c", "        return crc == h->crc;", "        return 1;"),
    # producers
    ("batches that are sent again are new", "plog/producers.c", "        if (!producer || producer->epoch < 0)\n                return PLOG_OK; /* 21",
     "        if (true)\n                return PLOG_OK; /* 21"),
    ("gaps in a producer's sequence are taken", "plog/producers.c",
     "if (h->base_sequence != (last < 0 ? 0 : batch_sequence_add(last, 1)))", "if (last >= 0 && h->base_sequence <= last)"),
    ("followers do not learn of producers", "plog/append_run.c", "                if (g->producer)\n                        producers_note(",
     "                if (false)\n                        producers_note("),
    ("followers do not learn of leader epochs", "plog/append_run.c",
     "if (epochs_assign(&pl->epochs, g->h.leader_epoch, g->h.base_offset))", "if (false)"),
    # transactions
    ("markers leave before the decision is committed", "coord/txn.c", "        ilist_push_back(&ts->preparing, &t->preparing);",
     "        txn_prepared(t);"),
    ("a batch that comes late opens a transaction", "plog/producers.c",
     "return txn_marker == (producer ? producer->marker_offset : -1) ? PLOG_OK : PLOG_E_INVALID_TXN_STATE;", "return PLOG_OK;"),
    ("a marker that came before ends the next transaction", "plog/producers.c",
     "|| (bumped && h->producer_epoch == producer->epoch))", "|| (false && bumped))"),
    ("a marker that was not written counts", "coord/mark_send.c", "        default:\n                break;\n        }\n}",
     "        default:\n                p->marks[i]->done = true;\n        }\n}"),
    ("a coordinator that moved sends no markers again", "coord/txns.c", "if (txn_is_prepared(t))\n                        txn_prepared(t);",
     "if (false)\n                        txn_prepared(t);"),
    ("the last stable offset does not wait for markers to be replicated", "plog/producers.c",
     "for (uint32_t i = 0; i < p->finished_count; i++)\n                first = MIN2", "for (uint32_t i = 0; i < 0; i++)\n                first = MIN2"),
    ("a producer is replaced in its epoch", "coord/txn_init.c", "txn_prepare(t, false, t->epoch < TXN_EPOCH_MAX);",
     "txn_prepare(t, false, false);"),
    ("offsets of a transaction count at once", "coord/offsets.c", "r = is_txn(rq) ? group_stage_offset(", "r = false ? group_stage_offset("),
    ("offsets of an aborted transaction count", "coord/txn_offsets.c", "if (commit && (!o->newest", "if ((!o->newest"),
    ("a transaction's time is never up", "coord/txn.c", "        } else if (t->state == COORD_TXN_ONGOING) {",
     "        } else if (t->state == COORD_TXN_ONGOING && false) {"),
    # share groups
    ("a write of a share group that comes late counts", "coord/share_state.c", " || rq->number <= p->number", ""),
    ("a share group's leader before may write", "coord/share_state.c",
     "if (rq->leader_epoch < p->leader_epoch)\n                return COORD_E_FENCED_LEADER;\n        if (rq->state", "if (rq->state"),
    ("a share acknowledgement does not wait to be written", "share/shares_ack.c", "if (row->ack_outcome || need <= c->written)", "if (true)"),
    ("records under way are given to others", "share/share_part.c", "if (r->state != SHARE_AVAILABLE)\n                        continue;",
     "if (r->state != SHARE_AVAILABLE && r->state != SHARE_ACQUIRED)\n                        continue;"),
    ("who does not hold a record may say what becomes of it", "share/share_part.c",
     "if (p->runs[i].state != SHARE_ACQUIRED || p->runs[i].member != member)\n                        return false;",
     "if (p->runs[i].state != SHARE_ACQUIRED)\n                        return false;"),
    ("a share group's locks never end", "share/share_part.c", "p->runs[i].deadline_ms <= now_ms)", "false)"),
    ("rejected records come again", "share/share_part.c",
     "        case SHARE_GAP:\n        case SHARE_REJECT:\n                r->state = SHARE_ARCHIVED;",
     "        case SHARE_GAP:\n        case SHARE_REJECT:\n                r->state = SHARE_AVAILABLE;"),
    ("records are given up too early", "share/share_part.c", "r->deliveries < p->conf.deliveries_max ? SHARE_AVAILABLE : SHARE_ARCHIVED",
     "r->deliveries < 3 ? SHARE_AVAILABLE : SHARE_ARCHIVED"),
    ("deliveries of records that were given back are not counted", "share/share_part.c",
     "r->deliveries < p->conf.deliveries_max ? SHARE_AVAILABLE : SHARE_ARCHIVED;\n        r->member = 0;",
     "r->deliveries < p->conf.deliveries_max ? SHARE_AVAILABLE : SHARE_ARCHIVED;\n        r->deliveries = 0;\n        r->member = 0;"),
    ("deliveries are not written", "share/cell_write.c", "(int16_t)MIN2((int)runs[i].deliveries, INT16_MAX)", "(int16_t)0"),
    ("a delivery counts twice", "share/share_part.c", "r->deliveries++;", "r->deliveries = (uint16_t)MIN2(r->deliveries + 2, 10);"),
    ("records that nobody was given may be spoken of", "share/share_part.c",
     "if (range->last < range->first || range->last < p->start || range->last >= p->end)",
     "if (range->last < range->first || range->last < p->start)"),
    ("what is below a share group's start may be spoken of", "share/share_part.c",
     "if (range->last < range->first || range->last < p->start || range->last >= p->end)\n                return false;",
     "if (range->last < range->first || range->last >= p->end)\n                return false;\n"
     "        if (range->last < p->start)\n                return true;"),
    ("the first of bad acknowledgements counts", "handler/share_rows.c",
     "row->ack_fault = SHARES_E_INVALID;", "row->ack_fault = row->acks_count ? 0 : SHARES_E_INVALID;"),
    ("epochs of share sessions are not looked at", "share/shares.c", "if (a->epoch != ss->epoch)", "if (false)"),
    ("a share member's epoch is not looked at", "coord/share_heartbeat.c", "        return COORD_E_FENCED_EPOCH;\n}",
     "        return COORD_OK;\n}"),
    ("what is said with a share fetch does not count", "share/shares.c", "        ask_acknowledge(a);\n        if (closes)",
     "        a->acks_left = 0;\n        if (a->kind == SHARE_ACKNOWLEDGE)\n                ask_acknowledge(a);\n        if (closes)"),
    ("a renewal does not prolong", "share/share_part.c", "                r->deadline_ms = now_ms + p->conf.lock_ms;\n                return;",
     "                return;"),
    ("records of aborted transactions are given to share groups", "share/reading.c",
     "if (batch_is_control(h) || is_aborted(r, h))", "if (batch_is_control(h))"),
    ("records of open transactions are given to share groups", "share/shares_fetch.c",
     "r->below = c->settings.read_committed ? v.stable_offset : v.high_watermark;", "r->below = v.high_watermark;"),
    ("records behind aborted ones are left out", "share/reading.c", "s->failed |= !add_span(r, h->base_offset, last);",
     "s->failed |= !add_span(r, h->base_offset, last + is_aborted(r, h));"),
    ("a share group goes back when its coordinator moves", "coord/share_replay.c", "p->start = v->start;",
     "p->start = v->start > 50 ? v->start - 50 : v->start;"),
    ("more records are given than were asked for", "share/shares_fetch.c", "a->strict ? *records_left : INT64_MAX", "INT64_MAX"),
    # the high watermark and acknowledgements
    ("acknowledged when it is appended", "replica/partition.c", "waits_end_up_to(&p->acks, p->insync.high_watermark, ret_told);",
     "waits_end_up_to(&p->acks, ends->end_offset, ret_told);"),
    ("acknowledged when the leader has it", "replica/partition.c", "waits_end_up_to(&p->acks, p->insync.high_watermark, ret_told);",
     "waits_end_up_to(&p->acks, held, ret_told);"),
    ("what is not durable counts as replicated", "replica/insync.h", "return p->durable ? m->durable_end : m->end_offset;",
     "return m->end_offset;"),
    ("a follower says that all it has is durable", "replica/fetcher.c", "pos->durable_end = at.durable_end;",
     "pos->durable_end = at.end_offset;"),
    ("the high watermark waits for nobody", "replica/insync.c", "return m->in_isr || m->asked || m->id == p->self;",
     "return m->id == p->self;"),
    ("the high watermark waits for the committed ISR only", "replica/insync.c", "return m->in_isr || m->asked || m->id == p->self;",
     "return m->in_isr || m->id == p->self;"),
    ("the high watermark moves with too few in sync", "replica/insync.c",
     "        if (!insync_has_min_isr(p))\n                return false;\n        for", "        for"),
    ("a new leader tells a high watermark that it does not know", "replica/partition.c",
     ".watermark_known = p->role == PARTITION_LEADER && p->insync.high_watermark >= p->insync.epoch_start,",
     ".watermark_known = p->role == PARTITION_LEADER,"),
    ("readers see what is above the high watermark", "handler/fetch.c",
     "*ret_below = op->req.isolation_level ? view.stable_offset : view.high_watermark;", "*ret_below = view.end_offset;"),
    # the ISR
    ("who lacks records joins the ISR", "replica/insync.c",
     "insync_replicated_end(p, m) >= MAX2(p->high_watermark, p->epoch_start);", "true;"),
    ("who has the high watermark of before joins", "replica/insync.c",
     "insync_replicated_end(p, m) >= MAX2(p->high_watermark, p->epoch_start);", "insync_replicated_end(p, m) >= p->high_watermark;"),
    ("a log that lost its beginning is taken as it is", "plog/recovery.c", "return rc->was_never_synced ? 0 : base;", "return base;"),
    ("an ISR of an older partition epoch is taken", "controller/partition.c",
     "        else if (a->partition_epoch < p->partition_epoch)\n", "        else if (false)\n"),
    ("an ISR of a former leader is taken", "controller/partition.c",
     "        else if (a->leader_epoch < p->leader_epoch)\n                outcome = CONTROLLER_E_LEADER_EPOCH;\n        else if (a->broker_id != p->leader)\n",
     "        else if (false)\n"),
    ("who is fenced stays in sync", "controller/partition.c", "if (b && !b->fenced && (!b->in_shutdown || b->id == a->broker_id) &&",
     "if (b &&"),
    ("who registered again stays in sync", "controller/partition.c",
     "(a->isr[i].broker_epoch == -1 || a->isr[i].broker_epoch == b->epoch))", "true)"),
    ("a relaxed replica keeps its place after a loss of power", "controller/elect.c",
     "if (!r->clean && !r->rb->same_boot &&", "if (false &&"),
    # elections
    ("anybody alive is elected", "controller/change.c", "if (id_list_has(l, c->replicas.at[i]) && may(c, c->replicas.at[i]))",
     "if (may(c, c->replicas.at[i]))"),
    ("who leads on after an unclean stop keeps its epoch", "controller/elect.c", "c.new_epoch |= !r->clean && c.leader == broker_id;", ""),
    ("a reassignment ends before the new replicas have all", "controller/change.c",
     "                if (!id_list_has(&c->isr, id) || !is_live(c, id))\n                        return;\n", ""),
    # divergence
    ("a log that parts from the leader's is not cut", "replica/partition_lead.c",
     "} else if (epoch < f->last_epoch || end < f->fetch_offset) {", "} else if (false) {"),
    ("a log is cut behind the place where it parts", "replica/partition_follow.c",
     "return MAX2(MIN2(MIN2(our_end, end_offset), ends.end_offset), 0);", "return MAX2(MIN2(our_end, ends.end_offset), 0);"),
    # coordinators
    ("a coordinator answers before its record is replicated", "coord/shard_write.c",
     "while (s->writes_count && s->writes[s->writes_first].end_offset <= v.high_watermark) {", "while (s->writes_count) {"),
    # consensus
    ("entries of the metadata log are not synced", "quorum/qlog.c",
     "                r = file_sync(l->fd);\n        if (r)\n                return r;\n        mark_entries", "                r = 0;\n        if (r)\n                return r;\n        mark_entries"),
    ("a controller commits what it alone has", "raft/lead.c", "index = raft_lead_majority(r, peer_match, r->log.persisted_index);",
     "index = r->log.persisted_index;"),
    ("a lease never ends", "replica/partition.c", "atomic_load(p->lease_until_ms) > now_ms;", "true;"),
    # deleting
    ("DeleteRecords waits for nobody", "replica/partition.c", "waits_end_up_to(&p->starts, insync_low_start(&p->insync), ret_told);",
     "waits_end_up_to(&p->starts, ends->start_offset, ret_told);"),
    ("who has deleted records joins", "replica/insync.c",
     "m->start_offset >= find(p, p->self)->start_offset &&", "true &&"),
    ("DeleteRecords does not think of ELR", "replica/insync.c",
     "        if (!insync_has_min_isr(p))\n                return -1;", "        if (false)\n                return -1;"),
]

# Programs of make test that find what seeds meet with once in thousands of runs, by names of the rows.
CONTROLLER = ["unit/test-controller-decide", "unit/test-controller-change", "unit/test-controller-duties", "unit/test-controller-random"]
TESTS = {
    "a write of a share group that comes late counts": ["unit/test-coord-share"],
    "a share group's leader before may write": ["unit/test-coord-share"],
    "markers leave before the decision is committed": ["unit/test-coord-txns"],
    "a coordinator that moved sends no markers again": ["unit/test-coord-txns"],
    "a producer is replaced in its epoch": ["unit/test-coord-txns"],
    "the last stable offset does not wait for markers to be replicated": ["unit/test-plog-txn", "unit/test-replica-stable"],
    "a batch that comes late opens a transaction": ["unit/test-plog-txn-check"],
    "a marker that came before ends the next transaction": ["unit/test-plog-txn-check"],
    "a transaction's time is never up": ["unit/test-coord-txns"],
    "offsets of an aborted transaction count": ["unit/test-coord-offsets"],
    "who has the high watermark of before joins": ["unit/test-replica-insync", "unit/test-replica-insync-random"],
    "a log that lost its beginning is taken as it is": ["unit/test-plog-recovery", "sim/sim-plog"],
    "an ISR of an older partition epoch is taken": CONTROLLER,
    "an ISR of a former leader is taken": CONTROLLER,
    "who registered again stays in sync": CONTROLLER,
    "a relaxed replica keeps its place after a loss of power": CONTROLLER,
    "who leads on after an unclean stop keeps its epoch": CONTROLLER,
    "a coordinator answers before its record is replicated": ["unit/test-coord-shard", "unit/test-coord-random"],
    "who has deleted records joins": ["unit/test-replica-insync"],
    "DeleteRecords does not think of ELR": ["unit/test-replica-insync"],
}


def text_of(file):
    return (ROOT / "src" / file).read_text()


class Copy:
    """The tree without its history, built once and changed in one place at a time."""

    def __init__(self, folder):
        self.root, self.build = folder / "tree", folder / "build"
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
        for name in listed.stdout.splitlines():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, self.root / name)
        self.run(["meson", "setup", "-Dwerror=false", str(self.build)])
        self.program = self.build / "tests/sim/sim-cluster"
        self.compile()

    def run(self, command):
        done = subprocess.run(command, cwd=self.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)}:\n{done.stdout[-3000:]}")

    def compile(self, *programs):
        self.run(["ninja", "-C", str(self.build), *[f"tests/{p}" for p in programs or ["sim/sim-cluster"]]])

    def put(self, file, text):
        (self.root / "src" / file).write_text(text)


def failure(program, seed, args):
    """What the run says went wrong; None: nothing."""
    env = {**os.environ, "SIM_SEED": str(seed), "SIM_NODES": str(args.nodes), "SIM_SECONDS": str(args.length)}
    done = subprocess.run([str(program)], env=env, capture_output=True, text=True, errors="replace", check=False)
    if not done.returncode:
        return None
    words = [line for line in done.stderr.splitlines() if line.startswith("FAILED") or "Assertion" in line]
    return words[-1] if words else f"status {done.returncode}"


def test_that_fails(copy, programs):
    """The first of them, or None."""
    copy.compile(*programs)
    for p in programs:
        try:
            status = subprocess.run([copy.build / "tests" / p], capture_output=True, timeout=TEST_LIMIT_S, check=False).returncode
        except subprocess.TimeoutExpired:
            status = "no end"
        if status:
            return f"tests/{p}: status {status}"
    return None


def try_mutant(copy, mutant, args):
    name, file, old, new = mutant
    copy.put(file, text_of(file).replace(old, new))
    try:
        return try_copy(copy, name, args)
    finally:
        copy.put(file, text_of(file))


def try_copy(copy, name, args):
    copy.compile()
    began, seed, found = time.monotonic(), 0, None
    while not found and time.monotonic() < began + args.seconds:
        seed += 1
        found = failure(copy.program, seed, args)
    where = [f"seed {seed}, {time.monotonic() - began:.0f} s: {found}" if found else f"{seed} runs, nothing"]
    if not found and name in TESTS:
        found = test_that_fails(copy, TESTS[name])
        where.append(found or f"nor {', '.join(TESTS[name])}")
    return mutants.told(name, found, *where)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--seconds", type=int, default=90, help="for each (90)")
    args.add_argument("--nodes", type=int, default=3)
    args.add_argument("--length", type=int, default=300, help="of a run, simulated seconds (300)")
    args.add_argument("names", nargs="*", help="parts of names; none: all")
    args = args.parse_args()
    chosen = mutants.choose(MUTANTS, args.names, text_of)
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(pathlib.Path(folder))
        found = [try_mutant(copy, m, args) for m in chosen]
    mutants.end(found)


if __name__ == "__main__":
    main()
