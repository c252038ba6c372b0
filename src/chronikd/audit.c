/* See audit.h.
 *
 *   audit_put() --queue--> mail, main loop --batch--> I/O pool: audit_log_write() --> main loop: the next batch, or a second's pause
 *
 * A batch that cannot be written stays until it can. Meanwhile the queue fills, and then audit.on_full says what happens. */
#include "chronikd/audit.h"

#include <errno.h>
#include <stdio.h>

#include "chronikd/node.h"
#include "obs/expo.h"
#include "sys/diag.h"

enum { TICK_MS = 1000, BATCH_MAX = 1024, ROOM_MS = 10, ROOM_TRIES = 200, ROTATION_TRIES = 500 };

struct audit_item {
        struct ilist link;
        size_t len;
        char members[];
};

/* ---- any thread ---- */

static bool is_full(void *arg)
{
        const struct audit *a = arg;

        return a->conf->audit.on_full == CONF_ON_FULL_BLOCK &&
               atomic_load_explicit(&a->waiting, memory_order_relaxed) >= a->conf->audit.queue_entries;
}

bool audit_wait_for_room(const struct audit *a)
{
        if (!a->log)
                return true;
        for (int i = 0; i < ROOM_TRIES && is_full((void *)(uintptr_t)a); i++)
                clock_sleep_ms(ROOM_MS);
        return !is_full((void *)(uintptr_t)a);
}

/* Ask the main loop to look. @a's lock is held. Return: whether mail is to be posted. */
static bool wake(struct audit *a)
{
        bool post = !a->is_posted;

        a->is_posted = true;
        return post;
}

static int rotation_ask(struct audit *a)
{
        bool is_busy, post;

        pthread_mutex_lock(&a->lock);
        is_busy = a->rotation != AUDIT_ROTATION_NONE;
        if (!is_busy)
                a->rotation = AUDIT_ROTATION_WANTED;
        post = !is_busy && wake(a);
        pthread_mutex_unlock(&a->lock);
        if (post)
                loop_post(a->loop, &a->mail);
        return is_busy ? -EBUSY : 0;
}

/* Is it over? One that nobody has begun @late is over, too. */
static bool rotation_is_over(struct audit *a, bool late, int *ret_result)
{
        bool is_over;

        pthread_mutex_lock(&a->lock);
        is_over = a->rotation == AUDIT_ROTATION_DONE || (late && a->rotation == AUDIT_ROTATION_WANTED);
        if (is_over) {
                *ret_result = a->rotation == AUDIT_ROTATION_DONE ? a->rotation_result : -ETIMEDOUT;
                a->rotation = AUDIT_ROTATION_NONE;
        }
        pthread_mutex_unlock(&a->lock);
        return is_over;
}

int audit_rotate_key(struct audit *a)
{
        int r = rotation_ask(a);

        for (int i = 0; !r && !rotation_is_over(a, i >= ROTATION_TRIES, &r); i++)
                clock_sleep_ms(ROOM_MS);
        return r;
}

size_t audit_public_keys(struct audit *a, uint8_t ret_keys[AUDIT_KEYS_MAX][AUDIT_KEY_LEN])
{
        size_t count;

        pthread_mutex_lock(&a->lock);
        count = a->keys_count;
        memcpy(ret_keys, a->keys, count * sizeof a->keys[0]);
        pthread_mutex_unlock(&a->lock);
        return count;
}

static struct audit_item *item_of(const struct audit_entry *e)
{
        CLEANUP(strbuf_finip) struct strbuf members = { 0 };
        struct audit_item *item;

        audit_entry_write(e, &members);
        item = members.failed ? NULL : malloc(sizeof *item + members.len);
        if (!item)
                return NULL;
        item->len = members.len;
        memcpy(item->members, members.data, members.len);
        return item;
}

static void put(void *arg, const struct audit_entry *e)
{
        struct audit *a = arg;
        struct audit_item *item = NULL;
        bool may_drop = a->conf->audit.on_full == CONF_ON_FULL_DROP, post;

        if (!may_drop || atomic_load_explicit(&a->waiting, memory_order_relaxed) < a->conf->audit.queue_entries)
                item = item_of(e);
        pthread_mutex_lock(&a->lock);
        if (item) {
                ilist_push_back(&a->queue, &item->link);
                atomic_fetch_add(&a->waiting, 1);
        } else { /* also when memory is out: then there is no other way */
                a->dropped_unsaid++;
                atomic_fetch_add(&a->dropped, 1);
        }
        post = wake(a);
        pthread_mutex_unlock(&a->lock);
        if (post)
                loop_post(a->loop, &a->mail);
}

/* ---- the pool ---- */

static void written(void *arg, struct str line)
{
        struct audit *a = arg;

        if (a->conf->audit.journal)
                diag(DIAG_INFO, "audit: %.*s", STR_FMT(line));
        audit_topic_add(&a->topic, line);
}

