/* Stores and the life of an operation: handed over, queued, started, ended, answered.
 *
 *     object_submit() --mail--> waiting --room--> working --backend--> object_work_end() --mail--> done()
 *                                  |                 |
 *                                  +--- cancel, deadline, close: object_work_stop()
 *
 * 1. An op's mail is on its way to the store's loop, or back, or nowhere while there is a work for it: never twice.
 * 2. Who ends a work does so after everything of it has stopped: transfers are freed, jobs have come back. */
#include <pthread.h>
#include <stdio.h>

#include "base/utf8.h"
#include "object/internal.h"
#include "sys/clock.h"
#include "sys/file.h"

static void start_next(struct object_store *s);

/* ---- the end ---- */

static void on_reply(struct loop *l, struct mail *m)
{
        struct object_op *op = container_of(m, struct object_op, mail);

        op->done(op);
}

static void answer(struct object_op *op, int result, const char *text)
{
        op->result = result;
        snprintf(op->text, sizeof op->text, "%s", result < 0 && text ? text : "");
        op->mail.fn = on_reply;
        loop_post(op->reply_loop, &op->mail);
}

static void answer_work(struct object_work *w, int result, const char *text)
{
        w->op->requests = w->requests;
        answer(w->op, result, text);
        w->op = NULL;
}

void object_work_answer(struct object_work *w, int result, const char *text)
{
        answer_work(w, result, text);
        loop_timer_start(&w->deadline, w->s->closing ? CLOSING_MS : ABORT_MS);
}

static void publish(struct object_store *s)
{
        atomic_store_explicit(&s->sent_bytes, s->http.sent_bytes, memory_order_relaxed);
        atomic_store_explicit(&s->received_bytes, s->http.received_bytes, memory_order_relaxed);
        atomic_store_explicit(&s->working_now, s->working_count, memory_order_relaxed);
}

static void stop_when_idle(struct object_store *s)
{
        if (!s->closing || !ilist_is_empty(&s->working) || !ilist_is_empty(&s->waiting) || s->keys.fetching)
                return;
        object_http_fini(&s->http);
        loop_stop(s->loop);
}

void object_store_idle(struct object_store *s)
{
        stop_when_idle(s);
}

void object_work_end(struct object_work *w, int result, const char *text)
{
        struct object_store *s = w->s;

        assert(!w->running);
        loop_timer_stop(&w->deadline);
        ilist_unlink(&w->link);
        ilist_unlink(&w->hungry);
        if (w->started)
                s->working_count--;
        else
                atomic_fetch_sub_explicit(&s->waiting_now, 1, memory_order_relaxed);
        publish(s);
        object_try_fini(&w->main);
        object_put_fini(w);
        if (w->op)
                answer_work(w, result, text);
        free(w);
        object_put_feed_hungry(s);
        start_next(s);
        stop_when_idle(s);
}

void object_work_stop(struct object_work *w, int result, const char *text)
{
        assert(result < 0);
        if (!w->ending) {
                w->ending = result;
                snprintf(w->ending_text, sizeof w->ending_text, "%s", text);
        }
        if (w->started)
                w->s->backend->stop(w);
        else
                object_work_end(w, w->ending, w->ending_text);
}

static void on_deadline(struct loop_timer *t)
{
        struct object_work *w = container_of(t, struct object_work, deadline);
        struct object_try *last = &w->main;
        char text[OBJECT_TEXT_SIZE];

        /* Why it took so long is what the last attempt ran into. */
        for (unsigned i = 0; i < w->pieces_count; i++)
                if (w->pieces[i].busy && *w->pieces[i].try.verdict.text)
                        last = &w->pieces[i].try;
        if (*last->verdict.text)
                snprintf(text, sizeof text, "not done in time; the last attempt: %.440s", last->verdict.text);
        else
                snprintf(text, sizeof text, "not done in time%s", w->started ? "" : ": it waited for others to end");
        object_work_stop(w, OBJECT_TIMED_OUT, text);
}

/* ---- the beginning ---- */

