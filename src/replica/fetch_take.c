/* What becomes of a leader's answer for one partition: records are checked and appended, a log that parts from the
 * leader's is cut. Nothing is believed that can be checked: the peer is authenticated, its memory and disks are not. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replica/replicator_priv.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "wire/batch.h"

enum { APPEND_LEN_MAX = 512 << 10 }; /* appended at once, under the partition's lock; one batch may be longer */

/* Whole batches from the start of @left, up to APPEND_LEN_MAX, each with the right CRC. Return: their bytes; 0: the first
 * one is not as it should be. *@ret_text says why something ended them. */
static size_t check_batches(struct span left, int32_t leader_epoch, const char **ret_text)
{
        struct batch_iter it = batch_iter_of(left);
        size_t len = 0;

        *ret_text = NULL;
        for (;;) {
                struct batch_header h;
                struct span batch;
                int r = batch_iter_next(&it, &batch, &h);

                if (r == BATCH_END || (len && len + batch_len(&h) > APPEND_LEN_MAX))
                        return len;
                if (r)
                        *ret_text = "is no whole batch";
                else if (batch_check_crc(batch, &h))
                        *ret_text = "does not match its CRC";
                else if (h.leader_epoch > leader_epoch)
                        *ret_text = "is of a leader epoch that is yet to come";
                if (*ret_text)
                        return len;
                len += batch.len;
        }
}

static void refused(struct follow *w, const char *text)
{
        struct partition_position pos = { 0 };

        atomic_fetch_add(&w->fetcher->r->batches_refused, 1);
        (void)partition_position(w->partition, &pos);
        diag_limited(
                DIAG_ERROR,
                "%s-%d: what leader %d sent at offset %lld %s: it is not taken, and fetched again. When this does not "
                "end, look at the leader's disk (chronik-ctl log verify) and at both nodes' memory",
                partition_topic_name(w->partition), partition_index(w->partition), w->fetcher->node,
                (long long)pos.end_offset, text);
}

/* Return: 0 all is appended; else it is settled what becomes of @w. */
static int append_all(struct follow *w, struct span records)
{
        struct replicator *r = w->fetcher->r;

        while (records.len) {
                const char *text;
                size_t len = check_batches(records, w->leader_epoch, &text);
                struct plog_run_result res = { 0 };
                int e = len ? partition_follow_append(w->partition, w->leader_epoch, span_of(records.data, len), &res)
                            : -EINVAL;

                atomic_fetch_add(&r->bytes_fetched, res.len);
                throttle_note(&r->follower_throttle, clock_mono_ms(), (int64_t)res.len);
                if (!e && !text) {
                        records = span_of(records.data + len, records.len - len);
                        continue;
                }
                if (!e || e == -EINVAL)
                        refused(w, text ? text : "does not follow what is here");
                else if (e == PLOG_E_FAILED)
                        w->state = FOLLOW_FAILED; /* the leader is told with the news of it */
                /* Not following any more: the role's news comes. No room: the operator knows of it. */
                return e ? e : -EINVAL;
        }
        return 0;
}

/* ---- cutting ---- */

static int begin_with_head(struct follow *w)
{
        struct plog_run_result res;
        int r = partition_follow_restart(w->partition, w->leader_epoch, w->cut_offset);

        if (!r)
                r = partition_follow_append(w->partition, w->leader_epoch, span_of(w->head, w->head_len), &res);
        if (!r)
                r = partition_follow_start(w->partition, w->leader_epoch, w->head_start);
        if (!r) /* told once */
                r = partition_follow_watermark(w->partition, w->leader_epoch, w->head_watermark);
        return r;
}

static void cut_run(struct io_job *job)
{
        struct follow *w = container_of(job, struct follow, job);

        switch (w->cut) {
        case CUT_TRUNCATE:
                w->cut_outcome = partition_follow_truncate(w->partition, w->leader_epoch, w->cut_epoch, w->cut_offset);
                break;
        case CUT_RESTART:
                w->cut_outcome = partition_follow_restart(w->partition, w->leader_epoch, w->cut_offset);
                break;
        case CUT_START:
                w->cut_outcome = partition_follow_start(w->partition, w->leader_epoch, w->cut_offset);
                break;
        case CUT_HEAD:
                w->cut_outcome = begin_with_head(w);
                break;
        }
}

static void cut_done(struct io_job *job)
{
        struct follow *w = container_of(job, struct follow, job);
        struct fetcher *f = w->fetcher;

        f->r->busy--;
        free(w->head);
        w->head = NULL;
        if (w->gone) {
                partition_unref(w->partition);
                free(w);
                return;
        }
        if (w->cut_outcome == PLOG_E_FAILED)
                w->state = FOLLOW_FAILED;
        else if (w->cut_outcome)
                follow_later(w);
        else
                follow_changed(w);
        fetcher_run(f);
}

