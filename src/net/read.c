/* From bytes to frames. One read fills the reactor's scratch buffer; small frames are cut out of it, a large one is read
 * straight into its own memory. A frame's whole size is reserved before its body is taken, so
 * half-read frames cannot starve each other. What a connection may not use yet stays in `left`, and reading stops. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "conf/limits.h"
#include "net/net_internal.h"
#include "sys/clock.h"

enum {
        LARGE_LEN_MIN = 32 * 1024, /* of a frame that is better not copied */
        /* A frame that keeps coming is not stalled: so much (or what is left of it) in the time that it has. */
        PROGRESS_LEN_MIN = 64 * 1024,
        PROGRESS_PARTS = 16, /* but while others wait for its memory, it has to be here in so many times */
        /* Of a frame that waits for memory so much must have come: the memory is not for mere announcements. */
        ARRIVED_LEN_MIN = 16 * 1024,
};

static bool frame_is_complete(const struct net_conn *c)
{
        return c->frame && c->frame_got == c->frame->size;
}

bool net_read_is_wanted(const struct net_conn *c)
{
        return c->state == CONN_OPEN && !c->muted && !c->waits_memory && !c->left && !frame_is_complete(c) &&
               !net_send_is_full(c);
}

bool net_read_is_partial(const struct net_conn *c)
{
        return c->waits_memory || (net_read_is_wanted(c) && (c->head_len || c->frame));
}

/* How much has come of a frame that waits for memory. */
static size_t arrived_len(const struct net_conn *c)
{
        int waiting = sock_readable_len(c->fd);

        return (c->left ? c->left->size - c->left_at : 0) + (size_t)MAX2(waiting, 0);
}

bool net_read_is_stalled(struct net_conn *c, int64_t now_ms)
{
        const struct net_config *cfg = &c->reactor->server->cfg;
        size_t len = c->waits_memory ? c->wait.frame_len : c->frame ? c->frame->size : 0;
        bool hurry = c->waits_memory || (c->frame && net_memory_is_awaited(c->memory, len));
        size_t need = PROGRESS_LEN_MIN;

        if (now_ms - c->partial_ms < (hurry ? cfg->hurry_ms_max : cfg->stall_ms_max))
                return false;
        if (c->waits_memory)
                return arrived_len(c) < MIN2(len, (size_t)ARRIVED_LEN_MIN);
        if (hurry)
                need = MAX2(need, len / PROGRESS_PARTS);
        if (c->frame_got - c->partial_got < need)
                return true;
        c->partial_ms = now_ms;
        c->partial_got = c->frame_got;
        return false;
}

static void frame_begin(struct net_conn *c, size_t len)
{
        struct net_memory *m = c->memory;

        c->frame = iobuf_new(len);
        if (!c->frame) {
                net_memory_give(m, len);
                net_conn_close(c, "no memory for a request", &c->reactor->counters.closed_error);
                return;
        }
        c->frames_are_large = len >= LARGE_LEN_MIN;
        c->frame->release_fn = net_memory_give;
        c->frame->release_arg = m;
        c->frame_got = 0;
}

static void on_granted(struct loop *l, struct mail *m)
{
        struct net_conn *c = container_of(m, struct net_conn, wait.granted);

        (void)l;
        c->waits_memory = false;
        ilist_unlink(&c->partial_link); /* from now on it is the peer's time */
        if (c->state == CONN_OPEN)
                frame_begin(c, c->wait.frame_len);
        else
                net_memory_give(c->memory, c->wait.frame_len);
        if (c->state != CONN_GONE)
                net_reactor_kick(c->reactor, c);
        net_conn_release(c);
}

static void head_check(struct net_conn *c)
{
        int32_t len = (int32_t)load_be32(c->head);

        if (len > 0 && (size_t)len <= c->frame_len_max)
                return;
        counter_add(&c->reactor->counters.closed_bad_frame, 1);
        if (len <= 0)
                net_conn_drain(c, "frame length below 1");
        else
                net_conn_drain(c, c->dial ? "an answer longer than allowed"
                                          : "frame longer than server.max_request_bytes");
}

/* The length is known and the first byte of the body is here: reserve its memory or stand in the queue for it. */
static void frame_reserve(struct net_conn *c)
{
        int32_t len = (int32_t)load_be32(c->head);

        if (net_memory_take(c->memory, (size_t)len)) {
                frame_begin(c, (size_t)len);
                return;
        }
        counter_add(&c->reactor->counters.waits_memory, 1);
        c->waits_memory = true;
        c->wait.frame_len = (size_t)len;
        c->wait.loop = c->reactor->loop;
        c->wait.granted.fn = on_granted;
        ilist_init(&c->wait.link);
        net_conn_hold(c);
        net_memory_wait(c->memory, &c->wait);
}

static void frame_filled(struct net_conn *c)
{
        const struct net_config *cfg = &c->reactor->server->cfg;

        c->frame_ns = clock_mono_ns();
        c->partial_ms = loop_now_ms(c->reactor->loop); /* the next one's time begins */
        c->partial_got = 0;
        c->frame_overlap = !c->dial && cfg->ops.can_overlap &&
                           cfg->ops.can_overlap(cfg->owner, span_of(c->frame->data, c->frame->size));
}