static int check_key(struct str key, bool is_prefix)
{
        size_t part = 0;

        if (key.len > OBJECT_KEY_LEN_MAX || !utf8_is_valid(key))
                return OBJECT_BAD_CONFIG;
        for (size_t i = 0; i < key.len; i++)
                if ((unsigned char)key.p[i] < 0x20 || key.p[i] == 0x7f)
                        return OBJECT_BAD_CONFIG;
        if (is_prefix)
                return 0;
        for (size_t i = 0; i <= key.len; i++) {
                struct str name = { key.p + part, i - part };

                if (i < key.len && key.p[i] != '/')
                        continue;
                if (!name.len || str_equal_c(name, ".") || str_equal_c(name, ".."))
                        return OBJECT_BAD_CONFIG;
                part = i + 1;
        }
        return 0;
}

static const char *check_op(const struct object_op *op)
{
        if (check_key(op->key, op->verb == OBJECT_LIST))
                return "the key is not 1 to 1024 bytes of UTF-8 whose parts between '/' are neither empty nor '.' or "
                       "'..'";
        if (op->verb == OBJECT_GET &&
            (!op->get_len || op->offset < 0 || op->get_len > INT64_MAX - (uint64_t)op->offset))
                return "the range to be read is empty or cannot be";
        if (op->verb == OBJECT_LIST && (!op->list_max || op->list_max > OBJECT_LIST_MAX))
                return "a page of a list has 1 to 1000 rows";
        if (op->verb == OBJECT_PUT && (op->file_len < 0 || op->file_pos < 0 || op->file_len > INT64_MAX - op->file_pos))
                return "the range of the file cannot be";
        return NULL;
}

static void on_submit(struct loop *l, struct mail *m)
{
        struct object_op *op = container_of(m, struct object_op, mail);
        struct object_store *s = op->store;
        const char *wrong = check_op(op);
        struct object_work *w = NULL;

        assert(s->magic == STORE_MAGIC);
        if (!wrong && !s->closing)
                w = calloc(1, sizeof *w);
        if (!w) {
                atomic_fetch_sub_explicit(&s->waiting_now, 1, memory_order_relaxed);
                answer(op,
                       wrong        ? OBJECT_BAD_CONFIG
                       : s->closing ? OBJECT_CANCELLED
                                    : -ENOMEM,
                       wrong        ? wrong
                       : s->closing ? "the store is being closed"
                                    : "memory is out");
                return;
        }
        w->s = s;
        w->op = op;
        ilist_init(&w->hungry);
        ilist_init(&w->main.key_wait);
        loop_timer_init(&w->deadline, s->loop, on_deadline);
        loop_timer_start(&w->deadline, op->deadline_ms ? op->deadline_ms : s->c.deadline_ms);
        ilist_push_back(&s->waiting, &w->link);
        start_next(s);
}

static void start_next(struct object_store *s)
{
        while (s->working_count < s->c.requests_max && !s->closing) {
                struct ilist *link = ilist_pop_front(&s->waiting);
                struct object_work *w;

                if (!link)
                        return;
                w = ilist_entry(link, struct object_work, link);
                ilist_push_back(&s->working, &w->link);
                w->started = true;
                s->working_count++;
                atomic_fetch_sub_explicit(&s->waiting_now, 1, memory_order_relaxed);
                publish(s);
                s->backend->start(w);
        }
}

void object_submit(struct object_store *s, struct object_op *op)
{
        assert(s->magic == STORE_MAGIC);
        assert(op->done && op->reply_loop);
        op->store = s;
        op->serial = atomic_fetch_add_explicit(&s->serial, 1, memory_order_relaxed) + 1;
        op->result = 0;
        op->text[0] = '\0';
        op->got_len = 0;
        op->requests = 0;
        op->info = (struct object_info){ .size = -1 };
        op->mail.fn = on_submit;
        atomic_fetch_add_explicit(&s->waiting_now, 1, memory_order_relaxed);
        loop_post(s->loop, &op->mail);
}

/* ---- cancel ---- */

