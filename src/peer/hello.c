/* Hello: what the first exchange of a connection says, and who may speak. Pure: bytes in, verdict out. */
#include <errno.h>
#include <stdio.h>

#include "net/tls.h"
#include "peer/peer_internal.h"

int peer_request_head(struct span frame, int16_t *ret_key, int16_t *ret_version, int32_t *ret_id, struct span *ret_rest)
{
        struct cursor c = cursor_of(frame);
        int16_t key = cursor_be16s(&c), version = cursor_be16s(&c);
        int32_t id = cursor_be32s(&c);

        if (!cursor_ok(&c))
                return WIRE_E_MALFORMED;
        *ret_key = key;
        *ret_version = version;
        *ret_id = id;
        *ret_rest = span_of(c.at, cursor_left(&c));
        return 0;
}

int peer_answer_head(struct span frame, int32_t *ret_id, int16_t *ret_status, struct span *ret_rest)
{
        struct cursor c = cursor_of(frame);
        int32_t id = cursor_be32s(&c);
        int16_t status = cursor_be16s(&c);

        if (!cursor_ok(&c) || status < 0 || status >= PEER_STATUSES_COUNT || (status && cursor_left(&c)))
                return WIRE_E_MALFORMED;
        *ret_id = id;
        *ret_status = status;
        *ret_rest = span_of(c.at, cursor_left(&c));
        return 0;
}

void peer_text_copy(char *ret, size_t size, struct str s)
{
        size_t n = MIN2(s.len, size - 1);

        for (size_t i = 0; i < n; i++)
                ret[i] = s.p[i] >= ' ' && s.p[i] <= '~' ? s.p[i] : '?';
        ret[n] = '\0';
}

/* A cluster id is compared, so it is taken as it is or not at all. */
static bool take_cluster_id(struct peer_identity *id, struct str s)
{
        if (s.len >= sizeof id->cluster_id || (s.len && memchr(s.p, '\0', s.len)))
                return false;
        if (s.len)
                memcpy(id->cluster_id, s.p, s.len);
        id->cluster_id[s.len] = '\0';
        return true;
}

/* One more level of @id. Those that nothing here could ask for are left out. */
static void take_level(struct peer_identity *id, struct str name, int16_t level_min, int16_t level_max)
{
        struct peer_level *l = &id->levels[id->levels_count];

        if (id->levels_count == PEER_LEVELS_MAX || !name.len || name.len >= sizeof l->name ||
            memchr(name.p, '\0', name.len))
                return;
        *l = (struct peer_level){ .level_min = level_min, .level_max = level_max };
        memcpy(l->name, name.p, name.len);
        id->levels_count++;
}

/* Both messages have the same levels, in structs of their own. */
#define TAKE_LEVELS(id, m) \
        do { \
                for (int32_t i_ = 0; i_ < (m)->levels_count; i_++) \
                        take_level((id), (m)->levels[i_].name, (m)->levels[i_].level_min, (m)->levels[i_].level_max); \
        } while (0)
#define GIVE_LEVELS(m, id, room) \
        do { \
                (m)->levels = (room); \
                (m)->levels_count = (int32_t)(id)->levels_count; \
                for (unsigned i_ = 0; i_ < (id)->levels_count; i_++) { \
                        (room)[i_].name = str_of((id)->levels[i_].name); \
                        (room)[i_].level_min = (id)->levels[i_].level_min; \
                        (room)[i_].level_max = (id)->levels[i_].level_max; \
                } \
        } while (0)

int peer_hello_read(struct span body, struct arena *arena, struct peer_side *ret, int32_t *ret_to_node, int *ret_lane)
{
        struct peer_hello_request m;
        struct peer_side side = { 0 };
        int r = PEER_DECODE(peer_hello_request, &m, body, 0, arena);

        if (r)
                return r;
        if (m.node < 0 || m.lane < 0 || m.lane >= PEER_LANES_COUNT || !take_cluster_id(&side.id, m.cluster_id))
                return WIRE_E_MALFORMED;
        side.id.node = m.node;
        side.id.directory = m.directory;
        side.id.incarnation = m.incarnation;
        peer_text_copy(side.id.program, sizeof side.id.program, m.program);
        TAKE_LEVELS(&side.id, &m);
        side.wall_ms = m.wall_ms;
        side.protocol_min = m.protocol_min;
        side.protocol_max = m.protocol_max;
        *ret = side;
        *ret_to_node = m.to_node;
        *ret_lane = (uint8_t)m.lane;
        return 0;
}

