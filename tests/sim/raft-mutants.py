#!/usr/bin/env python3
"""Bugs planted in the consensus core, one for each of its rules, to see that the tests find them.

For each row of MUTANTS one place of src/raft is changed in a copy, and the stories (tests/unit/test-raft-*) and the simulator
(sim-raft: its short course, and when that finds nothing, new seeds for some seconds, fewer when a story has found it) are run with it. Prints who found it.
Status 1: a bug was found by nobody, or a row does not fit the source any more.

    tests/sim/raft-mutants.py [--seconds 20] [NAME...]
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import mutants

ROOT = pathlib.Path(__file__).resolve().parents[2]
STORIES = ["log", "elect", "change", "snapshot", "input"]
SIM = ["sim-raft", "raft-check", "raft-disk", "raft-net", "raft-node", "raft-trouble"]
CC = ["cc", "-O1", "-std=gnu17", "-D_GNU_SOURCE", "-fno-strict-aliasing", "-w"]

# (name, file, what is there, what is put in its place)
MUTANTS = [
    # elections
    ("votes twice in a term", "elect.c",
     "(r->vote.voted_for.node != RAFT_NOBODY && !raft_id_equal(r->vote.voted_for, m->from)) || !is_as_new(r, m)",
     "!is_as_new(r, m)"),
    ("forgets on a newer term that it has not voted in it", "elect.c",
     "r->vote = (struct raft_vote){ term, RAFT_ID_NOBODY };", "r->vote.term = term;"),
    ("tells a vote before it is durable", "elect.c",
     "        r->owes_vote = true;\n        raft_elect_on_persisted(r);",
     "        raft_send(r, m->from, (struct raft_message){ .type = RAFT_VOTE_ANSWER, .granted = true });"),
    ("stands before its own vote is durable", "elect.c",
     "        if (!raft_vote_equal(&r->vote, &r->durable))\n                return;\n", ""),
    ("votes for any log", "elect.c", "return m->last_term > last_term ||", "return true || m->last_term > last_term ||"),
    ("compares logs by their length only", "elect.c",
     "return m->last_term > last_term || (m->last_term == last_term && m->last_index >= r->log.last_index);",
     "return m->last_index >= r->log.last_index;"),
    ("compares logs by their last term only", "elect.c",
     "(m->last_term == last_term && m->last_index >= r->log.last_index)", "m->last_term == last_term"),
    ("half of the votes is enough", "elect.c", "(uint32_t)__builtin_popcountll(r->votes) >",
     "(uint32_t)__builtin_popcountll(r->votes) >="),
    ("counts votes of another directory", "elect.c",
     "if (raft_id_equal(m->at[i].id, id) && m->at[i].is_voter)", "if (m->at[i].id.node == id.node && m->at[i].is_voter)"),
    ("counts votes of learners", "elect.c",
     "if (raft_id_equal(m->at[i].id, id) && m->at[i].is_voter)", "if (raft_id_equal(m->at[i].id, id))"),
    ("learners stand", "elect.c",
     "if (raft_members_have_voter(&r->history.at[i].members, r->self))",
     "if (raft_members_find_id(&r->history.at[i].members, r->self))"),
    ("one that removed itself never stands", "elect.c",
     "for (size_t i = 0; i < r->history.count; i++)", "for (size_t i = r->history.count - 1; i < r->history.count; i++)"),
    ("no pre-vote", "elect.c", "        r->counts.prevotes_begun++;\n",
     "        raft_elect_stand(r, false);\n        return;\n        r->counts.prevotes_begun++;\n"),
    ("grants a pre-vote while a leader is heard", "elect.c",
     "m->term <= raft_term(r) || hears_leader(r) ||", "m->term <= raft_term(r) ||"),
    ("grants a vote while a leader is heard", "elect.c", "!m->by_transfer && hears_leader(r)", "false"),
    ("a node that starts has heard no leader", "raft.c", "        r->leader_heard_ms = r->now;\n",
     "        r->leader_heard_ms = INT64_MIN;\n"),
    ("takes a second leader in a term", "follow.c",
     "(r->role == RAFT_LEADER || (r->leader.node != RAFT_NOBODY && !raft_id_equal(r->leader, m->from)))", "false"),
    ("does not tell an old leader of the newer term", "follow.c", "                answer_old(r, m);\n", ""),
    ("no check-quorum", "lead.c", "r->now - majority_heard_ms(r) >= r->options.election_ms", "false"),
    ("says things of a term that is not durable", "raft.c", "if (!pre && !raft_term_is_durable(r))", "if (false)"),
    ("trusts the vote file more than the log", "raft.c", "if (raft_log_last_term(&r->log) > r->vote.term)", "if (false)"),
    ("takes a message for another directory", "raft.c", "if (!raft_id_equal(m->to, r->self)) {",
     "if (m->to.node != r->self.node) {"),
    # logs
    ("counts entries of older terms", "lead.c",
     "index <= r->commit_index || raft_log_term(&r->log, index) != raft_term(r)", "index <= r->commit_index"),
    ("counts its own copy before it is durable", "lead.c",
     "raft_lead_majority(r, peer_match, r->log.persisted_index)", "raft_lead_majority(r, peer_match, r->log.last_index)"),
    ("half of the copies is enough", "lead.c", "return values[count / 2];", "return values[(count - 1) / 2];"),
    ("acknowledges before it is durable", "follow.c",
     "                                         .match_index = MIN2(r->log.persisted_index, r->agreed_index),\n"
     "                                         .last_index = r->agreed_index });\n}\n\nvoid raft_follow_on_persisted",
     "                                         .match_index = r->agreed_index,\n"
     "                                         .last_index = r->agreed_index });\n}\n\nvoid raft_follow_on_persisted"),
    ("acknowledges in a heartbeat's answer before it is durable", "follow.c",
     "                                         .match_index = MIN2(r->log.persisted_index, r->agreed_index),\n"
     "                                         .last_index = r->agreed_index,\n"
     "                                         .sent_ms",
     "                                         .match_index = r->agreed_index,\n"
     "                                         .last_index = r->agreed_index,\n"
     "                                         .sent_ms"),
    ("acknowledges what was not compared", "follow.c",
     "                                         .match_index = MIN2(r->log.persisted_index, r->agreed_index),\n"
     "                                         .last_index = r->agreed_index,\n"
     "                                         .sent_ms",
     "                                         .match_index = r->log.persisted_index,\n"
     "                                         .last_index = MAX2(r->log.persisted_index, r->agreed_index),\n"
     "                                         .sent_ms"),
    ("thinks that a new leader's log agrees like the old one's", "elect.c",
     "                r->agreed_index = r->commit_index;\n                r->owes_vote", "                r->owes_vote"),
    ("commits what was not compared", "follow.c", "MIN2(index, r->agreed_index)", "MIN2(index, r->log.last_index)"),
    ("does not compare the entry before", "follow.c", "raft_log_term(&r->log, prev) != m->prev_term",
     "raft_log_term(&r->log, prev) < 0"),
    ("late messages cut off what came after them", "follow.c", "        if (first <= known) {\n",
     "        if (last < r->log.last_index && last >= r->agreed_index)\n                drop_tail(r, last + 1);\n"
     "        if (first <= known) {\n"),
    ("does not truncate", "follow.c", "        if (first <= known) {\n", "        first = known + 1;\n        if (first <= known) {\n"),
    ("truncates one too few", "follow.c", "                drop_tail(r, first);\n",
     "                if (first < r->log.last_index)\n                        first++;\n                drop_tail(r, first);\n"),
    ("takes the report of a truncated write", "raft.c", "if (ev->persisted.edition != r->log.edition)", "if (false)"),
    ("what was truncated counts as durable", "log.c",
     "        l->persisted_index = MIN2(l->persisted_index, l->last_index);\n        l->edition++;", "        l->edition++;"),
    ("applies before it is durable", "raft.c", "MIN2(r->commit_index, r->log.persisted_index)", "r->commit_index"),
    ("cuts with the wrong term", "log.c", "        l->cut_term = raft_log_term(l, index);\n", ""),
    ("sends nothing again", "lead.c", "        if (is_overdue(r, p, m))", "        if (false)"),
    ("a lost probe is not asked again", "lead.c", "                p->is_paused = false;", "                ;"),
    ("thinks that all that was offered was sent", "peers.c", "p->next_index = ev->sent.last + 1;",
     "p->next_index = p->offer_last + 1;"),
    ("no window", "peers.c", "p->in_flight_count >= r->options.append_window", "p->in_flight_count >= RAFT_WINDOW_MAX"),
    # members
    ("changes members before an entry of its term is committed", "change.c",
     "r->commit_index >= r->term_first_index && raft_members_index(r) <= r->commit_index",
     "raft_members_index(r) <= r->commit_index"),
    ("changes members on top of a change", "change.c",
     "r->commit_index >= r->term_first_index && raft_members_index(r) <= r->commit_index",
     "r->commit_index >= r->term_first_index"),
    ("does not roll members back", "follow.c",
     "r->counts.members_rolled_back += raft_history_truncate(&r->history, from);", ""),
    ("forgets the members of before too early", "raft.c", "        raft_lead_commit(r);\n        raft_change_settle(r);",
     "        raft_history_commit(&r->history, r->log.last_index);\n        raft_lead_commit(r);\n        raft_change_settle(r);"),
    ("counts copies of learners", "lead.c", "if (p->is_leaving || !p->member.is_voter)\n                        continue;\n"
     "                for (count++; at", "if (p->is_leaving)\n                        continue;\n"
     "                for (count++; at"),
    ("counts itself though it is removed", "lead.c", "        if (raft_is_voter(r))\n                values[count++] = own;",
     "        values[count++] = own;"),
    ("goes on after it is removed", "change.c", "        if (!raft_is_voter(r))\n                leave(r);",
     "        if (false)\n                leave(r);"),
    ("makes a voter of a learner that has nothing", "change.c", "!p->has_caught_up ||", ""),
    ("a learner stays one", "change.c", "                promote(r);", "                ;"),
    ("adds a voter at once", "change.c", "(struct raft_member){ id, false }", "(struct raft_member){ id, true }"),
    ("removes a voter whose loss stops the group", "change.c",
     "return !was_voter || is_safe(r, m) ? RAFT_OK : RAFT_E_UNSAFE;", "return RAFT_OK;"),
    ("two directories of a node at once", "change.c", "if (raft_members_find(m, id.node))",
     "if (raft_members_find_id(m, id))"),
    ("one that is removed is not told", "peers.c", "if (!p->is_leaving || (!knows && r->now < p->leaves_ms))",
     "if (!p->is_leaving)"),
    # snapshots
    ("throws a log away that has all of the snapshot", "snapshot.c",
     "index > r->commit_index && raft_log_term(&r->log, index) != term", "index > r->commit_index"),
    ("installs a snapshot of the past", "snapshot.c",
     "        if (index > r->commit_index && raft_log_term(&r->log, index) != term)",
     "        if (raft_log_term(&r->log, index) != term)"),
    ("an installed snapshot counts before it is durable", "log.c",
     "l->persisted_index = MIN2(l->persisted_index, committed);", "l->persisted_index = index;"),
    ("keeps the members of the log that a snapshot replaced", "snapshot.c",
     "        raft_history_push(&r->history, ev->snapshot.members_index, ev->snapshot.members);\n", ""),
    ("a snapshot that failed is not sent again", "snapshot.c",
     "                raft_peer_probe(r, p, MAX2(p->next_index, p->match_index + 1), true); /* again, a little later */",
     "                ;"),
    # transfer and lease
    ("hands over to one that has not all", "transfer.c", "p && p->match_index == r->log.last_index &&", "p &&"),
    ("takes proposals while it hands over", "raft.c",
     "        if (r->is_transferring)\n                return RAFT_E_TRANSFER;\n        raft_lead_append", "        raft_lead_append"),
    ("a transfer never ends", "transfer.c", "r->is_transferring && r->now >= r->transfer_ms", "false"),
    ("a transfer needs a majority that hears nobody", "elect.c", "!m->by_transfer && hears_leader(r)", "hears_leader(r)"),
    ("keeps its lease after it has told another to stand", "transfer.c", "        r->lease_is_void = true;\n", ""),
    ("a lease as long as an election time-out of the others, and more", "lead.c", "r->options.election_ms / 4 * 3",
     "r->options.election_ms / 4 * 8"),
    ("a lease from when answers came", "lead.c", "echo = raft_lead_majority(r, peer_echo, now_ms);",
     "echo = raft_lead_majority(r, raft_peer_heard, now_ms);"),
    ("a lease without its own vote", "lead.c", " || !raft_is_voter(r))\n                return false;\n        echo",
     ")\n                return false;\n        echo"),
]


def run(args, **kw):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **kw)


def compile_one(source, target, include):
    done = run(CC + [f"-I{i}" for i in include] + ["-c", str(source), "-o", str(target)])
    if done.returncode:
        sys.exit(f"{source} does not compile:\n{done.stdout}")


class Bench:
    """Objects of everything that does not change, and the programs made of them."""

    def __init__(self, folder):
        self.folder = folder
        self.include = [ROOT / "src", ROOT / "tests/unit", ROOT / "tests/sim"]
        self.core = {}
        for source in sorted((ROOT / "src/raft").glob("*.c")):
            self.core[source.name] = self.object(source)
        self.sim = [self.object(ROOT / f"tests/sim/{name}.c") for name in SIM]
        self.stories = {name: self.object(ROOT / f"tests/unit/test-raft-{name}.c") for name in STORIES}

    def object(self, source):
        target = self.folder / (source.stem + ".o")
        compile_one(source, target, self.include)
        return target

    def link(self, name, objects, core, libs):
        target = self.folder / name
        done = run(["cc", "-o", str(target)] + [str(o) for o in objects] + [str(o) for o in core.values()] + libs)
        if done.returncode:
            sys.exit(f"{name} cannot be linked:\n{done.stdout}")
        return target

    def try_stories(self, core):
        found = []
        for name, source in self.stories.items():
            libs = ["-lcunit"]
            if name == "input":
                libs += [f"-Wl,--wrap={f}" for f in ("malloc", "calloc", "realloc")]
            program = self.link(f"test-{name}", [source], core, libs)
            try:
                if run([str(program)], timeout=15).returncode:
                    found.append(name)
            except subprocess.TimeoutExpired:
                found.append(name)
        return found

    def try_sim(self, core, seconds):
        program = self.link("sim-raft", self.sim, core, [])
        # Without the counters: what counts is what is found to be wrong.
        for env, how in (({}, "short course"), ({"SIM_S": str(seconds)}, "new seeds")):
            try:
                done = run([str(program)], env={**os.environ, **env}, timeout=seconds + 60)
            except subprocess.TimeoutExpired:
                return f"{how}: does not end"
            words = [line for line in done.stdout.splitlines() if line.startswith("WRONG") or "Assertion" in line or
                     "too little" in line]
            if done.returncode:
                return f"{how}: {words[0] if words else 'status ' + str(done.returncode)}"
        return None


TEXTS = {source.name: source.read_text() for source in (ROOT / "src/raft").glob("*.c")}


def try_mutant(bench, mutant, seconds):
    name, file, old, new = mutant
    text = TEXTS[file]
    source = bench.folder / ("mutant-" + file)
    source.write_text(text.replace(old, new))
    target = bench.folder / "mutant.o"
    compile_one(source, target, bench.include)
    core = {**bench.core, file: target}
    stories = bench.try_stories(core)
    sim = bench.try_sim(core, 5 if stories else seconds)
    return mutants.told(name, stories or sim, f"stories: {', '.join(stories) or '-'}", f"simulator: {sim or '-'}")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--seconds", type=int, default=20, help="how long the simulator looks with new seeds (20)")
    args.add_argument("names", nargs="*", help="parts of names; none: all")
    args = args.parse_args()
    chosen = mutants.choose(MUTANTS, args.names, TEXTS.get)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(pathlib.Path(folder))
        found = [try_mutant(bench, m, args.seconds) for m in chosen]
    mutants.end(found)


if __name__ == "__main__":
    main()
