/* The audit log at the admin listener: how it is, its newest entries, whether it is whole. Of this node only: each has its own. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "chronikd/admin.h"

enum { ENTRIES_MAX = 200, FILES_SHOWN = 2 };

/* False has been answered. */
static bool has_log(struct node *n, struct http_request *rq)
{
        if (n->audit.log)
                return true;
        admin_answer_error(rq, 404, "Node %d keeps no audit log: audit.enabled is false.", n->led.node_id);
        return false;
}

static json_t *key_json(const uint8_t key[AUDIT_KEY_LEN])
{
        char text[AUDIT_KEY_HEX_SIZE];

        audit_hex(key, AUDIT_KEY_LEN, text);
        return json_string(text);
}

void admin_get_audit(struct node *n, struct http_request *rq, const char *arg)
{
        uint8_t keys[AUDIT_KEYS_MAX][AUDIT_KEY_LEN];
        struct audit *a = &n->audit;
        json_t *list;
        size_t count;

        (void)arg;
        if (!has_log(n, rq))
                return;
        count = audit_public_keys(a, keys);
        list = json_array();
        for (size_t i = 0; i < count; i++)
                json_array_append_new(list, key_json(keys[i]));
        admin_answer_json(rq, json_pack("{s:i, s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "node", n->led.node_id,
                                        "directory", a->dir, "public_key", key_json(keys[count - 1]), "public_keys",
                                        list, "last", (json_int_t)atomic_load(&a->last), "written",
                                        (json_int_t)atomic_load(&a->written), "dropped",
                                        (json_int_t)atomic_load(&a->dropped), "waiting",
                                        (json_int_t)atomic_load(&a->waiting), "write_failures",
                                        (json_int_t)atomic_load(&a->failures)));
}

void admin_post_audit_key(struct node *n, struct http_request *rq, const char *arg)
{
        uint8_t keys[AUDIT_KEYS_MAX][AUDIT_KEY_LEN];
        size_t count;
        int r;

        (void)arg;
        if (!has_log(n, rq))
                return;
        r = audit_rotate_key(&n->audit);
        count = audit_public_keys(&n->audit, keys);
        if (!r)
                admin_answer_json(rq, json_pack("{s:o, s:o}", "public_key", key_json(keys[count - 1]),
                                                "earlier_public_key", key_json(keys[count - 2])));
        else if (r == -EBUSY)
                admin_answer_error(rq, 409, "Somebody else replaces the key just now.");
        else if (r == -ETIMEDOUT)
                admin_answer_error(rq, 503, "The audit log cannot be written just now; its key stays as it is.");
        else
                admin_answer_error(
                        rq, 503,
                        "The key cannot be replaced: %s. The new one is written beside the one in use, in the folder "
                        "of audit.signing_key_file, where the node has to be able to write.",
                        strerror(-r));
}

/* ---- the newest entries ---- */

struct newest {
        char *lines[ENTRIES_MAX]; /* a ring */
        size_t count;             /* of all that were seen */
};

static int keep(void *arg, struct str line)
{
        struct newest *s = arg;
        char **place = &s->lines[s->count % ENTRIES_MAX], *copy = strndup(line.p, line.len);

        if (!copy)
                return -ENOMEM;
        free(*place);
        *place = copy;
        s->count++;
        return 0;
}

/* Return: 0 or negative errno. */
static int gather(const struct audit *a, struct newest *s)
{
        CLEANUP(freep) uint64_t *files = NULL;
        size_t count = 0;
        int r = audit_folder_list(a->dir, &files, &count);

        for (size_t i = count > FILES_SHOWN ? count - FILES_SHOWN : 0; i < count && !r; i++) {
                char path[AUDIT_PATH_SIZE];
                int64_t torn;

                audit_folder_file(a->dir, files[i], path);
                r = audit_file_each(path, keep, s, &torn);
                if (r == -ENOENT) /* it has gone meanwhile, being the oldest */
                        r = 0;
        }
        return r;
}

void admin_get_audit_entries(struct node *n, struct http_request *rq, const char *arg)
{
        struct newest s = { 0 };
        json_t *list;
        int r;

        (void)arg;
        if (!has_log(n, rq))
                return;
        r = gather(&n->audit, &s);
        list = json_array();
        for (size_t i = s.count > ENTRIES_MAX ? s.count - ENTRIES_MAX : 0; i < s.count; i++) {
                json_t *one = json_loads(s.lines[i % ENTRIES_MAX], 0, NULL);

                json_array_append_new(list, one ? one : json_string("This is no entry: see chronik-ctl audit verify."));
        }
        for (size_t i = 0; i < ENTRIES_MAX; i++)
                free(s.lines[i]);
        if (r) {
                json_decref(list);
                admin_answer_error(rq, 503, "The audit log in %s cannot be read: %s.", n->audit.dir, strerror(-r));
        } else {
                admin_answer_json(rq, json_pack("{s:i, s:o}", "node", n->led.node_id, "entries", list));
        }
}

void admin_get_audit_verify(struct node *n, struct http_request *rq, const char *arg)
{
        uint8_t keys[AUDIT_KEYS_MAX][AUDIT_KEY_LEN];
        struct audit_report report;
        size_t count;
        int r;

        (void)arg;
        if (!has_log(n, rq))
                return;
        count = audit_public_keys(&n->audit, keys);
        r = audit_folder_check(n->audit.dir, (const uint8_t(*)[AUDIT_KEY_LEN])keys, count, &report);
        if (r)
                admin_answer_error(rq, 503, "The audit log in %s cannot be read: %s.", n->audit.dir, strerror(-r));
        else
                audit_report_write(&report, &rq->out);
}
