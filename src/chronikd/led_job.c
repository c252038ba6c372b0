/* Work on logs that blocks, on the I/O pool.
 *
 *   led_reconcile() --nothing there--> QUEUED --first of its folder, pool has room--> RUNNING --done--> looked at again
 *          \--a job is there: it will look again when it is done                        ^--more to do---/ \--> freed
 *
 * Invariants: 1. one job to a partition; 2. of the jobs of one folder only the first is queued or running, so that a
 * deleted topic's folder is out of the way before its successor of the same name is opened; 3. `pending` is in the
 * order of the images that asked, and a job that looks again keeps its place. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "chronikd/led_internal.h"
#include "sys/diag.h"

enum { FOLDER_NAME_SIZE = 300 }; /* a topic's name has at most 249 bytes */

/* The folder of a log, while something is done to it. */
struct led_folder {
        UT_hash_handle hh;
        struct ilist jobs;
        char name[]; /* TOPIC-PARTITION */
};

struct led_job {
        struct io_job io;
        struct ilist folder_link, pending_link, queue_link;
        struct led *led;
        struct led_folder *folder;
        struct uuid topic_id;
        int32_t index;
        int64_t image_index; /* the image that asked for it */
        bool again;          /* the image has changed since: look once more */
        struct led_work work;
};

/* ---- on the pool ---- */

static void run_open(struct led_job *job)
{
        const char *name = job->folder->name;
        struct partition_open_args args = { .topic_id = job->topic_id,
                                            .index = job->index,
                                            .node_id = job->led->node_id,
                                            .high_watermark =
                                                    watermarks_find(job->led->watermarks, job->topic_id, job->index),
                                            .leader_epoch = -1, /* its role comes when it can be found */
                                            .conf = job->work.conf,
                                            .events = led_events(job->led),
                                            .lag_max_ms = job->led->replica_lag_max_ms,
                                            .lease_until_ms = job->led->lease_until_ms };
        char dir[1400], topic[FOLDER_NAME_SIZE];
        struct plog *log;
        int r;

        snprintf(dir, sizeof dir, "%s/%s", job->led->dir, name);
        snprintf(topic, sizeof topic, "%.*s", (int)(strrchr(name, '-') - name), name);
        r = plog_open(job->led->store,
                      &(struct plog_open_args){ .dir = dir,
                                                .name = name,
                                                .topic_id = job->topic_id,
                                                .partition = job->index,
                                                .conf = job->work.log_conf },
                      &log);
        if (!r) {
                args.topic_name = topic;
                args.log = plog_ref(log);
                r = partition_new(&args, &job->work.partition);
                if (r) {
                        plog_unref(log);
                        plog_close(log);
                }
        }
        if (r)
                diag_limited(
                        DIAG_ERROR,
                        "partition %s cannot be opened (%s): it is not served, and tried again in a minute. Look at "
                        "folder %s",
                        name, strerror(r < 0 ? -r : EIO), dir);
}

static void job_run(struct io_job *io)
{
        struct led_job *job = container_of(io, struct led_job, io);

        if (job->work.kind == LED_OPEN)
                run_open(job);
        else if (job->work.kind == LED_DELETE)
                (void)plog_delete(partition_log(job->work.partition)); /* it has told the operator */
        else
                plog_close(partition_log(job->work.partition));
}

/* ---- on the loop ---- */

static void jobs_run(struct led *led)
{
        struct ilist *link;

        while (led->jobs_running < led->jobs_max && (link = ilist_pop_front(&led->queue))) {
                struct led_job *job = ilist_entry(link, struct led_job, queue_link);

                led->jobs_running++;
                iopool_submit(led->pool, &job->io);
        }
}

static void folder_next(struct led *led, struct led_folder *f)
{
        if (ilist_is_empty(&f->jobs)) {
                HASH_DEL(led->folders, f);
                free(f);
        } else {
                struct led_job *job = ilist_entry(f->jobs.next, struct led_job, folder_link);

                ilist_unlink(&job->queue_link);
                ilist_push_back(&led->queue, &job->queue_link);
        }
}

static void job_free(struct led_job *job)
{
        struct led_folder *f = job->folder;
        struct led *led = job->led;
        bool first = f->jobs.next == &job->folder_link;

        ilist_unlink(&job->folder_link);
        ilist_unlink(&job->pending_link);
        ilist_unlink(&job->queue_link);
        free(job);
        if (first)
                folder_next(led, f);
}

