/* Metrics of the cluster as this node sees it: the quorum, brokers, partitions, and the way to other nodes. What is of the whole
 * cluster is told by every node, from the metadata that it has: take the max, not the sum. What is of the node is told by it
 * alone. */
#include <stdio.h>

#include "chronikd/admin.h"
#include "chronikd/ask.h"
#include "chronikd/metrics.h"
#include "obs/expo.h"

static void with_node(struct strbuf *out, const char *name, int32_t node, double value)
{
        char id[12];

        snprintf(id, sizeof id, "%d", node);
        expo_value(out, name, "", (struct expo_label[]){ { "node", str_of(id) }, { 0 } }, value);
}

/* ---- the quorum ---- */

/* The active controller alone knows how far the others are. */
static void write_members(struct node *n, struct strbuf *out)
{
        struct controller_describe_quorum told = { 0 };
        struct controller_request ask = {
                .op = CONTROLLER_DESCRIBE_QUORUM, .here_only = true, .items = &told, .items_count = 1
        };
        struct quorum_view v = { 0 };

        arena_init(&v.mem, 0);
        ask.mem = &v.mem;
        ask_controller(n, NULL, &ask);
        if (!ask.result.outcome && !told.result.outcome) {
                quorum_view_fill(&v, n->conf, &told);
                metrics_gauge(out, "chronik_quorum_voters", "Controllers that vote.", v.voters);
                metrics_gauge(out, "chronik_quorum_voters_heard",
                              "Controllers that vote and were heard of lately; below half of chronik_quorum_voters and "
                              "nothing can be changed.",
                              v.voters_heard);
                expo_family(out, "chronik_quorum_lag_entries", "gauge",
                            "Entries of the metadata that a node has not got yet, by node.");
                for (int32_t i = 0; i < told.members_count; i++)
                        if (told.members[i].end_index >= 0)
                                with_node(out, "chronik_quorum_lag_entries", told.members[i].node_id,
                                          (double)MAX2(v.end_index - told.members[i].end_index, INT64_C(0)));
        }
        quorum_view_fini(&v);
}

static void write_quorum(struct node *n, struct strbuf *out)
{
        struct controller_status s;

        controller_status(n->controller, &s);
        metrics_gauge(out, "chronik_active_controller", "1 on the node whose controller decides.", s.active);
        metrics_gauge(out, "chronik_quorum_leader",
                      "The node that is the active controller, as this one knows; -1: none.", s.leader_id);
        metrics_gauge(out, "chronik_quorum_term",
                      "Term of the metadata log; grows with every election of a controller.", s.term);
        metrics_gauge(out, "chronik_quorum_committed_index", "Entries of the metadata log that are committed.",
                      (double)(s.follows_only ? s.observer.commit_index : s.quorum.committed_index));
        metrics_gauge(out, "chronik_quorum_applied_index", "Entries that this node has applied.",
                      (double)(s.follows_only ? s.observer.applied_index : s.quorum.applied_index));
        if (s.follows_only)
                return;
        metrics_gauge(out, "chronik_quorum_log_bytes", "Size of the metadata log on this node's disk.",
                      (double)s.quorum.log_bytes);
        metrics_counter(out, "chronik_controller_requests_total", "Requests that this node's controller decided.",
                        (double)s.requests);
        if (s.active)
                write_members(n, out);
}

/* ---- brokers and partitions ---- */

static void write_brokers(const struct meta_image *image, const struct tally *t, struct strbuf *out)
{
        static const char *const states[] = { "active", "fenced", "stopping", "leaving", "draining", "drained" };
        unsigned counts[ARRAY_LEN(states)] = { 0 };
        const struct meta_broker *b;

        pmap_for_each (it, b, &image->brokers)
                for (size_t i = 0; i < ARRAY_LEN(states); i++)
                        counts[i] += !strcmp(states[i], tally_state(b, tally_find(t, b->id)));
        expo_family(out, "chronik_cluster_brokers", "gauge", "Registered brokers of the cluster by state.");
        for (size_t i = 0; i < ARRAY_LEN(states); i++)
                expo_value(out, "chronik_cluster_brokers", "",
                           (struct expo_label[]){ { "state", str_of(states[i]) }, { 0 } }, counts[i]);
}

