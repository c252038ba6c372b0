/* Somebody who takes controllers out and puts others in, through any node, as kafka-metadata-quorum does: of all that have the role
 * three to five vote. */
#include <stdio.h>

#include "client.h"
#include "network.h"

enum { VOTERS_MIN = 3, VOTERS_MAX = 5 };

/* Bits of those that vote, by subscript of nodes; 0: no answer. */
static unsigned voters(struct client *c)
{
        struct describe_quorum_request_partition partition = { 0 };
        struct describe_quorum_request_topic topic;
        struct describe_quorum_request rq;
        struct describe_quorum_response rs;
        const struct describe_quorum_response_partition *p;
        CLEANUP(arena_finip) struct arena mem;
        unsigned bits = 0;

        arena_init(&mem, 0);
        describe_quorum_request_init(&rq);
        describe_quorum_request_topic_init(&topic);
        topic.topic_name = STR_LIT("__cluster_metadata");
        topic.partitions = &partition;
        topic.partitions_count = 1;
        rq.topics = &topic;
        rq.topics_count = 1;
        if (client_call(c, client_any_node(c), CLIENT_API(describe_quorum, DESCRIBE_QUORUM_REQUEST_KEY, 2), &rq, &rs,
                        &mem))
                return 0;
        if (rs.error_code || rs.topics_count != 1 || rs.topics[0].partitions_count != 1)
                return 0;
        p = &rs.topics[0].partitions[0];
        for (int32_t i = 0; i < p->current_voters_count; i++) {
                int32_t id = p->current_voters[i].replica_id;

                if (id < 1 || id > (int32_t)nodes_count || !nodes[id - 1].is_controller)
                        world_fail("%s: node %d votes", c->name, id);
                bits |= 1u << (id - 1);
        }
        return bits;
}

/* Return: Kafka's code; -1: no answer. */
static int add(struct client *c, const struct node_host *h)
{
        struct add_raft_voter_request_listener listener;
        struct add_raft_voter_request rq;
        struct add_raft_voter_response rs;
        CLEANUP(arena_finip) struct arena mem;
        char host[24];

        arena_init(&mem, 0);
        add_raft_voter_request_init(&rq);
        rq.cluster_id = STR_NULL;
        add_raft_voter_request_listener_init(&listener);
        snprintf(host, sizeof host, "10.0.0.%d", h->machine->number);
        listener.name = STR_LIT("PEER");
        listener.host = str_of(host);
        listener.port = PEER_PORT;
        rq.timeout_ms = 5000;
        rq.voter_id = h->id;
        rq.listeners = &listener;
        rq.listeners_count = 1;
        return client_call(c, client_any_node(c), CLIENT_API(add_raft_voter, ADD_RAFT_VOTER_REQUEST_KEY, 1), &rq, &rs,
                           &mem)
                       ? -1
                       : rs.error_code;
}

static int take_out(struct client *c, const struct node_host *h)
{
        struct remove_raft_voter_request rq;
        struct remove_raft_voter_response rs;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        remove_raft_voter_request_init(&rq);
        rq.cluster_id = STR_NULL;
        rq.voter_id = h->id;
        return client_call(c, client_any_node(c), CLIENT_API(remove_raft_voter, REMOVE_RAFT_VOTER_REQUEST_KEY, 0), &rq,
                           &rs, &mem)
                       ? -1
                       : rs.error_code;
}

/* One of those that have the role and vote, or do not. */
static struct node_host *pick(struct client *c, unsigned bits, bool votes)
{
        struct node_host *found = NULL;
        unsigned n = 0;

        for (unsigned i = 0; i < nodes_count; i++)
                if (nodes[i].is_controller && !(bits & 1u << i) == !votes && chance_one_in(&c->chance, ++n))
                        found = &nodes[i];
        return found;
}

static void change(void *arg)
{
        struct client *c = arg;
        int64_t pace_ns = SECOND * (3 + chance_below(&c->chance, 30));

        while (!clients_are_done) {
                unsigned bits = voters(c), count = (unsigned)__builtin_popcount(bits);
                bool adds = count < VOTERS_MAX && (count <= VOTERS_MIN || chance_one_in(&c->chance, 2));
                struct node_host *h = bits ? pick(c, bits, !adds) : NULL;
                bool cut = network_is_cut();
                int code;

                if (h) {
                        code = adds ? add(c, h) : take_out(c, h);
                        world_say("%s: %s %s: %d", c->name, adds ? "add voter" : "remove voter", h->machine->name,
                                  code);
                        client_counts.voters_added += !code && adds;
                        client_counts.voters_removed += !code && !adds;
                        client_counts.voters_changed_cut += !code && (cut || network_is_cut());
                        if (code > 0)
                                client_error(c, "voter change", code);
                }
                fiber_sleep((int64_t)chance_below(&c->chance, (uint64_t)pace_ns));
        }
        for (int i = 0; i < NODES_MAX; i++)
                client_close(c, i);
}

void client_start_voters(void)
{
        struct client *c = client_new("operator");

        client_run(c, change, c);
}