/* Not in the op: the op may be over, and submitted once more, before it is read. */
struct cancel {
        struct mail mail;
        struct object_store *s;
        uint64_t serial;
};

static void on_cancel(struct loop *l, struct mail *m)
{
        struct cancel *c = container_of(m, struct cancel, mail);
        struct ilist *lists[] = { &c->s->waiting, &c->s->working };

        for (unsigned i = 0; i < ARRAY_LEN(lists); i++)
                ilist_for_each (w, lists[i], struct object_work, link) {
                        if (!w->op || w->op->serial != c->serial)
                                continue;
                        object_work_stop(w, OBJECT_CANCELLED, "cancelled");
                        free(c);
                        return;
                }
        free(c);
}

void object_cancel(struct object_store *s, struct object_op *op)
{
        struct cancel *c = malloc(sizeof *c);

        if (!c)
                return; /* it ends by itself, later */
        *c = (struct cancel){ .mail.fn = on_cancel, .s = s, .serial = op->serial };
        loop_post(s->loop, &c->mail);
}

/* ---- open and close ---- */

void object_config_init(struct object_config *c)
{
        *c = (struct object_config){
                .requests_max = 32,
                .memory_max = 128 << 20,
                .part_len = 16 << 20,
                .parts_max = 4,
                .attempts_max = 8,
                .connect_timeout_ms = 5000,
                .stall_timeout_ms = 20000,
                .deadline_ms = 600000,
                .backoff_ms = 100,
                .backoff_max_ms = 10000,
        };
}

static const char *check_config(const struct object_config *c)
{
        if (c->kind == OBJECT_FOLDER ? !c->folder : !c->bucket || !*c->bucket)
                return c->kind == OBJECT_FOLDER ? "no folder is configured" : "no bucket is configured";
        if (c->kind != OBJECT_FOLDER && (strchr(c->bucket, '/') || strchr(c->bucket, '?')))
                return "the name of a bucket has no '/' and no '?'";
        if (c->kind != OBJECT_S3 && (c->source == OBJECT_FROM_INSTANCE || c->source == OBJECT_FROM_WEB_IDENTITY))
                return "credentials of the instance and of a web identity are Amazon's";
        if (c->kind != OBJECT_GOOGLE && c->source == OBJECT_FROM_ACCOUNT)
                return "service accounts are Google's";
        if (c->requests_max < 1 || c->requests_max > 1024 || c->parts_max < 1 || c->parts_max > PARTS_MAX ||
            c->attempts_max < 1)
                return "requests_max is 1 to 1024, parts_max 1 to 16, attempts_max at least 1";
        if (c->part_len < 5 << 20 || c->part_len > 1 << 30)
                return "part_len is 5 MiB to 1 GiB";
        if (c->connect_timeout_ms < 1 || c->stall_timeout_ms < 1 || c->deadline_ms < 1 || c->backoff_ms < 1 ||
            c->backoff_max_ms < c->backoff_ms)
                return "time-outs and back-off are at least 1 ms, and backoff_max_ms at least backoff_ms";
        return NULL;
}

/* Copy the text of the configuration. */
static int take_config(struct object_store *s, const struct object_config *c)
{
        const char **texts[] = {
                &s->c.folder,
                &s->c.endpoint,
                &s->c.bucket,
                &s->c.region,
                &s->c.ca_file,
                &s->c.access_key,
                &s->c.secret_key,
                &s->c.session_token,
                &s->c.sas,
                &s->c.credentials_file,
                &s->c.profile,
                &s->c.role_arn,
                &s->c.token_file,
                &s->c.role_session,
                &s->c.sts_endpoint,
                &s->c.instance_endpoint,
                &s->c.token_endpoint,
        };

        s->c = *c;
        for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
                if (!*texts[i])
                        continue;
                *texts[i] = arena_strdup0(&s->arena, str_of(*texts[i]));
                if (!*texts[i])
                        return -ENOMEM;
        }
        return 0;
}

