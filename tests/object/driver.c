/* An object store, driven by lines of JSON: what the suites of this folder talk to. argv[1] is the configuration; each line of the input
 * is an operation with an "id", started at once; each line of the output is an answer. Ends with the input, after closing the store.
 *
 * Content is made from a seed, so that it need not be sent: byte i of seed s is content(s, i). */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/strbuf.h"
#include "object/probe.h"
#include "sys/clock.h"
#include "sys/file.h"

struct driver {
        struct loop *loop;
        struct iopool *pool;
        struct object_store *store;
        struct loop_io input;
        struct strbuf line;
        unsigned pending;
        bool ended;
};
static struct driver d;

struct task {
        struct object_op op;
        struct object_probe probe;
        struct ilist link;
        json_int_t id;
        uint64_t seed;
        char *key, *prefix;
        uint8_t *buf;
        int fd;
        int64_t began_ms;
};
static struct ilist tasks = ILIST_INIT(tasks);

static uint8_t content(uint64_t seed, uint64_t i)
{
        uint64_t x = (seed << 32 ^ (i >> 3)) * 0x9e3779b97f4a7c15u;

        x ^= x >> 29;
        x *= 0xbf58476d1ce4e5b9u;
        x ^= x >> 32;
        return (uint8_t)(x >> 8 * (i & 7));
}

static bool matches(const struct task *t)
{
        for (size_t i = 0; i < t->op.got_len; i++)
                if (t->buf[i] != content(t->seed, (uint64_t)t->op.offset + i))
                        return false;
        return true;
}

static void say(json_t *answer)
{
        char *text = json_dumps(answer, JSON_COMPACT);

        printf("%s\n", text);
        fflush(stdout);
        free(text);
        json_decref(answer);
}

static void task_end(struct task *t)
{
        ilist_unlink(&t->link);
        file_close(t->fd);
        free(t->key);
        free(t->prefix);
        free(t->buf);
        free(t);
        if (!--d.pending && d.ended)
                loop_stop(d.loop);
}

static void on_done(struct object_op *op)
{
        struct task *t = container_of(op, struct task, op);
        json_t *answer =
                json_pack("{s:I, s:i, s:s, s:I, s:I, s:s, s:I, s:i, s:b, s:I}", "id", t->id, "result", op->result,
                          "text", op->text, "got_len", (json_int_t)op->got_len, "size", (json_int_t)op->info.size,
                          "etag", op->info.etag, "crc", (json_int_t)op->got_crc, "requests", (int)op->requests, "match",
                          op->verb == OBJECT_GET && matches(t), "ms", (json_int_t)(clock_mono_ms() - t->began_ms));

        if (op->verb == OBJECT_LIST) {
                json_t *rows = json_array();

                for (unsigned i = 0; i < op->rows_count; i++)
                        json_array_append_new(rows,
                                              json_pack("[s, I, I]", op->rows[i].key, (json_int_t)op->rows[i].size,
                                                        (json_int_t)op->rows[i].modified_ms));
                json_object_set_new(answer, "rows", rows);
                json_object_set_new(answer, "next", op->list_next ? json_string(op->list_next) : json_null());
                object_op_fini(op);
        }
        say(answer);
        task_end(t);
}

static void on_probed(struct object_probe *p)
{
        struct task *t = container_of(p, struct task, probe);
        json_t *found = json_object();

        for (unsigned i = 0; i < OBJECT_CHECKS_COUNT; i++)
                if (p->findings[i].done)
                        json_object_set_new(found, object_check_name(i),
                                            json_pack("[i, s]", p->findings[i].result, p->findings[i].text));
        say(json_pack("{s:I, s:i, s:o}", "id", t->id, "failures", (int)p->failures, "findings", found));
        task_end(t);
}

static int64_t integer(const json_t *j, const char *name)
{
        return json_integer_value(json_object_get(j, name));
}