static void count_open(struct led_job *job)
{
        if (job->work.kind == LED_OPEN)
                atomic_fetch_add(&job->led->opens_wanted, 1);
}

static void job_done(struct io_job *io)
{
        struct led_job *job = container_of(io, struct led_job, io);
        struct led *led = job->led;

        led->jobs_running--;
        if (job->work.kind == LED_OPEN)
                atomic_fetch_add(&led->opens_done, 1);
        if (job->work.kind != LED_OPEN)
                partition_unref(job->work.partition);
        else if (job->work.partition)
                led_opened(led, job->work.partition);
        else
                led->failed = true;
        if (job->again && led_look(led, job->topic_id, job->index, &job->work)) {
                job->again = false;
                count_open(job);
                ilist_push_back(&led->queue, &job->queue_link);
        } else {
                job_free(job);
        }
        jobs_run(led);
        led_report(led);
}

void led_report(struct led *led)
{
        bool idle = ilist_is_empty(&led->pending);
        int64_t index = !led->image ? 0
                        : idle      ? led->image->index
                                    : ilist_entry(led->pending.next, struct led_job, pending_link)->image_index - 1;

        if (index > led->reported_index) {
                if (!led->reported_index && led->replicator)
                        replicator_opened(led->replicator);
                led->reported_index = index;
                led->applied(led->arg, index);
        }
        if (idle && led->closed)
                led->closed(led->arg);
}

static struct led_folder *folder_get(struct led *led, const char *name)
{
        size_t len = strlen(name);
        struct led_folder *f;

        HASH_FIND(hh, led->folders, name, len, f);
        if (f)
                return f;
        f = calloc(1, sizeof *f + len + 1);
        if (!f)
                return NULL;
        memcpy(f->name, name, len);
        ilist_init(&f->jobs);
        HASH_ADD_KEYPTR(hh, led->folders, f->name, len, f);
        return f;
}

static int job_new(struct led *led, const char *folder_name, struct led_job **ret_job)
{
        struct led_folder *f = folder_get(led, folder_name);
        struct led_job *job = f ? calloc(1, sizeof *job) : NULL;

        if (!job) {
                if (f && ilist_is_empty(&f->jobs))
                        folder_next(led, f);
                return -ENOMEM;
        }
        job->io = (struct io_job){ .run = job_run, .done = job_done, .reply_loop = led->loop };
        job->led = led;
        job->folder = f;
        job->image_index = led->image->index;
        ilist_init(&job->folder_link);
        ilist_init(&job->pending_link);
        ilist_init(&job->queue_link);
        *ret_job = job;
        return 0;
}

static struct led_job *job_find(struct led *led, const char *folder_name, struct uuid topic_id)
{
        struct led_folder *f;

        HASH_FIND(hh, led->folders, folder_name, strlen(folder_name), f);
        if (f)
                ilist_for_each (job, &f->jobs, struct led_job, folder_link)
                        if (uuid_equal(job->topic_id, topic_id))
                                return job;
        return NULL;
}

void led_reconcile(struct led *led, struct str topic_name, struct uuid topic_id, int32_t index)
{
        char name[FOLDER_NAME_SIZE];
        struct led_job *job;
        struct led_work work;

        snprintf(name, sizeof name, "%.*s-%d", STR_FMT(topic_name), index);
        job = job_find(led, name, topic_id);
        if (job) {
                job->again = true;
                return;
        }
        if (!led_look(led, topic_id, index, &work))
                return;
        if (job_new(led, name, &job)) {
                diag(DIAG_ERROR,
                     "out of memory: partition %s is not served until its topic changes or the node starts again",
                     name);
                if (work.kind != LED_OPEN) { /* what was closed must not stay half open */
                        plog_close(partition_log(work.partition));
                        partition_unref(work.partition);
                }
                return;
        }
        job->topic_id = topic_id;
        job->index = index;
        job->work = work;
        count_open(job);
        ilist_push_back(&led->pending, &job->pending_link);
        ilist_push_back(&job->folder->jobs, &job->folder_link);
        if (job->folder->jobs.next == &job->folder_link)
                ilist_push_back(&led->queue, &job->queue_link);
        jobs_run(led);
}

void led_jobs_cancel(struct led *led)
{
        ilist_for_each (job, &led->pending, struct led_job, pending_link) {
                bool waits = !ilist_is_empty(&job->queue_link) || job->folder->jobs.next != &job->folder_link;

                if (waits && job->work.kind == LED_OPEN)
                        job_free(job);
                else
                        job->again = true;
        }
        jobs_run(led);
}