static void init_curl(void)
{
        curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int open_http(struct object_store *s, char *why)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        struct file_info info;
        int r;

        if (s->c.ca_file && (r = file_info(s->c.ca_file, &info))) {
                snprintf(why, OBJECT_TEXT_SIZE, "the certificates to trust, '%s': %s", s->c.ca_file, strerror(-r));
                return OBJECT_BAD_CONFIG;
        }
        pthread_once(&once, init_curl);
        r = object_keys_init(&s->keys, s, why);
        if (!r)
                r = object_place_init(s, why);
        if (r)
                return r;
        s->backend = &object_backend_http;
        return object_http_init(&s->http, s->loop, &s->c);
}

static int open_folder(struct object_store *s, char *why)
{
        int r = object_folder_init(s);

        if (r)
                snprintf(why, OBJECT_TEXT_SIZE, "the folder '%s': %s", s->c.folder, strerror(-r));
        s->backend = &object_backend_folder;
        return r;
}

static void free_store(struct object_store **p)
{
        struct object_store *s = *p;

        if (!s)
                return;
        object_http_fini(&s->http);
        object_keys_fini(&s->keys);
        loop_free(s->loop);
        arena_fini(&s->arena);
        s->magic = 0;
        free(s);
}

int object_store_open(const struct object_config *c, struct iopool *pool, struct object_store **ret_store,
                      char *ret_why)
{
        CLEANUP(free_store) struct object_store *s = calloc(1, sizeof *s);
        const char *wrong = check_config(c);
        int r;

        snprintf(ret_why, OBJECT_TEXT_SIZE, "%s", wrong ? wrong : "memory is out");
        if (wrong)
                return OBJECT_BAD_CONFIG;
        if (!s)
                return -ENOMEM;
        s->magic = STORE_MAGIC;
        s->pool = pool;
        arena_init(&s->arena, 0);
        ilist_init(&s->waiting);
        ilist_init(&s->working);
        ilist_init(&s->hungry);
        budget_init(&s->memory, c->memory_max);
        r = take_config(s, c);
        if (!r)
                r = loop_new("object", &s->loop);
        if (!r)
                r = c->kind == OBJECT_FOLDER ? open_folder(s, ret_why) : open_http(s, ret_why);
        if (!r)
                r = loop_start_thread(s->loop);
        if (r)
                return r;
        *ret_store = TAKE_PTR(s);
        return 0;
}

static struct object_work *first_going_on(struct object_store *s)
{
        ilist_for_each (w, &s->working, struct object_work, link)
                if (!w->ending)
                        return w;
        return NULL;
}

static void on_close(struct loop *l, struct mail *m)
{
        struct object_store *s = container_of(m, struct object_store, close_mail);
        struct object_work *w;

        s->closing = true;
        object_keys_stop(&s->keys);
        while ((w = ilist_first(&s->waiting, struct object_work, link)))
                object_work_stop(w, OBJECT_CANCELLED, "the store is being closed");
        /* Those that only clean up are not waited for long. */
        ilist_for_each (cleaning, &s->working, struct object_work, link)
                if (!cleaning->op)
                        loop_timer_start(&cleaning->deadline, CLOSING_MS);
        while ((w = first_going_on(s))) /* stopping one may end it, and others with it */
                object_work_stop(w, OBJECT_CANCELLED, "the store is being closed");
        stop_when_idle(s);
}

struct object_store *object_store_close(struct object_store *s)
{
        if (!s)
                return NULL;
        assert(s->magic == STORE_MAGIC);
        s->close_mail.fn = on_close;
        loop_post(s->loop, &s->close_mail);
        loop_join(s->loop);
        free_store(&s);
        return NULL;
}

void object_store_stats(struct object_store *s, struct object_stats *ret_stats)
{
        *ret_stats = (struct object_stats){
                .requests = atomic_load(&s->requests),
                .retries = atomic_load(&s->retries),
                .hedges = atomic_load(&s->hedges),
                .hedges_won = atomic_load(&s->hedges_won),
                .sent_bytes = atomic_load(&s->sent_bytes),
                .received_bytes = atomic_load(&s->received_bytes),
                .working = atomic_load(&s->working_now),
                .waiting = atomic_load(&s->waiting_now),
        };
}
