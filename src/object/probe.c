#include "object/probe.h"

#include <stdio.h>

#include "object/internal.h"
#include "sys/clock.h"

enum { CONTENT_LEN = 70000, RANGE_AT = 1234, RANGE_LEN = 4321 };

static const char *const names[] = {
        [OBJECT_CHECK_WRITE] = "write", [OBJECT_CHECK_CONDITION] = "condition", [OBJECT_CHECK_READ] = "read",
        [OBJECT_CHECK_RANGE] = "range", [OBJECT_CHECK_HEAD] = "head",           [OBJECT_CHECK_LIST] = "list",
        [OBJECT_CHECK_PARTS] = "parts", [OBJECT_CHECK_DELETE] = "delete",       [OBJECT_CHECK_MISSING] = "missing",
};

static void on_op(struct object_op *op);

const char *object_check_name(enum object_check check)
{
        return names[check];
}

static void found(struct object_probe *p, int result, const char *text)
{
        struct object_finding *f = &p->findings[p->check];

        if (f->result)
                return; /* the first says more */
        f->done = true;
        f->result = result;
        snprintf(f->text, sizeof f->text, "%s", result ? text : "");
        p->failures += result != 0;
}

static void submit(struct object_probe *p, enum object_verb verb)
{
        p->op.verb = verb;
        p->op.key = str_of(p->key);
        object_submit(p->store, &p->op);
}

static void begin_check(struct object_probe *p)
{
        p->op = (struct object_op){
                .deadline_ms = p->deadline_ms,
                .reply_loop = p->reply_loop,
                .done = on_op,
                .get_buf = p->read,
                .get_len = p->content_len + 1,
                .list_max = 10,
                .body = span_of(p->content, p->content_len),
        };
        switch ((enum object_check)p->check) {
        case OBJECT_CHECK_WRITE:
        case OBJECT_CHECK_CONDITION:
                p->op.if_absent = true;
                submit(p, OBJECT_PUT);
                break;
        case OBJECT_CHECK_READ:
        case OBJECT_CHECK_MISSING:
                submit(p, OBJECT_GET);
                break;
        case OBJECT_CHECK_RANGE:
                p->op.offset = RANGE_AT;
                p->op.get_len = RANGE_LEN;
                submit(p, OBJECT_GET);
                break;
        case OBJECT_CHECK_HEAD:
                submit(p, OBJECT_HEAD);
                break;
        case OBJECT_CHECK_LIST:
                submit(p, OBJECT_LIST);
                break;
        case OBJECT_CHECK_PARTS:
                p->op.body = span_of(p->content, p->parts_len);
                submit(p, OBJECT_PUT);
                break;
        default:
                submit(p, OBJECT_DELETE);
                break;
        }
}

static void end(struct object_probe *p)
{
        free(p->content);
        free(p->read);
        p->content = p->read = NULL;
        p->done(p);
}

/* What is wrong with an answer that is no failure; NULL: nothing. */
static const char *judge(struct object_probe *p)
{
        const struct object_op *op = &p->op;

        switch ((enum object_check)p->check) {
        case OBJECT_CHECK_CONDITION:
                return op->result == OBJECT_E_EXISTS
                               ? NULL
                               : "the store does not refuse to write an object that is there (If-None-Match: *); "
                                 "it cannot be used, because two nodes could overwrite each other";
        case OBJECT_CHECK_READ:
                return op->result == OBJECT_OK && op->got_len == p->content_len &&
                                       !memcmp(p->read, p->content, p->content_len)
                               ? NULL
                               : "what was written reads differently";
        case OBJECT_CHECK_RANGE:
                return op->result == OBJECT_OK && op->got_len == RANGE_LEN &&
                                       !memcmp(p->read, p->content + RANGE_AT, RANGE_LEN)
                               ? NULL
                               : "a range of what was written reads differently";
        case OBJECT_CHECK_HEAD:
                return op->result == OBJECT_OK && op->info.size == (int64_t)p->content_len
                               ? NULL
                               : "the store tells another size";
        case OBJECT_CHECK_LIST:
                return op->rows_count == 1 && !strcmp(op->rows[0].key, p->key) &&
                                       op->rows[0].size == (int64_t)p->content_len
                               ? NULL
                               : "an object that was just written is not in the list of its prefix";
        case OBJECT_CHECK_MISSING:
                return op->result == OBJECT_E_MISSING ? NULL : "an object that was deleted can still be read";
        default:
                return op->result == OBJECT_OK ? NULL : "the object is there already";
        }
}

static void on_op(struct object_op *op)
{
        struct object_probe *p = container_of(op, struct object_probe, op);
        const char *wrong = op->result < 0 ? op->text : judge(p);

        found(p, op->result < 0 ? op->result : wrong ? OBJECT_UNSUPPORTED : 0, wrong);
        object_op_fini(op);
        /* Without an object nothing else can be tried, and there is nothing to remove. */
        if (p->check == OBJECT_CHECK_WRITE && wrong) {
                end(p);
                return;
        }
        p->check++;
        if (p->check == OBJECT_CHECK_PARTS && !p->with_parts)
                p->check++;
        /* What could not be deleted is no test of what is missing. */
        if (p->check == OBJECT_CHECKS_COUNT || (p->check == OBJECT_CHECK_MISSING && wrong))
                end(p);
        else
                begin_check(p);
}

int object_probe_start(struct object_store *s, struct object_probe *p)
{
        char id[UUID_TEXT_SIZE];

        p->store = s;
        p->content_len = CONTENT_LEN;
        p->parts_len = MAX2((size_t)CONTENT_LEN, p->with_parts ? s->c.part_len + 1 : 0);
        p->content = malloc(p->parts_len);
        p->read = malloc(p->content_len + 1);
        if (!p->content || !p->read) {
                free(p->content);
                free(p->read);
                return -ENOMEM;
        }
        memset(p->content, 'c', p->parts_len);
        random_bytes(p->content, p->content_len);
        uuid_format(random_uuid(), id);
        snprintf(p->key, sizeof p->key, "%.900sprobe/%s", p->prefix, id);
        begin_check(p);
        return 0;
}