static void put(struct task *t, const json_t *j)
{
        const char *file = json_string_value(json_object_get(j, "file"));
        size_t len = (size_t)integer(j, "len");

        t->op.verb = OBJECT_PUT;
        t->op.if_absent = json_is_true(json_object_get(j, "if_absent"));
        t->buf = malloc(len + 1);
        for (size_t i = 0; i < len; i++)
                t->buf[i] = content(t->seed, i);
        if (!file) {
                t->op.body = span_of(t->buf, len);
                return;
        }
        /* The content stands behind some bytes of another. */
        t->fd = file_open(file, O_RDWR | O_CREAT | O_TRUNC);
        if (t->fd < 0 || file_pwrite_all(t->fd, "xyz", 3, 0) || file_pwrite_all(t->fd, t->buf, len, 3))
                fprintf(stderr, "%s: cannot be written\n", file);
        t->op.file_fd = t->fd;
        t->op.file_pos = 3;
        t->op.file_len = (int64_t)len + integer(j, "beyond");
}

static void get(struct task *t, const json_t *j)
{
        t->op.verb = OBJECT_GET;
        t->op.offset = integer(j, "offset");
        t->op.get_len = (size_t)integer(j, "len");
        t->buf = malloc(t->op.get_len + 1);
        t->op.get_buf = t->buf;
        t->op.expect_crc = json_is_true(json_object_get(j, "expect_crc"));
        for (size_t i = 0; t->op.expect_crc && i < t->op.get_len; i++) {
                uint8_t byte = content(t->seed, (uint64_t)t->op.offset + i);

                t->op.crc = crc32c(t->op.crc, &byte, 1);
        }
}

static void cancel(json_int_t id)
{
        ilist_for_each (t, &tasks, struct task, link)
                if (t->id == id)
                        object_cancel(d.store, &t->op);
}

static void stats(json_int_t id)
{
        struct object_stats s;

        object_store_stats(d.store, &s);
        say(json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "id", id, "requests", (json_int_t)s.requests,
                      "retries", (json_int_t)s.retries, "hedges", (json_int_t)s.hedges, "hedges_won",
                      (json_int_t)s.hedges_won, "sent_bytes", (json_int_t)s.sent_bytes, "received_bytes",
                      (json_int_t)s.received_bytes, "working", (json_int_t)s.working, "waiting",
                      (json_int_t)s.waiting));
}

static void start(const json_t *j)
{
        const char *verb = json_string_value(json_object_get(j, "verb")),
                   *next = json_string_value(json_object_get(j, "next"));
        struct task *t = calloc(1, sizeof *t);

        t->id = integer(j, "id");
        t->seed = (uint64_t)integer(j, "seed");
        t->fd = -1;
        t->began_ms = clock_mono_ms();
        t->key = strdup(json_string_value(json_object_get(j, "key")) ?: "");
        t->op.key = str_of(t->key);
        t->op.reply_loop = d.loop;
        t->op.done = on_done;
        t->op.deadline_ms = (int)integer(j, "deadline_ms");
        ilist_push_back(&tasks, &t->link);
        d.pending++;
        if (!strcmp(verb, "probe")) {
                t->probe = (struct object_probe){ .prefix = t->key,
                                                  .with_parts = json_is_true(json_object_get(j, "with_parts")),
                                                  .deadline_ms = t->op.deadline_ms,
                                                  .reply_loop = d.loop,
                                                  .done = on_probed };
                if (object_probe_start(d.store, &t->probe))
                        task_end(t);
                return;
        }
        if (!strcmp(verb, "put"))
                put(t, j);
        else if (!strcmp(verb, "get"))
                get(t, j);
        else
                t->op.verb = !strcmp(verb, "head") ? OBJECT_HEAD : !strcmp(verb, "list") ? OBJECT_LIST : OBJECT_DELETE;
        t->op.list_max = (unsigned)integer(j, "max");
        t->op.list_next = next ? strdup(next) : NULL;
        object_submit(d.store, &t->op);
}

static void on_line(const char *line)
{
        json_error_t error;
        json_t *j = json_loads(line, 0, &error);
        const char *verb = json_string_value(json_object_get(j, "verb"));

        if (!verb)
                fprintf(stderr, "not understood: %s\n", line);
        else if (!strcmp(verb, "cancel"))
                cancel(integer(j, "of"));
        else if (!strcmp(verb, "stats"))
                stats(integer(j, "id"));
        else
                start(j);
        json_decref(j);
}

