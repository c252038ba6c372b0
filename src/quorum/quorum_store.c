/* When the metadata store gets the image: some time after a change, or when the log has grown, so that a burst of
 * changes costs one commit. The log may be truncated behind what the store holds (DESIGN.md 6: synced before). */
#include "quorum/quorum_internal.h"

#include <errno.h>
#include <string.h>

#include "sys/diag.h"

#define STORE_AFTER_BYTES (1 << 20)
#define STORE_AFTER_MS 5000

static void store_run(struct io_job *job)
{
        struct quorum *q = container_of(job, struct quorum, store_job);

        q->store_result = meta_store_commit(q->store, q->store_image);
        if (!q->store_result)
                quorum_step(q, "image-stored");
        q->store_bytes_seen = meta_store_bytes(q->store);
}

static void store_done(struct io_job *job)
{
        struct quorum *q = container_of(job, struct quorum, store_job);

        q->store_full = q->store_result == -ENOSPC || q->store_result == -EDQUOT;
        if (q->store_result && !q->store_full)
                quorum_die_io(q->cfg.dir, q->store_result);
        q->store_busy = false;
        q->store_bytes = q->store_bytes_seen;
        if (q->store_full) { /* the log has it all; it is stored when there is room again */
                diag_limited(DIAG_ERROR,
                             "metadata: no room for the image in %s; free some. Nothing is lost: the log has it all",
                             q->cfg.dir);
                q->store_image = meta_image_unref(q->store_image);
                quorum_store_kick(q, false);
                quorum_disk_kick(q);
                quorum_stop_continue(q);
                return;
        }
        q->stored_index = q->store_image->index;
        q->images_stored++;
        q->store_image = meta_image_unref(q->store_image);
        quorum_log_drop(q);
        quorum_store_kick(q, false);
        quorum_stop_continue(q);
}

void quorum_store_kick(struct quorum *q, bool now)
{
        int64_t after_bytes = q->cfg.store_after_bytes ? q->cfg.store_after_bytes : STORE_AFTER_BYTES;

        if (q->store_busy || q->install_due || q->install_busy || q->stored_index >= q->image->index)
                return;
        if (!now && q->bytes_since_store < after_bytes) {
                if (!loop_timer_is_active(&q->store_timer))
                        loop_timer_start(&q->store_timer,
                                         q->cfg.store_after_ms ? q->cfg.store_after_ms : STORE_AFTER_MS);
                return;
        }
        loop_timer_stop(&q->store_timer);
        q->bytes_since_store = 0;
        q->store_busy = true;
        q->store_image = meta_image_ref(q->image);
        q->store_job = (struct io_job){ .run = store_run, .done = store_done, .reply_loop = q->cfg.loop };
        iopool_submit(q->cfg.pool, &q->store_job);
}

static void store_timer_fired(struct loop_timer *t)
{
        quorum_store_kick(container_of(t, struct quorum, store_timer), true);
}

void quorum_store_init(struct quorum *q)
{
        loop_timer_init(&q->store_timer, q->cfg.loop, store_timer_fired);
}