static void cut(struct follow *w, enum follow_cut cut, int32_t epoch, int64_t offset)
{
        struct replicator *r = w->fetcher->r;

        w->cut = cut;
        w->cut_epoch = epoch;
        w->cut_offset = offset;
        w->state = FOLLOW_BUSY;
        w->job = (struct io_job){ .run = cut_run, .done = cut_done, .reply_loop = r->loop };
        r->busy++;
        iopool_submit(r->cfg.pool, &w->job);
}

/* Our log ends before the leader's begins, or behind its end although both agree on what is below. */
static void out_of_range(struct follow *w, const struct replica_fetch_response_partition *said)
{
        struct replicator *r = w->fetcher->r;
        struct partition_position pos;

        if (partition_position(w->partition, &pos)) {
                follow_later(w);
        } else if (pos.end_offset < said->start_offset) {
                diag(DIAG_NOTICE,
                     "%s-%d: the log ends at offset %lld, and leader %d has nothing older than %lld any more: it "
                     "begins anew there",
                     partition_topic_name(w->partition), partition_index(w->partition), (long long)pos.end_offset,
                     w->fetcher->node, (long long)said->start_offset);
                atomic_fetch_add(&r->restarts, 1);
                cut(w, CUT_RESTART, 0, said->start_offset);
        } else if (said->end_offset >= 0 && pos.end_offset > said->end_offset) {
                atomic_fetch_add(&r->truncations, 1);
                cut(w, CUT_TRUNCATE, INT32_MAX, said->end_offset);
        } else {
                follow_later(w); /* it has moved meanwhile */
        }
}

/* All that our log has lies below where the leader's begins, or it is empty, and that is in the middle of a batch (DeleteRecords): ours
 * has to begin with that batch, of which the records before the start are not served. What we have in its place may be of another
 * past: epochs do not tell where those parted that ended below the leader's start. True: it is settled what becomes of @w. */
static bool begins_in_batch(struct follow *w, const struct replica_fetch_response_partition *said)
{
        struct batch_iter it = batch_iter_of(span_of(said->records.data, said->records.len));
        struct partition_position pos;
        struct batch_header h;
        struct span batch;
        const char *text;

        if (partition_position(w->partition, &pos) ||
            (pos.start_offset != pos.end_offset && pos.end_offset > said->start_offset) ||
            batch_iter_next(&it, &batch, &h) || h.base_offset >= pos.end_offset ||
            batch_last_offset(&h) < pos.end_offset)
                return false;
        if (!check_batches(batch, w->leader_epoch, &text)) {
                refused(w, text);
                follow_later(w);
                return true;
        }
        w->head = malloc(batch.len);
        if (!w->head) {
                follow_later(w);
                return true;
        }
        memcpy(w->head, batch.data, batch.len);
        w->head_len = batch.len;
        w->head_start = said->start_offset;
        w->head_watermark = said->high_watermark;
        cut(w, CUT_HEAD, 0, h.base_offset);
        return true;
}

static void diverged(struct follow *w, const struct replica_fetch_response_partition *said)
{
        struct partition_position pos = { 0 };

        (void)partition_position(w->partition, &pos);
        diag(DIAG_NOTICE,
             "%s-%d: the log parts from that of leader %d (leader epoch %d) at offset %lld or before (its epoch %d "
             "ends "
             "there, our log at %lld): what is behind is cut off and fetched",
             partition_topic_name(w->partition), partition_index(w->partition), w->fetcher->node, w->leader_epoch,
             (long long)said->diverging_end, said->diverging_epoch, (long long)pos.end_offset);
        atomic_fetch_add(&w->fetcher->r->truncations, 1);
        cut(w, CUT_TRUNCATE, said->diverging_epoch, said->diverging_end);
}

void follow_take(struct follow *w, const struct replica_fetch_response_partition *said)
{
        struct partition_position pos;
        bool records = said->records.data && said->records.len;

        if (said->error == REPLICA_FETCH_E_OUT_OF_RANGE) {
                out_of_range(w, said);
                return;
        }
        if (said->error || said->leader_epoch != w->leader_epoch) {
                w->added = false; /* the partition may be another object by then */
                follow_later(w);
                return;
        }
        if (said->diverging_epoch >= 0) {
                diverged(w, said);
                return;
        }
        if (records && begins_in_batch(w, said))
                return;
        if (records && append_all(w, span_of(said->records.data, said->records.len))) {
                if (w->state != FOLLOW_FAILED)
                        follow_later(w);
                return;
        }
        (void)partition_follow_watermark(w->partition, w->leader_epoch, said->high_watermark);
        if (records)
                w->tries = 0;
        if (!partition_position(w->partition, &pos) && said->start_offset > pos.durable_start &&
            said->start_offset <= pos.end_offset)
                cut(w, CUT_START, 0, said->start_offset);
        else if (records)
                follow_changed(w);
}