static void on_input(struct loop_io *io, int events)
{
        char chunk[65536], *end;
        ssize_t n = read(0, chunk, sizeof chunk);

        if (n <= 0) {
                loop_io_set(&d.input, 0);
                d.ended = true;
                /* Closing waits for the ops on its thread, and their answers come to this loop afterwards. */
                d.store = object_store_close(d.store);
                if (!d.pending)
                        loop_stop(d.loop);
                return;
        }
        strbuf_add(&d.line, chunk, (size_t)n);
        while ((end = memchr(d.line.data, '\n', d.line.len))) {
                size_t len = (size_t)(end - d.line.data) + 1;

                *end = '\0';
                on_line(d.line.data);
                memmove(d.line.data, d.line.data + len, d.line.len - len + 1);
                d.line.len -= len;
        }
}

static void read_config(const json_t *j, struct object_config *c)
{
        static const char *const kinds[] = { "folder", "s3", "google", "azure" };
        static const char *const sources[] = {
                "text", "env", "file", "systemd", "instance", "web-identity", "account"
        };
        const struct {
                const char *name, **to;
        } texts[] = {
                { "folder", &c->folder },
                { "endpoint", &c->endpoint },
                { "bucket", &c->bucket },
                { "region", &c->region },
                { "ca_file", &c->ca_file },
                { "access_key", &c->access_key },
                { "secret_key", &c->secret_key },
                { "session_token", &c->session_token },
                { "sas", &c->sas },
                { "credentials_file", &c->credentials_file },
                { "profile", &c->profile },
                { "role_arn", &c->role_arn },
                { "token_file", &c->token_file },
                { "role_session", &c->role_session },
                { "sts_endpoint", &c->sts_endpoint },
                { "instance_endpoint", &c->instance_endpoint },
                { "token_endpoint", &c->token_endpoint },
        };
        const struct {
                const char *name;
                int *to;
        } numbers[] = {
                { "connect_timeout_ms", &c->connect_timeout_ms },
                { "stall_timeout_ms", &c->stall_timeout_ms },
                { "deadline_ms", &c->deadline_ms },
                { "backoff_ms", &c->backoff_ms },
                { "backoff_max_ms", &c->backoff_max_ms },
                { "hedge_after_ms", &c->hedge_after_ms },
                { "requests_max", (int *)&c->requests_max },
                { "parts_max", (int *)&c->parts_max },
                { "attempts_max", (int *)&c->attempts_max },
        };
        const char *kind = json_string_value(json_object_get(j, "kind")),
                   *source = json_string_value(json_object_get(j, "source"));

        for (unsigned i = 0; kind && i < ARRAY_LEN(kinds); i++)
                if (!strcmp(kind, kinds[i]))
                        c->kind = i;
        for (unsigned i = 0; source && i < ARRAY_LEN(sources); i++)
                if (!strcmp(source, sources[i]))
                        c->source = i;
        for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
                *texts[i].to = json_string_value(json_object_get(j, texts[i].name));
        for (unsigned i = 0; i < ARRAY_LEN(numbers); i++)
                if (json_object_get(j, numbers[i].name))
                        *numbers[i].to = (int)integer(j, numbers[i].name);
        c->path_style = json_is_true(json_object_get(j, "path_style"));
        if (json_object_get(j, "part_len"))
                c->part_len = (size_t)integer(j, "part_len");
        if (json_object_get(j, "memory_max"))
                c->memory_max = (size_t)integer(j, "memory_max");
        c->upload_bytes_per_s = integer(j, "upload_bytes_per_s");
        c->download_bytes_per_s = integer(j, "download_bytes_per_s");
}

int main(int argc, char **argv)
{
        json_t *j = argc == 2 ? json_loads(argv[1], 0, NULL) : NULL;
        struct object_config c;
        char why[OBJECT_TEXT_SIZE];
        int r;

        if (!j) {
                fprintf(stderr, "usage: object-driver CONFIGURATION-AS-JSON\n");
                return 2;
        }
        object_config_init(&c);
        read_config(j, &c);
        if (loop_new("driver", &d.loop) || iopool_new(4, &d.pool))
                return 2;
        r = object_store_open(&c, d.pool, &d.store, why);
        json_decref(j);
        say(json_pack("{s:i, s:s}", "open", r, "why", r ? why : ""));
        if (!r) {
                loop_io_init(&d.input, d.loop, 0, on_input);
                loop_io_set(&d.input, LOOP_READ);
                loop_run(d.loop);
        }
        strbuf_fini(&d.line);
        iopool_free(d.pool);
        loop_free(d.loop);
        return 0;
}