static void write_partitions(const struct tally *t, struct strbuf *out)
{
        metrics_gauge(out, "chronik_cluster_partitions", "Partitions of the cluster.", t->partitions);
        metrics_gauge(out, "chronik_cluster_partitions_offline", "Those without a leader: neither written nor read.",
                      t->offline.count);
        metrics_gauge(out, "chronik_cluster_partitions_below_min_isr",
                      "Those with fewer replicas in sync than acks=all needs.", t->below_min_isr.count);
        metrics_gauge(out, "chronik_cluster_partitions_under_replicated",
                      "Those with fewer replicas in sync than there should be.", t->under_replicated.count);
        metrics_gauge(out, "chronik_cluster_partitions_reassigning", "Those whose replicas move.", t->reassigning);
        metrics_gauge(out, "chronik_cluster_partitions_recovering",
                      "Those that recover from an election of a replica that may miss acknowledged records.",
                      t->recovering);
        metrics_gauge(out, "chronik_cluster_partitions_not_preferred",
                      "Those that are led by another than their preferred replica.", t->not_preferred);
}

static void write_own(const struct tally_node *own, struct strbuf *out)
{
        metrics_gauge(out, "chronik_leaders", "Partitions that this node leads, by the metadata.", own->leads);
        metrics_gauge(out, "chronik_leaders_under_replicated",
                      "Those among them with fewer replicas in sync than there should be.",
                      own->leads_under_replicated);
        metrics_gauge(out, "chronik_leaders_below_min_isr", "Those among them that refuse acks=all.",
                      own->leads_below_min_isr);
        metrics_gauge(out, "chronik_replicas", "Partitions that this node has a replica of, by the metadata.",
                      own->replicas);
        metrics_gauge(out, "chronik_replicas_behind", "Those among them that are not in sync.", own->behind);
}

static void write_changes(struct node *n, struct strbuf *out)
{
        struct changes *c = &n->changes;

        metrics_counter(out, "chronik_elections_won_total", "Partitions that this node began to lead.",
                        (double)atomic_load(&c->elected));
        metrics_counter(out, "chronik_unclean_elections_won_total",
                        "Those among them where acknowledged records may have been lost.",
                        (double)atomic_load(&c->elected_uncleanly));
        metrics_counter(out, "chronik_leaderships_lost_total", "Partitions that this node ceased to lead.",
                        (double)atomic_load(&c->resigned));
        metrics_counter(out, "chronik_isr_shrinks_total",
                        "Changes in which replicas left the ISR of a partition that this node leads.",
                        (double)atomic_load(&c->isr_shrinks));
        metrics_counter(out, "chronik_isr_expands_total", "Changes in which replicas joined it.",
                        (double)atomic_load(&c->isr_expands));
}

static void write_metadata(struct node *n, struct strbuf *out)
{
        struct meta_image *image = controller_image(n->controller);
        const struct tally_node *own;
        struct tally t;

        if (!tally_take(image, n->conf, &t)) {
                own = tally_find(&t, n->led.node_id);
                write_brokers(image, &t, out);
                write_partitions(&t, out);
                if (own && n->store)
                        write_own(own, out);
                tally_fini(&t);
        }
        meta_image_unref(image);
        if (n->store)
                write_changes(n, out);
}

/* ---- the way to other nodes ---- */

struct peer_family {
        const char *name, *type, *help;
        double (*of)(const struct peer_link_info *l);
};

#define OF(name, value) \
        static double name(const struct peer_link_info *l) \
        { \
                return (double)(value); \
        }
OF(of_up, l->up)
OF(of_calls, l->calls)
OF(of_calls_total, l->calls_total)
OF(of_calls_failed, l->calls_failed)
OF(of_connects, l->connects_total)
OF(of_in, l->bytes_in)
OF(of_out, l->bytes_out)
#undef OF

static const struct peer_family peer_families[] = {
        { "chronik_peer_up", "gauge", "1 while the connection that this node made to another one stands, by lane.",
          of_up },
        { "chronik_peer_calls", "gauge", "Calls to it that wait for a connection or an answer.", of_calls },
        { "chronik_peer_calls_total", "counter", "Calls to it.", of_calls_total },
        { "chronik_peer_call_failures_total", "counter", "Calls that had no answer.", of_calls_failed },
        { "chronik_peer_connects_total", "counter", "Connections to it that came about.", of_connects },
        { "chronik_peer_received_bytes_total", "counter", "Bytes of its answers, TLS not counted.", of_in },
        { "chronik_peer_sent_bytes_total", "counter", "Bytes of the calls.", of_out },
};