static void job_run(struct io_job *job)
{
        struct audit *a = container_of(job, struct audit, job);
        struct str members[BATCH_MAX];
        size_t count = 0;

        a->rotate_result = a->batch_rotate ? audit_log_prepare_key(a->log) : 0;

        ilist_for_each (item, &a->batch, struct audit_item, link)
                members[count++] = (struct str){ item->members, item->len };
        a->batch_result = audit_log_write(a->log, &(struct audit_batch){ .members = members,
                                                                         .count = count,
                                                                         .dropped = a->batch_dropped,
                                                                         .checkpoint = a->batch_checkpoint,
                                                                         .rotate = a->batch_rotate && !a->rotate_result,
                                                                         .written = written,
                                                                         .arg = a });
        if (a->batch_rotate && !a->rotate_result)
                a->rotate_result = a->batch_result;
        if (a->batch_result)
                return;
        atomic_store(&a->last, audit_log_last(a->log));
        audit_topic_flush(&a->topic);
}

/* ---- the main loop ---- */

static unsigned batch_drop(struct audit *a)
{
        struct ilist *node;
        unsigned count = 0;

        while ((node = ilist_pop_front(&a->batch))) {
                free(container_of(node, struct audit_item, link));
                count++;
        }
        return count;
}

/* Move what waits into the batch, as far as it goes. */
static void batch_take(struct audit *a)
{
        size_t count = 0;
        struct ilist *node;

        ilist_for_each (item, &a->batch, struct audit_item, link)
                count++;
        pthread_mutex_lock(&a->lock);
        while (count < BATCH_MAX && (node = ilist_pop_front(&a->queue))) {
                ilist_push_back(&a->batch, node);
                count++;
        }
        a->batch_rotate = a->rotation == AUDIT_ROTATION_WANTED;
        if (a->batch_rotate)
                a->rotation = AUDIT_ROTATION_RUNS;
        if (ilist_is_empty(&a->queue)) { /* dropped ones are told behind those that came before them */
                a->batch_dropped += a->dropped_unsaid;
                a->dropped_unsaid = 0;
        }
        pthread_mutex_unlock(&a->lock);
        a->batch_checkpoint = a->since_checkpoint + (int64_t)count >= a->conf->audit.checkpoint_entries ||
                              (a->since_checkpoint + (int64_t)count > 0 &&
                               clock_mono_ms() - a->checkpoint_ms >= a->conf->audit.checkpoint_interval_ms) ||
                              (a->stopped && a->since_checkpoint + (int64_t)count > 0);
}

static void kick(struct audit *a)
{
        if (a->is_writing || a->is_failing)
                return;
        batch_take(a);
        if (ilist_is_empty(&a->batch) && !a->batch_dropped && !a->batch_checkpoint && !a->batch_rotate) {
                if (a->stopped)
                        a->stopped(a->stopped_arg);
                return;
        }
        a->is_writing = true;
        iopool_submit(a->pool, &a->job);
}

static void batch_written(struct audit *a)
{
        unsigned count = batch_drop(a);

        atomic_fetch_sub(&a->waiting, count);
        atomic_fetch_add(&a->written, count);
        a->since_checkpoint += count + (a->batch_dropped > 0);
        a->batch_dropped = 0;
        if (a->batch_checkpoint) {
                a->since_checkpoint = 0;
                atomic_store(&a->checkpoint_ms, clock_mono_ms());
        }
        a->batch_checkpoint = false;
}

static void rotated(struct audit *a)
{
        pthread_mutex_lock(&a->lock);
        a->keys_count = audit_log_public_keys(a->log, a->keys);
        a->rotation = AUDIT_ROTATION_DONE;
        a->rotation_result = a->rotate_result;
        pthread_mutex_unlock(&a->lock);
        a->batch_rotate = false;
}

static void job_done(struct io_job *job)
{
        struct audit *a = container_of(job, struct audit, job);

        a->is_writing = false;
        if (a->batch_rotate)
                rotated(a);
        if (!a->batch_result) {
                batch_written(a);
                kick(a);
                return;
        }
        atomic_fetch_add(&a->failures, 1);
        diag_about_limited(
                DIAG_ERROR,
                DIAG_ABOUT(AUDIT_FAILED, { "PATH", .text = str_of(a->dir) }, { "ERRNO", .number = -a->batch_result }),
                "the audit log in %s cannot be written: %s. %u entries wait; %s until it can", a->dir,
                strerror(-a->batch_result), atomic_load(&a->waiting),
                a->conf->audit.on_full == CONF_ON_FULL_BLOCK ? "when there are audit.queue_entries clients wait"
                                                             : "those above audit.queue_entries are lost");
        if (a->stopped) {
                diag(DIAG_ERROR, "the audit log in %s: this node stops, and its last entries are lost", a->dir);
                batch_drop(a);
                a->stopped(a->stopped_arg);
                return;
        }
        a->is_failing = true; /* until the timer */
}

static void on_mail(struct loop *l, struct mail *m)
{
        struct audit *a = container_of(m, struct audit, mail);

        (void)l;
        pthread_mutex_lock(&a->lock);
        a->is_posted = false;
        pthread_mutex_unlock(&a->lock);
        kick(a);
}

