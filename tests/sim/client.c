/* See client.h. This file: connections, calls, and where the leaders are. */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"
#include "network.h"
#include "sys/file.h"
#include "sys/loop.h"
#include "wire/api.h"

enum { FRAME_LEN_MAX = 64 << 20 };

struct client_counts client_counts;
bool clients_are_done;
unsigned clients_running;

struct client *client_new(const char *name)
{
        static struct machine *machine; /* all clients have one */
        struct client *c = calloc(1, sizeof *c);

        assert(c);
        if (!machine)
                machine = machine_new("clients", false);
        c->machine = machine;
        snprintf(c->name, sizeof c->name, "%s", name);
        c->chance.state = chance_u64(&sim_chance);
        for (int i = 0; i < NODES_MAX; i++)
                c->fds[i] = -1;
        for (int i = 0; i < CLIENT_PARTS_MAX; i++)
                c->leaders[i] = -1;
        c->timeout_ns = SECOND * (2 + chance_below(&c->chance, 10));
        return c;
}

struct start {
        void (*fn)(void *arg);
        void *arg;
};

static void run(void *arg)
{
        struct start s = *(struct start *)arg;

        free(arg);
        s.fn(s.arg);
        clients_running--;
}

void client_run(struct client *c, void (*fn)(void *arg), void *arg)
{
        struct start *s = malloc(sizeof *s);

        assert(s);
        *s = (struct start){ fn, arg };
        clients_running++;
        fiber_start(c->machine, c->name, run, s);
}

/* ---- connections ---- */

void client_close(struct client *c, int node)
{
        if (c->fds[node] >= 0)
                network_close(c->fds[node]);
        c->fds[node] = -1;
}

static int give_up(struct client *c, int node, int error)
{
        client_close(c, node);
        client_counts.failed++;
        client_counts.timed_out += error == -ETIMEDOUT;
        return error;
}

static int connect_to(struct client *c, int node, int64_t until_ns)
{
        struct sock_address a = network_address(nodes[node].machine, KAFKA_PORT);
        int fd = sock_connect(&a), r;

        if (fd < 0)
                return fd;
        c->fds[node] = fd;
        network_wait(fd, LOOP_WRITE, until_ns);
        r = network_ready(fd) & LOOP_WRITE ? sock_error(fd) : -ETIMEDOUT;
        return r;
}

static int send_all(struct client *c, int node, const void *data, size_t len, int64_t until_ns)
{
        for (size_t done = 0; done < len;) {
                struct iovec iov = { (char *)(uintptr_t)data + done, len - done };
                ssize_t n = sock_writev(c->fds[node], &iov, 1, false);

                if (n > 0) {
                        done += (size_t)n;
                } else if (n != -EAGAIN) {
                        return n ? (int)n : -EPIPE;
                } else {
                        if (sim_now() >= until_ns)
                                return -ETIMEDOUT;
                        network_wait(c->fds[node], LOOP_WRITE, until_ns);
                }
        }
        return 0;
}

static int receive_all(struct client *c, int node, void *buf, size_t len, int64_t until_ns)
{
        for (size_t done = 0; done < len;) {
                struct iovec iov = { (char *)buf + done, len - done };
                ssize_t n = sock_readv(c->fds[node], &iov, 1);

                if (n > 0) {
                        done += (size_t)n;
                } else if (n != -EAGAIN) {
                        return n ? (int)n : -ECONNRESET;
                } else {
                        if (sim_now() >= until_ns)
                                return -ETIMEDOUT;
                        network_wait(c->fds[node], LOOP_READ, until_ns);
                }
        }
        return 0;
}

/* ---- calls ---- */

int client_send(struct client *c, int node, const struct client_api *api, const void *rq)
{
        const struct wire_api *wire = wire_api_find(api->key);
        struct request_header head;
        int16_t head_version = wire_api_request_header(wire, api->version);
        int64_t until_ns = sim_now() + c->timeout_ns;
        size_t len;
        uint8_t *frame;
        struct writer w;
        int r = c->fds[node] < 0 ? connect_to(c, node, until_ns) : 0;

        client_counts.calls++;
        if (r)
                return give_up(c, node, r);
        request_header_init(&head);
        head.request_api_key = api->key;
        head.request_api_version = api->version;
        head.correlation_id = ++c->correlation;
        head.client_id = str_of(c->name);
        len = request_header_size(&head, head_version) + api->size(rq, api->version);
        frame = malloc(len + 4);
        assert(frame);
        w = writer_of(frame, len + 4);
        writer_be32(&w, (uint32_t)len);
        request_header_encode(&head, &w, head_version);
        api->encode(rq, &w, api->version);
        assert(writer_pos(&w) == len + 4);
        r = send_all(c, node, frame, len + 4, until_ns);
        free(frame);
        return r ? give_up(c, node, r) : 0;
}

int client_receive(struct client *c, int node, const struct client_api *api, void *ret, struct arena *mem)
{
        const struct wire_api *wire = wire_api_find(api->key);
        int64_t until_ns = sim_now() + c->timeout_ns;
        struct response_header head;
        struct cursor at;
        uint8_t prefix[4], *frame;
        uint32_t len;
        int r = c->fds[node] < 0 ? -ENOTCONN : receive_all(c, node, prefix, 4, until_ns);

        if (r)
                return give_up(c, node, r);
        len = load_be32(prefix);
        if (len > FRAME_LEN_MAX)
                world_fail("%s: an answer of %u bytes", c->name, len);
        frame = arena_alloc(mem, len);
        assert(frame);
        r = receive_all(c, node, frame, len, until_ns);
        if (r)
                return give_up(c, node, r);
        at = cursor_of(span_of(frame, len));
        if (response_header_decode(&head, &at, wire_api_response_header(wire, api->version), mem) ||
            api->decode(ret, &at, api->version, mem) || !cursor_ok(&at) || cursor_left(&at))
                world_fail("%s: the answer to %s cannot be read", c->name, wire->name);
        return 0;
}

