/* log verify of a node that does not run: its folders are read and nothing is changed. Its lock is held meanwhile, so that it
 * does not start. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"
#include "plog/check_folder.h"
#include "sys/clock.h"
#include "sys/file.h"

struct walk_all {
        const struct ctl *c;
        const char *store, *topic;
        long partition;
        void (*progress)(const char *what, json_int_t bytes, json_int_t bytes_all);
        const char *name; /* of the log in work */
        json_int_t bytes, bytes_all;
        int64_t started_ms;
        json_t *results;
};

/* "orders-3" -> "orders" and 3. */
static bool name_split(const char *name, char topic[256], long *ret_partition)
{
        const char *dash = strrchr(name, '-');
        char *end;

        if (!dash || dash == name || !dash[1] || dash - name > 255)
                return false;
        *ret_partition = strtol(dash + 1, &end, 10);
        snprintf(topic, 256, "%.*s", (int)(dash - name), name);
        return !*end && *ret_partition >= 0;
}

static bool is_meant(const struct walk_all *w, const char *name)
{
        char topic[256];
        long partition;

        if (!w->topic)
                return true;
        return name_split(name, topic, &partition) && !strcmp(topic, w->topic) &&
               (w->partition < 0 || w->partition == partition);
}

static void on_progress(void *arg, int64_t bytes)
{
        struct walk_all *w = arg;
        double due_ms;
        int64_t now_ms = clock_mono_ms();

        w->bytes += bytes;
        w->progress(w->name, w->bytes, w->bytes_all);
        if (!w->c->bytes_per_second)
                return;
        due_ms = (double)w->bytes * 1000.0 / (double)w->c->bytes_per_second;
        clock_sleep_ms((int64_t)due_ms - (now_ms - w->started_ms));
}

static json_t *json_damage(const struct plog_folder_result *res)
{
        json_t *list = json_array();

        for (size_t i = 0; i < res->damaged_count; i++) {
                const struct plog_damaged_range *r = &res->damaged[i];
                json_t *range = json_pack("{s:I, s:I, s:s}", "first_offset", (json_int_t)r->from_offset, "last_offset",
                                          (json_int_t)r->to_offset - 1, "why", plog_damage_text(r->why));
                char file[32];

                if (r->segment_base >= 0) {
                        snprintf(file, sizeof file, "%020lld.log", (long long)r->segment_base);
                        json_object_set_new(range, "file", json_string(file));
                        json_object_set_new(range, "position", json_integer(r->pos));
                        json_object_set_new(range, "bytes", json_integer(r->end_pos - r->pos));
                }
                json_array_append_new(list, range);
        }
        return list;
}

static const char *why_not(int r)
{
        return r == PLOG_FOLDER_E_FOREIGN ? "this is no log, or one of another version"
               : r == PLOG_FOLDER_E_SWAP
                       ? "compaction was putting segments in place when the node stopped: start and stop "
                         "it once"
                       : strerror(-r);
}

static json_t *json_result(const char *name, int r, const struct plog_folder_result *res)
{
        char topic[256];
        long partition = 0;
        bool split = name_split(name, topic, &partition);
        json_t *out = json_pack("{s:s, s:I, s:s}", "topic", split ? topic : name, "partition", (json_int_t)partition,
                                "result",
                                r                    ? "failed"
                                : res->damaged_count ? "damaged"
                                                     : "ok");

        if (r) {
                json_object_set_new(out, "error", json_string(why_not(r)));
                return out;
        }
        json_object_set_new(out, "start_offset", json_integer(res->start_offset));
        json_object_set_new(out, "end_offset", json_integer(res->end_offset));
        json_object_set_new(out, "bytes", json_integer(res->bytes));
        json_object_set_new(out, "batches", json_integer(res->batches));
        json_object_set_new(out, "indexes_wrong", json_integer(res->indexes_wrong));
        json_object_set_new(out, "tail_bytes", json_integer(res->tail_bytes));
        json_object_set_new(out, "damaged_ranges", json_integer((json_int_t)res->damaged_count));
        if (res->damaged_count)
                json_object_set_new(out, "damaged", json_damage(res));
        return out;
}