static void on_tick(struct loop_timer *t)
{
        struct audit *a = container_of(t, struct audit, timer);

        a->is_failing = false;
        audit_topic_tick(&a->topic);
        kick(a);
        loop_timer_start(t, TICK_MS);
}

/* ---- life ---- */

static int open_log(struct audit *a, const struct conf *c)
{
        char why[1400], key_file[1300];
        char key[AUDIT_KEY_HEX_SIZE];

        snprintf(a->dir, sizeof a->dir, "%s/audit", c->server.data_dir);
        snprintf(key_file, sizeof key_file, "%s/key.pem", a->dir);
        if (audit_log_open(&(struct audit_log_config){ .dir = a->dir,
                                                       .key_file = *c->audit.signing_key_file
                                                                           ? c->audit.signing_key_file
                                                                           : key_file,
                                                       .node = (int32_t)c->server.node_id,
                                                       .file_bytes = c->audit.file_bytes,
                                                       .files_max = (size_t)c->audit.files_max },
                           &a->log, why, sizeof why))
                return node_fail("cannot open the audit log", why);
        a->keys_count = audit_log_public_keys(a->log, a->keys);
        audit_hex(a->keys[a->keys_count - 1], AUDIT_KEY_LEN, key);
        atomic_store(&a->last, audit_log_last(a->log));
        diag(DIAG_INFO, "the audit log in %s goes on behind entry %llu; its checkpoints are signed by %s", a->dir,
             (unsigned long long)atomic_load(&a->last), key);
        return 0;
}

int audit_open(struct audit *a, struct node *n)
{
        const struct conf *conf = n->conf;

        if (!conf->audit.enabled)
                return 0;
        a->conf = conf;
        a->loop = n->loop;
        a->pool = n->pool;
        audit_topic_init(&a->topic, n);
        a->sink = (struct audit_sink){ .put = put,
                                       .is_full = is_full,
                                       .arg = a,
                                       .node = (int32_t)conf->server.node_id,
                                       .grants_admin = conf->audit.grants != CONF_GRANTS_NONE,
                                       .grants_all = conf->audit.grants == CONF_GRANTS_ALL };
        ilist_init(&a->queue);
        ilist_init(&a->batch);
        pthread_mutex_init(&a->lock, NULL);
        a->mail.fn = on_mail;
        a->job = (struct io_job){ .run = job_run, .done = job_done, .reply_loop = n->loop };
        a->checkpoint_ms = clock_mono_ms();
        loop_timer_init(&a->timer, n->loop, on_tick);
        return open_log(a, conf);
}

const struct audit_sink *audit_sink_of(const struct audit *a)
{
        return a->log ? &a->sink : NULL;
}

void audit_start(struct audit *a)
{
        if (a->log)
                loop_timer_start(&a->timer, TICK_MS);
}

void audit_stop(struct audit *a, void (*stopped)(void *arg), void *arg)
{
        if (!a->log) {
                stopped(arg);
                return;
        }
        loop_timer_stop(&a->timer);
        a->stopped = stopped;
        a->stopped_arg = arg;
        a->is_failing = false; /* it is tried once more */
        kick(a);
}

void audit_close(struct audit *a)
{
        struct ilist *node;

        if (!a->log)
                return;
        batch_drop(a);
        while ((node = ilist_pop_front(&a->queue)))
                free(container_of(node, struct audit_item, link));
        audit_topic_fini(&a->topic);
        if (a->topic.is_asking) /* which nobody answers any more */
                arena_fini(&a->topic.mem);
        a->log = audit_log_close(a->log);
        pthread_mutex_destroy(&a->lock);
}

void audit_expose(const struct audit *a, struct strbuf *out)
{
        if (!a->log)
                return;
        expo_family(out, "chronik_audit_entries_total", "counter",
                    "Entries of the audit log that are on stable storage.");
        expo_value(out, "chronik_audit_entries_total", "", NULL, (double)atomic_load(&a->written));
        expo_family(out, "chronik_audit_dropped_total", "counter",
                    "Entries that there was no room for: they are missing, and the log says how many.");
        expo_value(out, "chronik_audit_dropped_total", "", NULL, (double)atomic_load(&a->dropped));
        expo_family(out, "chronik_audit_write_failures_total", "counter",
                    "Writes of the audit log that failed and were tried again.");
        expo_value(out, "chronik_audit_write_failures_total", "", NULL, (double)atomic_load(&a->failures));
        expo_family(out, "chronik_audit_queue_entries", "gauge", "Entries that are not written yet.");
        expo_value(out, "chronik_audit_queue_entries", "", NULL, atomic_load(&a->waiting));
        expo_family(out, "chronik_audit_checkpoint_age_seconds", "gauge",
                    "Time since the audit log was signed last. While nothing is recorded it only grows.");
        expo_value(out, "chronik_audit_checkpoint_age_seconds", "", NULL,
                   (double)(clock_mono_ms() - atomic_load(&a->checkpoint_ms)) / 1000);
        audit_topic_expose(&a->topic, out);
}