int peer_hello_read_answer(struct span body, struct arena *arena, struct peer_side *ret,
                           char ret_refusal[PEER_TEXT_SIZE])
{
        struct peer_hello_response m;
        struct peer_side side = { 0 };
        int r = PEER_DECODE(peer_hello_response, &m, body, 0, arena);

        if (r)
                return r;
        if (m.node < 0 || !take_cluster_id(&side.id, m.cluster_id))
                return WIRE_E_MALFORMED;
        side.id.node = m.node;
        side.id.directory = m.directory;
        side.id.incarnation = m.incarnation;
        peer_text_copy(side.id.program, sizeof side.id.program, m.program);
        TAKE_LEVELS(&side.id, &m);
        side.wall_ms = m.wall_ms;
        side.protocol_min = side.protocol_max = m.protocol;
        peer_text_copy(ret_refusal, PEER_TEXT_SIZE, m.refusal);
        *ret = side;
        return 0;
}

int peer_hello_write(struct peer_out *o, const struct peer_side *us, int32_t to_node, int lane)
{
        struct peer_hello_request_level levels[PEER_LEVELS_MAX] = { 0 };
        struct peer_hello_request m;

        peer_hello_request_init(&m);
        GIVE_LEVELS(&m, &us->id, levels);
        m.protocol_min = us->protocol_min;
        m.protocol_max = us->protocol_max;
        m.cluster_id = str_of(us->id.cluster_id);
        m.node = us->id.node;
        m.to_node = to_node;
        m.lane = (int8_t)lane;
        m.directory = us->id.directory;
        m.incarnation = us->id.incarnation;
        m.program = str_of(us->id.program);
        m.wall_ms = us->wall_ms;
        return PEER_ENCODE(o, peer_hello_request, &m, 0, 0);
}

int peer_hello_write_answer(struct peer_out *o, const struct peer_side *us, const char *refusal)
{
        struct peer_hello_response_level levels[PEER_LEVELS_MAX] = { 0 };
        struct peer_hello_response m;

        peer_hello_response_init(&m);
        GIVE_LEVELS(&m, &us->id, levels);
        m.refusal = str_of(refusal);
        m.protocol = us->protocol_max;
        m.cluster_id = str_of(us->id.cluster_id);
        m.node = us->id.node;
        m.directory = us->id.directory;
        m.incarnation = us->id.incarnation;
        m.program = str_of(us->id.program);
        m.wall_ms = us->wall_ms;
        return PEER_ENCODE(o, peer_hello_response, &m, 0, 0);
}

static bool PRINTF_LIKE(2, 3) refuse(char ret_why[PEER_TEXT_SIZE], const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(ret_why, PEER_TEXT_SIZE, fmt, ap);
        va_end(ap);
        return false;
}

