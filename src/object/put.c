/* Putting an object: at once, or in parts.
 *
 *     at once:   load -> STEP_PUT
 *     in parts:  STEP_BEGIN -> (load -> STEP_PART), several at a time -> STEP_FINISH        failed: STEP_ABORT
 *
 * load is a job of the I/O pool: it reads the file, and makes the digests that are signed or compared. What is sent lies in memory
 * as a whole, so that it can be sent again. Bytes of files are charged to the store's budget; who finds it used up waits in line.
 *
 * A put that is told that the object exists, or that its upload does not, may be told so because it has succeeded before and the answer
 * was lost. It looks at the object: each put leaves an id of its own in its metadata. */
#include <stdio.h>

#include "object/internal.h"
#include "sys/clock.h"
#include "sys/file.h"

enum { PART_LEN_LIMIT = 1 << 30, MIB = 1 << 20, ABORT_AGAIN_MS = 1000 };

static void feed(struct object_work *w);
static void on_finished(struct object_try *t);

/* ---- pieces ---- */

static void piece_release(struct object_piece *p)
{
        if (p->buf) {
                free(p->buf);
                p->buf = NULL;
                budget_give(&p->w->s->memory, p->buf_len);
        }
        p->busy = false;
        object_try_fini(&p->try);
}

void object_put_fini(struct object_work *w)
{
        for (unsigned i = 0; i < w->pieces_count; i++)
                piece_release(&w->pieces[i]);
        free(w->pieces);
        free(w->parts);
        free(w->upload);
        free(w->key);
        w->pieces_count = 0;
}

void object_put_feed_hungry(struct object_store *s)
{
        struct object_work *w = ilist_first(&s->hungry, struct object_work, hungry);

        if (!w)
                return;
        ilist_unlink(&w->hungry);
        feed(w);
}

/* ---- the end ---- */

static void on_aborted(struct object_try *t)
{
        struct object_work *w = t->w;

        if (!w->parts_cut) {
                object_work_end(w, 0, NULL);
                return;
        }
        /* A part that was cut off on its way may still have arrived after this: once more, a little later. */
        w->parts_cut = false;
        object_try_start(t, w, on_aborted);
        t->attempts_max = 2;
        loop_timer_start(&t->timer, ABORT_AGAIN_MS);
}

/* The parts that were sent cost money until somebody removes them; nobody waits for that. */
static void abort_upload(struct object_work *w)
{
        w->aborting = true;
        w->main.call = (struct object_call){ .step = STEP_ABORT, .key = str_of(w->key), .upload = w->upload };
        object_work_answer(w, w->ending, w->ending_text);
        object_try_start(&w->main, w, on_aborted);
        w->main.attempts_max = 2;
}

void object_put_stop(struct object_work *w)
{
        for (unsigned i = 0; i < w->pieces_count; i++) {
                w->parts_cut |= w->pieces[i].try.active;
                object_try_stop(&w->pieces[i].try);
        }
        ilist_unlink(&w->hungry);
        if (w->running) /* jobs */
                return;
        if (w->upload && !w->aborting && (w->key = strndup(w->op->key.p, w->op->key.len)))
                abort_upload(w);
        else
                object_work_end(w, w->ending, w->ending_text);
}

static void succeed(struct object_work *w, const char *etag)
{
        w->op->info.size = w->put_len;
        snprintf(w->op->info.etag, sizeof w->op->info.etag, "%s", etag);
        object_work_end(w, 0, NULL);
}

/* Is the object that is there ours? */
static void on_looked(struct object_try *t)
{
        struct object_work *w = t->w;

        if (!t->verdict.result && !strcmp(t->answer.put_id, w->put_id)) {
                succeed(w, t->answer.etag);
                return;
        }
        if (w->ending) { /* the upload is gone, and not because it succeeded */
                free(w->upload);
                w->upload = NULL;
        } else if (!t->verdict.result || t->verdict.result == OBJECT_E_MISSING) {
                w->ending = OBJECT_E_EXISTS; /* missing by now: somebody deleted what was there */
        } else {
                w->ending = t->verdict.result;
                snprintf(w->ending_text, sizeof w->ending_text, "%s", t->verdict.text);
        }
        object_put_stop(w);
}

static void look(struct object_work *w)
{
        w->main.call = (struct object_call){ .step = STEP_HEAD, .key = w->op->key };
        object_try_start(&w->main, w, on_looked);
}

/* ---- in parts ---- */