int client_call(struct client *c, int node, const struct client_api *api, const void *rq, void *ret, struct arena *mem)
{
        int r = client_send(c, node, api, rq);

        return r ? r : client_receive(c, node, api, ret, mem);
}

/* ---- what went wrong ---- */

void client_error(struct client *c, const char *what, int code)
{
        if (code >= 0 && code < (int)ARRAY_LEN(client_counts.errors))
                client_counts.errors[code]++;
        world_say("%s: %s: error %d", c->name, what, code);
}

bool client_is_passing(int code)
{
        switch (code) {
        case KERR_NOT_LEADER_OR_FOLLOWER:
        case KERR_LEADER_NOT_AVAILABLE:
        case KERR_UNKNOWN_TOPIC_OR_PARTITION:
        case KERR_UNKNOWN_TOPIC_ID:
        case KERR_REQUEST_TIMED_OUT:
        case KERR_NOT_ENOUGH_REPLICAS:
        case KERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
        case KERR_KAFKA_STORAGE_ERROR:
        case KERR_NOT_CONTROLLER:
        case KERR_NOT_COORDINATOR:
        case KERR_COORDINATOR_NOT_AVAILABLE:
        case KERR_COORDINATOR_LOAD_IN_PROGRESS:
        case KERR_FENCED_LEADER_EPOCH:
        case KERR_UNKNOWN_LEADER_EPOCH:
        case KERR_OFFSET_NOT_AVAILABLE:
        case KERR_BROKER_NOT_AVAILABLE:
        case KERR_NETWORK_EXCEPTION:
        case KERR_REPLICA_NOT_AVAILABLE:
                return true;
        default:
                return false;
        }
}

void client_pause(struct client *c)
{
        fiber_sleep(50 * MS + chance_below(&c->chance, 300 * MS));
}

int client_any_node(struct client *c)
{
        int node;

        do
                node = (int)chance_below(&c->chance, nodes_count);
        while (!nodes[node].is_ingest);
        return node;
}

/* ---- leaders ---- */

void client_forget_leader(struct client *c, const struct history_part *p)
{
        c->leaders[p->number] = -1;
}

static void learn(struct client *c, const struct history_topic *t, const struct metadata_response *rs)
{
        for (int32_t i = 0; i < rs->topics_count; i++) {
                const struct metadata_response_topic *topic = &rs->topics[i];

                if (!str_equal_c(topic->name, t->name))
                        continue;
                for (int32_t k = 0; k < topic->partitions_count; k++) {
                        const struct metadata_response_partition *p = &topic->partitions[k];
                        int node = p->leader_id - 1;
                        unsigned number;

                        if (p->partition_index >= t->parts_count || node < 0 || node >= (int)nodes_count)
                                continue;
                        number = t->parts[p->partition_index].number;
                        c->leaders[number] = node;
                        c->replicas[number] = 0;
                        for (int32_t n = 0; n < p->replica_nodes_count; n++)
                                c->replicas[number] |= 1u << (p->replica_nodes[n] - 1);
                }
        }
}

bool client_is_replica(const struct client *c, const struct history_part *p, int node)
{
        return c->replicas[p->number] & 1u << node;
}

int client_leader(struct client *c, struct history_part *p)
{
        struct metadata_request rq;
        struct metadata_request_topic topic;
        struct metadata_response rs;
        CLEANUP(arena_finip) struct arena mem;
        const char *host;

        arena_init(&mem, 0);
        assert(p->number < CLIENT_PARTS_MAX);
        if (c->leaders[p->number] >= 0)
                return c->leaders[p->number];
        metadata_request_init(&rq);
        metadata_request_topic_init(&topic);
        topic.name = str_of(p->topic->name);
        rq.topics = &topic;
        rq.topics_count = 1;
        rq.allow_auto_topic_creation = false;
        if (client_call(c, client_any_node(c), CLIENT_API(metadata, METADATA_REQUEST_KEY, 12), &rq, &rs, &mem))
                return -1;
        for (int32_t i = 0; i < rs.brokers_count; i++) {
                host = arena_strdup0(&mem, rs.brokers[i].host);
                if (network_machine(host) != nodes[rs.brokers[i].node_id - 1].machine)
                        world_fail("%s: node %d is said to be at %s", c->name, rs.brokers[i].node_id, host);
        }
        learn(c, p->topic, &rs);
        return c->leaders[p->number];
}

/* ---- coordinators ---- */

int client_coordinator(struct client *c, const char *group)
{
        struct find_coordinator_request rq;
        struct find_coordinator_response rs;
        CLEANUP(arena_finip) struct arena mem;

        arena_init(&mem, 0);
        find_coordinator_request_init(&rq);
        rq.key = str_of(group);
        if (client_call(c, client_any_node(c), CLIENT_API(find_coordinator, FIND_COORDINATOR_REQUEST_KEY, 0), &rq, &rs,
                        &mem))
                return -1;
        if (rs.error_code) {
                client_error(c, "FindCoordinator", rs.error_code);
                if (!client_is_passing(rs.error_code))
                        world_fail("%s: FindCoordinator is refused with error %d", c->name, rs.error_code);
                return -1;
        }
        return rs.node_id - 1;
}
