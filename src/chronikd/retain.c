/* A sweep holds a reference to every partition that was there when it began, and takes some of them at each turn of the
 * pool, so that flushes do not wait for all of it. */
#include "chronikd/retain.h"

#include <errno.h>

#include "sys/clock.h"
#include "sys/diag.h"

enum { LOGS_PER_TURN = 16 };

/* Return: true when there is more to remove. */
static bool retain_one(struct partition *p)
{
        struct plog *log = partition_log(p);
        struct partition_view view;
        int64_t now_ms = clock_wall_ms();
        int r;

        partition_view(p, &view);
        if (view.closed || view.failed)
                return false;
        r = plog_retain(log, &(struct plog_retain_args){ .now_ms = now_ms,
                                                         .below_offset = view.high_watermark,
                                                         .deleted_only = view.role != PARTITION_LEADER });
        if (r > 0)
                partition_start_moved(p);
        else if (r < 0)
                diag_limited(DIAG_ERROR, "%s-%d: old segments cannot be removed: %s", partition_topic_name(p),
                             partition_index(p), strerror(-r));
        plog_expire_producers(log, now_ms);
        return r == PLOG_RETAIN_MAX;
}

static void run(struct io_job *job)
{
        struct retain *t = container_of(job, struct retain, job);

        for (int i = 0; i < LOGS_PER_TURN && t->todo_count; i++) {
                struct partition *p = t->todo[--t->todo_count];

                if (retain_one(p)) {
                        t->todo[t->todo_count++] = p; /* there is room: it was just taken out */
                        return;                       /* flushes have their turn */
                }
                partition_unref(p);
        }
}

static void sweep_end(struct retain *t)
{
        while (t->todo_count)
                partition_unref(t->todo[--t->todo_count]);
        free(t->todo);
        t->todo = NULL;
        t->todo_size = 0;
        t->running = false;
        if (t->stopping)
                t->stopped(t->arg);
}

static void done(struct io_job *job)
{
        struct retain *t = container_of(job, struct retain, job);

        if (t->todo_count && !t->stopping)
                iopool_submit(t->pool, &t->job);
        else
                sweep_end(t);
}

static int collect(void *arg, struct partition *p)
{
        struct retain *t = arg;

        if (t->todo_count == t->todo_size) {
                size_t size = t->todo_size ? t->todo_size * 2 : 64;
                struct partition **todo = realloc(t->todo, size * sizeof *todo);

                if (!todo)
                        return -ENOMEM;
                t->todo = todo;
                t->todo_size = size;
        }
        t->todo[t->todo_count++] = partition_ref(p);
        return 0;
}

void retain_start(struct retain *t)
{
        if (t->running || t->stopping)
                return;
        /* When memory is out, those that were collected have their turn; the others at the next sweep. */
        (void)partition_table_visit(t->table, collect, t);
        t->running = true;
        t->job = (struct io_job){ .run = run, .done = done, .reply_loop = t->loop };
        iopool_submit(t->pool, &t->job);
}

void retain_stop(struct retain *t, void (*stopped)(void *arg), void *arg)
{
        t->stopping = true;
        t->stopped = stopped;
        t->arg = arg;
        if (!t->running)
                stopped(arg);
}