static void finish(struct object_work *w)
{
        w->main.call = (struct object_call){
                .step = STEP_FINISH,
                .key = w->op->key,
                .if_absent = w->op->if_absent,
                .put_id = w->put_id,
                .upload = w->upload,
                .parts = w->parts,
                .parts_count = w->parts_count,
        };
        object_try_start(&w->main, w, on_finished);
}

static void on_finished(struct object_try *t)
{
        struct object_work *w = t->w;
        char etag[OBJECT_ETAG_SIZE];

        if (!t->verdict.result && *t->answer.etag) {
                succeed(w, t->answer.etag);
        } else if (!t->verdict.result) {
                /* S3 says 200 before it knows; only a document tells. */
                if (!object_answer_element(span_of(t->body.data, t->body.len), "ETag", etag, sizeof etag)) {
                        succeed(w, etag);
                        return;
                }
                w->ending = OBJECT_DAMAGED;
                snprintf(w->ending_text, sizeof w->ending_text,
                         "the store put the parts together, and did not say whether it succeeded");
                look(w);
        } else if (t->verdict.result == OBJECT_E_EXISTS) {
                look(w);
        } else if (t->verdict.gone) {
                /* An attempt that was not heard of may have done it; libcurl, too, sends again when a kept connection breaks. */
                w->ending = t->verdict.result;
                snprintf(w->ending_text, sizeof w->ending_text, "%s", t->verdict.text);
                look(w);
        } else {
                object_work_stop(w, t->verdict.result, t->verdict.text);
        }
}

static void on_begun(struct object_try *t)
{
        struct object_work *w = t->w;
        char upload[1024];
        int r = t->verdict.result;

        if (r) {
                object_work_stop(w, r, t->verdict.text);
                return;
        }
        r = object_answer_element(span_of(t->body.data, t->body.len), "UploadId", upload, sizeof upload);
        if (!r && !*upload)
                r = -EBADMSG;
        if (!r && !(w->upload = strdup(upload)))
                r = -ENOMEM;
        if (r)
                object_work_stop(w, r,
                                 r == -ENOMEM ? "memory is out"
                                              : "the store began to take parts, and gave them no upload id");
        else
                feed(w);
}

/* ---- one piece ---- */

static void on_piece_sent(struct object_try *t)
{
        struct object_piece *p = container_of(t, struct object_piece, try);
        struct object_work *w = p->w;
        struct object_store *s = w->s;
        struct object_verdict v = t->verdict;

        if (!v.result && p->part) {
                memcpy(w->parts[p->part - 1].etag, t->answer.etag, sizeof t->answer.etag);
                w->parts_done++;
        }
        if (v.result == OBJECT_E_EXISTS) {
                look(w);
        } else if (v.result) {
                object_work_stop(w, v.result, v.text);
                return;
        } else if (!p->part) {
                succeed(w, t->answer.etag);
        } else {
                piece_release(p);
                if (w->parts_done == w->parts_count)
                        finish(w);
                else
                        feed(w);
        }
        object_put_feed_hungry(s);
}

static void send_piece(struct object_piece *p)
{
        struct object_work *w = p->w;

        p->try.call = (struct object_call){
                .step = p->part ? STEP_PART : STEP_PUT,
                .key = w->op->key,
                .if_absent = w->op->if_absent,
                .put_id = w->put_id,
                .body = p->body,
                .sha256 = p->sha256,
                .md5 = w->s->place.provider->needs_md5 ? p->md5 : NULL,
                .upload = w->upload,
                .part = p->part,
        };
        object_try_start(&p->try, w, on_piece_sent);
}

static void piece_load(struct io_job *job)
{
        struct object_piece *p = container_of(job, struct object_piece, job);
        const struct object_op *op = p->w->op;
        ssize_t n;

        p->result = 0;
        if (op->file_len) {
                n = file_pread(op->file_fd, p->buf, p->len, op->file_pos + p->pos);
                if (n >= 0 && (size_t)n < p->len)
                        n = -ENODATA;
                if (n < 0) {
                        p->result = (int)n;
                        return;
                }
        }
        p->result = object_sha256(p->body, p->sha256);
        if (!p->result && p->w->s->place.provider->needs_md5)
                p->result = object_md5(p->body, p->md5);
}

static void on_piece_loaded(struct io_job *job)
{
        struct object_piece *p = container_of(job, struct object_piece, job);
        struct object_work *w = p->w;
        char text[OBJECT_TEXT_SIZE];

        w->running--;
        if (w->ending) {
                object_put_stop(w);
        } else if (p->result) {
                snprintf(text, sizeof text, "the content to be written: %s",
                         p->result == -ENODATA ? "the file is shorter than was said" : strerror(-p->result));
                object_work_stop(w, p->result, text);
        } else {
                send_piece(p);
        }
}