static int verify_one(void *arg, const char *name)
{
        struct walk_all *w = arg;
        struct plog_folder_result res = { 0 };
        char *dir;
        int r;

        if (!is_meant(w, name))
                return 0;
        if (asprintf(&dir, "%s/%s", w->store, name) < 0)
                abort();
        w->name = name;
        r = plog_check_folder(&(struct plog_folder_args){ .dir = dir, .progress = on_progress, .arg = w }, &res);
        json_array_append_new(w->results, json_result(name, r, &res));
        free(res.damaged);
        free(dir);
        return 0;
}

/* ---- how much there is to read ---- */

struct sum {
        struct walk_all *w;
        char *dir;
};

static int sum_file(void *arg, const char *name)
{
        struct sum *s = arg;
        size_t len = strlen(name);
        struct file_info info;
        char *path;

        if (len < 4 || strcmp(name + len - 4, ".log") != 0)
                return 0;
        if (asprintf(&path, "%s/%s", s->dir, name) < 0)
                abort();
        if (!file_info(path, &info))
                s->w->bytes_all += info.size;
        free(path);
        return 0;
}

static int sum_one(void *arg, const char *name)
{
        struct walk_all *w = arg;
        struct sum s = { .w = w };

        if (!is_meant(w, name))
                return 0;
        if (asprintf(&s.dir, "%s/%s", w->store, name) < 0)
                abort();
        (void)file_list(s.dir, sum_file, &s); /* only for the progress */
        free(s.dir);
        return 0;
}

/* ---- all of it ---- */

static int refuse_lock(const char *store, int r)
{
        if (r == -EWOULDBLOCK)
                fprintf(stderr,
                        "chronik-ctl: a node runs on %s: stop it, or run `chronik-ctl log verify` against it without a "
                        "folder\n",
                        store);
        else if (r == -ENOENT)
                fprintf(stderr,
                        "chronik-ctl: %s holds no logs of chronikd: --data-dir is its server.data_dir, --dir a folder "
                        "in "
                        "the folder 'log' of that\n",
                        store);
        else
                fprintf(stderr, "chronik-ctl: cannot lock %s: %s\n", store, strerror(-r));
        return CTL_FAILED;
}

/* @only: the name of one log; NULL: those that are meant. */
static int verify_store(struct walk_all *w, const char *only)
{
        int lock = plog_folder_lock(w->store), r;

        if (lock < 0)
                return refuse_lock(w->store, lock);
        w->started_ms = clock_mono_ms();
        r = only ? sum_one(w, only) : plog_folder_list(w->store, sum_one, w);
        if (!r)
                r = only ? verify_one(w, only) : plog_folder_list(w->store, verify_one, w);
        file_close(lock);
        if (r) {
                fprintf(stderr, "chronik-ctl: cannot read %s: %s\n", w->store, strerror(-r));
                return CTL_FAILED;
        }
        if (json_array_size(w->results))
                return CTL_OK;
        fprintf(stderr, "chronik-ctl: there is no log%s%s in %s\n", w->topic ? " of topic " : "",
                w->topic ? w->topic : "", w->store);
        return CTL_FAILED;
}

int folder_verify(const struct ctl *c, const char *topic, long partition,
                  void (*progress)(const char *what, json_int_t bytes, json_int_t bytes_all), json_t **ret)
{
        struct walk_all w = {
                .c = c, .topic = topic, .partition = partition, .progress = progress, .results = json_array()
        };
        char *store, *slash = NULL;
        int status;

        if (asprintf(&store, "%s%s", c->dir ? c->dir : c->data_dir, c->dir ? "" : "/log") < 0)
                abort();
        for (size_t len = strlen(store); len > 1 && store[len - 1] == '/'; len--)
                store[len - 1] = '\0';
        if (c->dir) {
                slash = strrchr(store, '/');
                if (slash)
                        *slash++ = '\0';
        }
        w.store = c->dir && !slash ? "." : *store ? store : "/";
        status = verify_store(&w, !c->dir ? NULL : slash ? slash : store);
        if (status == CTL_OK)
                *ret = json_pack("{s:s, s:I, s:I, s:O}", "state", "done", "bytes", w.bytes, "bytes_all", w.bytes_all,
                                 "results", w.results);
        json_decref(w.results);
        free(store);
        return status;
}
