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

void admin_get_audit(struct node *n, struct http_request *rq, const char *arg)
{
        struct audit *a = &n->audit;

        (void)arg;
        if (has_log(n, rq))
                admin_answer_json(rq, json_pack("{s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "node", n->led.node_id,
                                                "directory", a->dir, "public_key", a->public_key, "last",
                                                (json_int_t)atomic_load(&a->last), "written",
                                                (json_int_t)atomic_load(&a->written), "dropped",
                                                (json_int_t)atomic_load(&a->dropped), "waiting",
                                                (json_int_t)atomic_load(&a->waiting), "write_failures",
                                                (json_int_t)atomic_load(&a->failures)));
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
        uint8_t key[1][AUDIT_KEY_LEN];
        struct audit_report report;
        int r;

        (void)arg;
        if (!has_log(n, rq))
                return;
        (void)audit_unhex(str_of(n->audit.public_key), key[0], AUDIT_KEY_LEN); /* it was made by audit_hex() */
        r = audit_folder_check(n->audit.dir, (const uint8_t(*)[AUDIT_KEY_LEN])key, 1, &report);
        if (r)
                admin_answer_error(rq, 503, "The audit log in %s cannot be read: %s.", n->audit.dir, strerror(-r));
        else
                audit_report_write(&report, &rq->out);
}