/* Return: 0; -EAGAIN: no memory in the budget now; -ENOMEM. */
static int piece_start(struct object_work *w, struct object_piece *p)
{
        const struct object_op *op = w->op;
        size_t len = (size_t)MIN2(w->part_len, w->put_len - w->put_at);

        if (op->file_len && !budget_try_take(&w->s->memory, len))
                return -EAGAIN;
        if (op->file_len) {
                p->buf = malloc(len);
                if (!p->buf) {
                        budget_give(&w->s->memory, len);
                        return -ENOMEM;
                }
                p->buf_len = len;
        }
        p->w = w;
        p->busy = true;
        p->part = w->parts ? (unsigned)(w->put_at / w->part_len) + 1 : 0;
        p->pos = w->put_at;
        p->len = len;
        p->body = op->file_len ? span_of(p->buf, len) : span_of(op->body.data + w->put_at, len);
        w->put_at += (int64_t)len;
        w->running++;
        p->job = (struct io_job){ .run = piece_load, .done = on_piece_loaded, .reply_loop = w->s->loop };
        iopool_submit(w->s->pool, &p->job);
        return 0;
}

/* Start as many pieces as there are places, content and memory for. */
static void feed(struct object_work *w)
{
        for (unsigned i = 0; i < w->pieces_count && !w->ending; i++) {
                int r;

                if (w->pieces[i].busy)
                        continue;
                if (w->put_at == w->put_len && (w->parts || w->put_len))
                        return;
                r = piece_start(w, &w->pieces[i]);
                if (r == -EAGAIN) {
                        /* Behind those that wait already. What this one has in work will feed it again, too. */
                        ilist_unlink(&w->hungry);
                        ilist_push_back(&w->s->hungry, &w->hungry);
                        return;
                }
                if (r) {
                        object_work_stop(w, r, "memory is out");
                        return;
                }
        }
}

/* ---- the beginning ---- */

/* Return: 0; OBJECT_TOO_LARGE with @text; -ENOMEM. */
static int divide(struct object_work *w, char *text)
{
        const struct object_provider *p = w->s->place.provider;
        const struct object_op *op = w->op;
        bool at_once;

        w->put_len = op->file_len ? op->file_len : (int64_t)op->body.len;
        w->part_len = (int64_t)w->s->c.part_len;
        at_once = w->put_len <= w->part_len || (op->if_absent && !p->conditional_parts);
        if (at_once && op->file_len > (int64_t)w->s->c.memory_max) {
                snprintf(text, OBJECT_TEXT_SIZE,
                         "%s writes conditionally only at once, from memory; the object is larger than memory_max",
                         p->name);
                return OBJECT_TOO_LARGE;
        }
        if (at_once) {
                w->part_len = MAX2(w->put_len, (int64_t)1);
        } else {
                /* The store counts the parts; longer ones are fewer. */
                while ((w->put_len + w->part_len - 1) / w->part_len > p->parts_max && w->part_len < PART_LEN_LIMIT)
                        w->part_len += MIB;
                w->parts_count = (unsigned)((w->put_len + w->part_len - 1) / w->part_len);
                if (w->parts_count > p->parts_max) {
                        snprintf(text, OBJECT_TEXT_SIZE, "an object has at most %u parts of 1 GiB", p->parts_max);
                        return OBJECT_TOO_LARGE;
                }
                w->parts = calloc(w->parts_count, sizeof *w->parts);
                if (!w->parts)
                        return -ENOMEM;
        }
        w->pieces_count = at_once ? 1 : MIN2(w->s->c.parts_max, w->parts_count);
        w->pieces = calloc(w->pieces_count, sizeof *w->pieces);
        if (!w->pieces) {
                w->pieces_count = 0;
                return -ENOMEM;
        }
        for (unsigned i = 0; i < w->pieces_count; i++)
                w->pieces[i].w = w;
        return 0;
}

void object_put_start(struct object_work *w)
{
        char text[OBJECT_TEXT_SIZE] = "memory is out";
        int r = divide(w, text);

        uuid_format(random_uuid(), w->put_id);
        if (r) {
                object_work_end(w, r, text);
                return;
        }
        if (!w->parts || !w->s->place.provider->begins) {
                feed(w);
                return;
        }
        w->main.call = (struct object_call){ .step = STEP_BEGIN, .key = w->op->key, .put_id = w->put_id };
        object_try_start(&w->main, w, on_begun);
}
