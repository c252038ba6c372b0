/* What one node's bytes may do to another before it is known to be a node: the headers of requests and answers, hello
 * both ways, the verdict on it, and the id in a certificate's URI. The first byte says which; of a hello that can be
 * read, its verdict must be the same for what was written again. */
#include <stdio.h>
#include <stdlib.h>

#include "peer/peer_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct peer_side us = { .id = { .node = 1, .directory = { { 1 } }, .cluster_id = "one" },
                                     .wall_ms = 1700000000000 };

static void must(bool ok)
{
        if (!ok)
                abort();
}

static void check_text(const char *text)
{
        must(strlen(text) < PEER_TEXT_SIZE);
        for (; *text; text++)
                must(*text >= ' ' && *text <= '~');
}

static void judge(const struct peer_side *them)
{
        char why[PEER_TEXT_SIZE] = "";
        bool ok = peer_hello_judge(&us, them, PEER_PROVEN_PLAINTEXT, -1, 120000, why);

        must(ok == !*why);
        check_text(why);
        must(!peer_hello_judge(&us, them, PEER_PROVEN_NONE, -1, 120000, why));
        if (ok)
                must(!peer_hello_judge(&us, them, them->id.node + 1, -1, 120000, why));
}

static bool same(const struct peer_side *a, const struct peer_side *b)
{
        return a->id.node == b->id.node && uuid_equal(a->id.directory, b->id.directory) &&
               uuid_equal(a->id.incarnation, b->id.incarnation) && !strcmp(a->id.cluster_id, b->id.cluster_id) &&
               !strcmp(a->id.program, b->id.program) && a->wall_ms == b->wall_ms;
}

static struct span body_of(const struct peer_out *o)
{
        return span_of(o->w.start + PEER_REQUEST_HEAD_LEN, writer_pos(&o->w) - PEER_REQUEST_HEAD_LEN);
}

static void hello(struct span in)
{
        struct peer_side them, again;
        int32_t to, to_again;
        struct arena arena;
        struct peer_out o;
        int lane, lane_again;

        arena_init(&arena, 64 * 1024);
        if (!peer_hello_read(in, &arena, &them, &to, &lane)) {
                judge(&them);
                if (!peer_hello_write(&o, &them, to, lane)) {
                        must(!peer_hello_read(body_of(&o), &arena, &again, &to_again, &lane_again));
                        must(same(&them, &again) && to == to_again && lane == lane_again);
                        must(them.protocol_min == again.protocol_min && them.protocol_max == again.protocol_max);
                        peer_out_fini(&o);
                }
        }
        arena_fini(&arena);
}

static void hello_answer(struct span in)
{
        char refusal[PEER_TEXT_SIZE], refusal_again[PEER_TEXT_SIZE];
        struct peer_side them, again;
        struct arena arena;
        struct peer_out o;

        arena_init(&arena, 64 * 1024);
        if (!peer_hello_read_answer(in, &arena, &them, refusal)) {
                check_text(refusal);
                judge(&them);
                if (!peer_hello_write_answer(&o, &them, refusal)) {
                        must(!peer_hello_read_answer(body_of(&o), &arena, &again, refusal_again));
                        must(same(&them, &again) && !strcmp(refusal, refusal_again));
                        peer_out_fini(&o);
                }
        }
        arena_fini(&arena);
}

static void headers(struct span in)
{
        int16_t key, version, status;
        struct span rest;
        int32_t id;

        if (!peer_request_head(in, &key, &version, &id, &rest))
                must(rest.data + rest.len == in.data + in.len && rest.len + PEER_REQUEST_HEAD_LEN == in.len);
        if (!peer_answer_head(in, &id, &status, &rest))
                must(rest.data + rest.len == in.data + in.len && rest.len + PEER_ANSWER_HEAD_LEN == in.len);
}

static void uri(struct span in)
{
        char text[300], again[32];
        size_t len = MIN2(in.len, sizeof text - 1);
        int32_t id;

        memcpy(text, in.data, len);
        text[len] = '\0';
        id = peer_node_of_uri(text);
        must(id >= -1);
        if (id < 0)
                return;
        snprintf(again, sizeof again, "chronik://node/%d", id);
        must(!strcmp(text, again)); /* one id has one spelling */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static void (*const parts[])(struct span) = { headers, hello, hello_answer, uri };

        if (size)
                parts[data[0] % ARRAY_LEN(parts)](span_of(data + 1, size - 1));
        return 0;
}
