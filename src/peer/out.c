/* Messages that leave: one block of memory holds the pieces, where they belong, room for the header, and the
 * message. */
#include <errno.h>

#include "peer/peer_internal.h"

/* Behind the pieces of @buf, which malloc() aligned. */
static struct writer_ext *exts_of(void *buf, unsigned exts_max)
{
        struct net_piece *pieces = buf;
        void *behind = pieces + exts_max;

        return behind;
}

int peer_out_begin(struct peer_out *o, size_t size, unsigned exts_max)
{
        size_t exts_len = exts_max * (sizeof(struct net_piece) + sizeof(struct writer_ext));

        assert(exts_max <= PEER_EXTS_MAX);
        *o = (struct peer_out){ .buf = malloc(exts_len + PEER_REQUEST_HEAD_LEN + size) };
        if (!o->buf)
                return -ENOMEM;
        o->w = writer_of(o->buf + exts_len, PEER_REQUEST_HEAD_LEN + size);
        if (exts_max)
                o->w.exts = exts_of(o->buf, exts_max);
        o->w.exts_max = exts_max;
        writer_take(&o->w, PEER_REQUEST_HEAD_LEN);
        return 0;
}

void peer_out_seal(struct peer_out *o)
{
        void *start = o->buf; /* malloc's, so it is aligned for them */
        struct net_piece *copies = start;

        for (size_t i = 0; i < o->w.exts_count; i++) {
                copies[i] = *(const struct net_piece *)o->w.exts[i].ref;
                assert(copies[i].len == o->w.exts[i].len);
                o->w.exts[i].ref = &copies[i];
        }
}

void peer_out_fini(struct peer_out *o)
{
        if (!o->buf)
                return;
        for (size_t i = 0; i < o->w.exts_count; i++) {
                const struct net_piece *p = o->w.exts[i].ref;

                if (p->release)
                        p->release(p->release_arg);
        }
        free(TAKE_PTR(o->buf));
}

uint8_t *peer_out_head(const struct peer_out *o, size_t head_len)
{
        return o->w.start + PEER_REQUEST_HEAD_LEN - head_len;
}

size_t peer_out_len(const struct peer_out *o)
{
        size_t len = writer_pos(&o->w);

        for (size_t i = 0; i < o->w.exts_count; i++)
                if (((const struct net_piece *)o->w.exts[i].ref)->data)
                        len += o->w.exts[i].len;
        return len;
}

int peer_out_cut(const struct peer_out *o, size_t head_len, struct net_piece few[PEER_FEW_PIECES],
                 struct net_piece **ret_pieces, unsigned *ret_count)
{
        size_t from = PEER_REQUEST_HEAD_LEN - head_len, len = writer_pos(&o->w), max = 2 * o->w.exts_count + 1;
        struct net_piece *pieces = max <= PEER_FEW_PIECES ? few : malloc(max * sizeof *pieces);
        unsigned n = 0;

        if (!pieces)
                return -ENOMEM;
        for (size_t i = 0; i < o->w.exts_count; i++) {
                const struct writer_ext *x = &o->w.exts[i];

                if (x->pos > from)
                        pieces[n++] = (struct net_piece){ .data = o->w.start + from, .len = x->pos - from };
                pieces[n++] = *(const struct net_piece *)x->ref;
                from = x->pos;
        }
        pieces[n++] = (struct net_piece){
                .data = o->w.start + from, .len = len - from, .release = free, .release_arg = o->buf
        };
        *ret_pieces = pieces;
        *ret_count = n;
        return 0;
}