/* Both sides' words have to be clear where they are read: on the other node. So each names the nodes by their ids. */
bool peer_hello_judge(const struct peer_side *us, const struct peer_side *them, int32_t proven, int32_t expected,
                      int64_t clock_apart_ms_max, char ret_why[PEER_TEXT_SIZE])
{
        int32_t id = them->id.node;
        char theirs[64], ours[64];
        int64_t ahead_ms;

        peer_text_copy(theirs, sizeof theirs, str_of(them->id.cluster_id));
        peer_text_copy(ours, sizeof ours, str_of(us->id.cluster_id));
        if (them->protocol_max < us->protocol_min || them->protocol_min > us->protocol_max)
                return refuse(ret_why,
                              "node %d (%s) speaks the protocols %d to %d and node %d (%s) %d to %d; upgrade the older "
                              "one step by step, so that they have one in common",
                              id, them->id.program, them->protocol_min, them->protocol_max, us->id.node, us->id.program,
                              us->protocol_min, us->protocol_max);
        if (proven == PEER_PROVEN_NONE)
                return refuse(
                        ret_why,
                        "the certificate of node %d names no node; its subjectAltName has to have exactly one URI "
                        "chronik://node/%d",
                        id, id);
        if (proven != PEER_PROVEN_PLAINTEXT && proven != id)
                return refuse(ret_why,
                              "the certificate says node %d, its configuration node %d; give it the certificate of "
                              "node %d, or correct its node id",
                              proven, id, id);
        if (expected >= 0 && id != expected)
                return refuse(ret_why,
                              "node %d was called, and node %d answers at its address; correct the address of node %d",
                              expected, id, expected);
        if (id == us->id.node)
                return refuse(
                        ret_why,
                        "two nodes have the id %d; each needs one of its own (and a node must not be given its own "
                        "address as that of another)",
                        id);
        if (!uuid_is_zero(us->id.directory) && uuid_equal(us->id.directory, them->id.directory))
                return refuse(ret_why,
                              "nodes %d and %d have the same data folder's identity: one is a copy of the other; start "
                              "the copy with an empty folder",
                              us->id.node, id);
        if (*us->id.cluster_id && *them->id.cluster_id && strcmp(us->id.cluster_id, them->id.cluster_id))
                return refuse(
                        ret_why,
                        "node %d belongs to cluster %s and node %d to cluster %s; correct the addresses, or empty "
                        "the data folder of the one that is to join",
                        id, theirs, us->id.node, ours);
        if (__builtin_sub_overflow(them->wall_ms, us->wall_ms, &ahead_ms))
                ahead_ms = them->wall_ms < 0 ? -INT64_MAX : INT64_MAX;
        if (ahead_ms > clock_apart_ms_max || ahead_ms < -clock_apart_ms_max)
                return refuse(
                        ret_why,
                        "the clock of node %d is %lld s %s that of node %d, more than the %lld s that are allowed; "
                        "have NTP set both",
                        id, (long long)(ahead_ms < 0 ? -(ahead_ms / 1000) : ahead_ms / 1000),
                        ahead_ms < 0 ? "behind" : "ahead of", us->id.node, (long long)clock_apart_ms_max / 1000);
        return true;
}

static const char uri_prefix[] = "chronik://node/";

int32_t peer_node_of_uri(const char *uri)
{
        const char *p = uri + sizeof uri_prefix - 1;
        int64_t id = 0;

        if (strncmp(uri, uri_prefix, sizeof uri_prefix - 1) || !*p || (*p == '0' && p[1]))
                return -1; /* one id has one spelling */
        for (; *p; p++) {
                if (*p < '0' || *p > '9')
                        return -1;
                id = id * 10 + (*p - '0');
                if (id > INT32_MAX)
                        return -1;
        }
        return (int32_t)id;
}

int32_t peer_proven(const struct net_conn *c, bool tls)
{
        char uri[TLS_URI_SIZE];
        int32_t id;

        if (!tls)
                return PEER_PROVEN_PLAINTEXT;
        if (net_conn_certificate_uri(c, uri_prefix, uri, sizeof uri))
                return PEER_PROVEN_NONE;
        id = peer_node_of_uri(uri);
        return id < 0 ? PEER_PROVEN_NONE : id;
}

int peer_check_certificate(const struct tls_context *x, int32_t node, char ret_why[PEER_TEXT_SIZE])
{
        char uri[TLS_URI_SIZE];
        int r = tls_context_uri(x, uri_prefix, uri);

        if (!r && peer_node_of_uri(uri) == node)
                return 0;
        if (!r)
                snprintf(ret_why, PEER_TEXT_SIZE,
                         "the certificate is that of %s; node %d needs its own, with the URI %s%d", uri, node,
                         uri_prefix, node);
        else
                snprintf(ret_why, PEER_TEXT_SIZE,
                         "the certificate has %s URI %s... in its subjectAltName; exactly one, %s%d, has to be there",
                         r == -EEXIST ? "more than one" : "no", uri_prefix, uri_prefix, node);
        return -EINVAL;
}
