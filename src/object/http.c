/* Operations at stores that are reached over HTTP: one request each, but for puts (put.c). */
#include <stdio.h>

#include "base/crc32c.h"
#include "object/internal.h"

static void take_info(const struct object_answer *a, int64_t size, struct object_info *info)
{
        info->size = size;
        info->modified_ms = a->modified_ms > 0 ? a->modified_ms : 0;
        snprintf(info->etag, sizeof info->etag, "%s", a->etag);
}

static void on_get(struct object_try *t)
{
        struct object_work *w = t->w;
        struct object_op *op = w->op;
        const struct object_answer *a = &t->answer;

        if (!t->verdict.result) {
                op->got_len = t->got_len;
                op->got_crc = crc32c(0, op->get_buf, op->got_len);
                take_info(a, a->status == 200 ? (int64_t)t->got_len : a->range_total, &op->info);
        }
        object_work_end(w, t->verdict.result, t->verdict.text);
}

static void on_head(struct object_try *t)
{
        if (!t->verdict.result)
                take_info(&t->answer, t->answer.content_len, &t->w->op->info);
        object_work_end(t->w, t->verdict.result, t->verdict.text);
}

static void on_list(struct object_try *t)
{
        struct object_store *s = t->w->s;
        char text[OBJECT_TEXT_SIZE];
        int r = t->verdict.result;

        snprintf(text, sizeof text, "%s", t->verdict.text);
        if (!r) {
                r = s->place.provider->read_list(span_of(t->body.data, t->body.len), t->w->op);
                if (r)
                        snprintf(text, sizeof text, "listing in '%s' at %s: the answer is no list", s->place.bucket,
                                 s->place.origin);
        }
        object_work_end(t->w, r, text);
}

static void on_delete(struct object_try *t)
{
        object_work_end(t->w, t->verdict.result, t->verdict.text);
}

static void http_start(struct object_work *w)
{
        const struct object_op *op = w->op;

        w->main.call = (struct object_call){ .key = op->key };
        switch (op->verb) {
        case OBJECT_PUT:
                object_put_start(w);
                break;
        case OBJECT_GET:
                w->main.call.step = STEP_GET;
                w->main.call.offset = op->offset;
                w->main.call.len = op->get_len;
                object_try_start(&w->main, w, on_get);
                break;
        case OBJECT_HEAD:
                w->main.call.step = STEP_HEAD;
                object_try_start(&w->main, w, on_head);
                break;
        case OBJECT_LIST:
                w->main.call.step = STEP_LIST;
                w->main.call.list_max = op->list_max;
                w->main.call.list_next = op->list_next;
                object_try_start(&w->main, w, on_list);
                break;
        case OBJECT_DELETE:
                w->main.call.step = STEP_DELETE;
                object_try_start(&w->main, w, on_delete);
                break;
        }
}

static void http_stop(struct object_work *w)
{
        object_try_stop(&w->main);
        if (w->op && w->op->verb != OBJECT_PUT)
                object_work_end(w, w->ending, w->ending_text);
        else
                object_put_stop(w);
}

const struct object_backend object_backend_http = { http_start, http_stop };