static void write_link(struct strbuf *out, const struct peer_family *f, const struct peer_info *p)
{
        static const char *const lanes[] = { [PEER_CONTROL] = "control", [PEER_DATA] = "data" };
        char id[12];

        snprintf(id, sizeof id, "%d", p->node);
        for (size_t lane = 0; lane < PEER_LANES_COUNT; lane++)
                if (p->links[lane].since_ms ||
                    p->links[lane].calls_total) /* of one that was never used there is nothing */
                        expo_value(
                                out, f->name, "",
                                (struct expo_label[]){ { "node", str_of(id) }, { "lane", str_of(lanes[lane]) }, { 0 } },
                                f->of(&p->links[lane]));
}

static void write_peers(struct node *n, struct strbuf *out)
{
        unsigned count = peer_hub_list(n->mesh.hub, NULL, 0) + 16, known; /* some may come meanwhile */
        CLEANUP(freep) struct peer_info *infos = calloc(count, sizeof *infos);
        struct peer_stats s;

        if (!infos) {
                out->failed = true;
                return;
        }
        known = MIN2(peer_hub_list(n->mesh.hub, infos, count), count);
        for (size_t f = 0; f < ARRAY_LEN(peer_families); f++) {
                expo_family(out, peer_families[f].name, peer_families[f].type, peer_families[f].help);
                for (unsigned i = 0; i < known; i++)
                        write_link(out, &peer_families[f], &infos[i]);
        }
        expo_family(out, "chronik_peer_clock_ahead_seconds", "gauge",
                    "By how much another node's clock was ahead of this one's when they met.");
        for (unsigned i = 0; i < known; i++)
                if (infos[i].known)
                        with_node(out, "chronik_peer_clock_ahead_seconds", infos[i].node,
                                  (double)infos[i].clock_ahead_ms / 1e3);
        peer_hub_stats(n->mesh.hub, &s);
        metrics_counter(out, "chronik_peer_refused_total", "Nodes and certificates that were not accepted, either way.",
                        (double)s.refused);
        metrics_counter(out, "chronik_peer_requests_total", "Requests of other nodes.", (double)s.requests);
        metrics_gauge(out, "chronik_peer_connections", "Connections with other nodes, made by either side.",
                      (double)s.net.connections_open);
        metrics_counter(
                out, "chronik_peer_network_received_bytes_total",
                "Bytes from other nodes over all connections, whoever made them; records that this node fetched among "
                "them.",
                (double)s.net.bytes_in);
        metrics_counter(out, "chronik_peer_network_sent_bytes_total",
                        "Likewise to other nodes; records that followers fetched among them.", (double)s.net.bytes_out);
        metrics_gauge(out, "chronik_peer_memory_bytes", "Memory of other nodes' requests.", (double)s.net.memory_used);
}

/* ---- replication ---- */

static void write_replication(struct node *n, struct strbuf *out)
{
        struct replicator_stats s;

        replicator_stats(n->replication.replicator, &s);
        metrics_gauge(out, "chronik_replication_following", "Partitions that this node follows.", (double)s.following);
        metrics_gauge(out, "chronik_replication_sessions", "Followers that fetch from this node.", (double)s.serving);
        metrics_counter(out, "chronik_replication_fetched_bytes_total",
                        "Bytes of records that this node got from leaders.", (double)s.bytes_fetched);
        metrics_counter(out, "chronik_replication_fetches_total", "Fetches that it sent to leaders.",
                        (double)s.fetches);
        metrics_counter(out, "chronik_replication_refused_batches_total",
                        "Batches of leaders that were not as they should be, and were fetched again.",
                        (double)s.batches_refused);
        metrics_counter(out, "chronik_replication_truncations_total",
                        "Times that a log of this node was cut where its leader's parts from it.",
                        (double)s.truncations);
        metrics_counter(out, "chronik_replication_restarts_total",
                        "Times that a log of this node was begun anew, because its leader had nothing of it left.",
                        (double)s.restarts);
}

void metrics_cluster(struct node *n, struct strbuf *out)
{
        write_quorum(n, out);
        write_metadata(n, out);
        if (n->mesh.hub)
                write_peers(n, out);
        if (n->replication.replicator)
                write_replication(n, out);
}