/* Use what can be used of @len bytes. Return: how many were. */
static size_t consume(struct net_conn *c, const uint8_t *data, size_t len)
{
        size_t at = 0;

        while (c->state == CONN_OPEN) {
                size_t part;

                if (frame_is_complete(c)) {
                        if (c->turn_frames >= LIMIT_TURN_FRAMES || !net_request_may_start(c))
                                break;
                        c->turn_frames++;
                        net_request_start(c);
                        continue;
                }
                if (c->waits_memory || at == len)
                        break;
                if (c->head_len < 4) {
                        part = MIN2(len - at, (size_t)4 - c->head_len);
                        memcpy(c->head + c->head_len, data + at, part);
                        c->head_len = (uint8_t)(c->head_len + part);
                        at += part;
                        if (c->head_len == 4)
                                head_check(c);
                        continue;
                }
                if (!c->frame) {
                        frame_reserve(c);
                        continue;
                }
                part = MIN2(len - at, c->frame->size - c->frame_got);
                memcpy(c->frame->data + c->frame_got, data + at, part);
                c->frame_got += part;
                at += part;
                if (frame_is_complete(c))
                        frame_filled(c);
        }
        return at;
}

/* Keep what could not be used. */
static void left_keep(struct net_conn *c, const uint8_t *data, size_t len)
{
        if (!len || c->state != CONN_OPEN)
                return;
        c->left = iobuf_new(len);
        if (!c->left) {
                net_conn_close(c, "no memory for a request", &c->reactor->counters.closed_error);
                return;
        }
        c->left->release_fn = net_memory_give_left;
        c->left->release_arg = c->memory;
        net_memory_take_left(c->memory, len);
        memcpy(c->left->data, data, len);
        c->left_at = 0;
}

void net_read_resume(struct net_conn *c)
{
        struct iobuf *left = TAKE_PTR(c->left);
        size_t from = c->left_at;

        if (!left) {
                consume(c, NULL, 0);
                return;
        }
        from += consume(c, left->data + from, left->size - from);
        if (from < left->size && c->state == CONN_OPEN) {
                c->left = left;
                c->left_at = from;
                return;
        }
        iobuf_unref(left);
}

static void on_bytes(struct net_conn *c, size_t len)
{
        c->active_ms = loop_now_ms(c->reactor->loop);
        c->bytes_in += len;
        counter_add(&c->reactor->counters.bytes_in, len);
}

/* Where the next bytes go: the rest of the frame that is under way, straight into its memory, and behind it the scratch
 * buffer. */
struct read_target {
        struct iovec iov[2];
        int iov_count;
        size_t frame_len; /* of it for the frame */
};

static void target_add(struct read_target *t, void *data, size_t len)
{
        t->iov[t->iov_count++] = (struct iovec){ data, len };
}

/* Into the scratch buffer go many bytes at once, which saves system calls and costs a copy; where frames are large the copy
 * costs more, and no more is taken than tells the next one's length. So it is, too, when there is no room to keep any. */
static void read_target(struct net_conn *c, struct read_target *ret)
{
        bool bulk = net_memory_has_room_for_left(c->memory);
        size_t scratch_len = bulk && !c->frames_are_large ? (size_t)SCRATCH_LEN : (size_t)4 - c->head_len + 1;

        *ret = (struct read_target){ 0 };
        if (c->frame) {
                ret->frame_len = MIN2(c->frame->size - c->frame_got, (size_t)LIMIT_TURN_BYTES);
                target_add(ret, c->frame->data + c->frame_got, ret->frame_len);
                if (!bulk || ret->frame_len == LIMIT_TURN_BYTES)
                        return;
                scratch_len = c->frames_are_large ? (size_t)4 + 1 : (size_t)SCRATCH_LEN;
        }
        target_add(ret, c->reactor->scratch, scratch_len);
}

void net_read_socket(struct net_conn *c)
{
        struct read_target to;
        size_t used, len;
        ssize_t n;

        read_target(c, &to);
        n = c->tls ? net_tls_readv(c, to.iov, to.iov_count) : sock_readv(c->fd, to.iov, to.iov_count);
        if (n == -EAGAIN)
                return;
        if (n < 0) {
                net_conn_close(c, n == -EPROTO && c->tls ? net_tls_why(c) : "read error",
                               sock_is_peer_error((int)n) ? NULL : &c->reactor->counters.closed_error);
                return;
        }
        if (!n && c->reactor->server->cfg.end_closes) {
                net_conn_close(c, "closed by the peer", NULL);
                return;
        }
        if (!n) { /* it may have closed its sending side only, and still wait for answers */
                net_conn_drain(c, "closed by the peer");
                return;
        }
        on_bytes(c, (size_t)n);
        len = (size_t)n - MIN2((size_t)n, to.frame_len);
        c->frame_got += (size_t)n - len;
        if (frame_is_complete(c))
                frame_filled(c);
        used = consume(c, c->reactor->scratch, len);
        left_keep(c, c->reactor->scratch + used, len - used);
}

void net_read_drop(struct net_conn *c)
{
        c->frame = iobuf_unref(c->frame);
        c->left = iobuf_unref(c->left);
        c->head_len = 0;
        if (c->waits_memory && net_memory_cancel(c->memory, &c->wait)) {
                c->waits_memory = false;
                net_conn_release(c);
        }
}
