/* Reading a partition into a machine, a slice at a time on the I/O pool. */
#include <errno.h>
#include <string.h>

#include "coord/shard_priv.h"
#include "sys/diag.h"
#include "wire/batch_records.h"

enum { SLICE_LEN_MAX = 1 << 20 };

static int replay_batch(struct coord_shard *s, const struct batch_header *h, struct span batch)
{
        int64_t producer_id = batch_is_transactional(h) ? h->producer_id : -1;
        struct batch_records it;
        struct batch_record rec;
        int r = batch_records_open(&it, batch, 0);

        if (r)
                return r < 0 ? r : -EBADMSG;
        while (!(r = batch_records_next(&it, &rec))) {
                r = rec.key.data ? s->args.ops->replay(s->machine, producer_id, rec.key, rec.value) : 0;
                if (r)
                        break;
                s->load_records++;
        }
        batch_records_close(&it);
        if (r == BATCH_END)
                return 0;
        return r < 0 ? r : -EBADMSG;
}

static int replay_control(struct coord_shard *s, const struct batch_header *h, struct span batch)
{
        struct batch_marker m;
        int r = batch_marker_of(batch, &m);

        if (r < 0 || !s->args.ops->replay_marker)
                return MIN2(r, 0);
        if (r || (m.type != BATCH_MARKER_COMMIT && m.type != BATCH_MARKER_ABORT))
                return 0; /* of another kind, which says nothing of transactions */
        return s->args.ops->replay_marker(s->machine, h->producer_id, m.type == BATCH_MARKER_COMMIT);
}

static int replay_slice(struct coord_shard *s, struct span bytes)
{
        struct batch_iter it = batch_iter_of(bytes);
        struct batch_header h;
        struct span batch;
        int r;

        while (!(r = batch_iter_next(&it, &batch, &h))) {
                r = batch_is_control(&h) ? replay_control(s, &h, batch) : replay_batch(s, &h, batch);
                if (r)
                        return r;
        }
        return r == BATCH_END ? 0 : -EBADMSG;
}

static int read_slice(struct coord_shard *s, const struct plog_slice *slice)
{
        int r;

        if (slice->len > s->load_buf_size) {
                uint8_t *buf = realloc(s->load_buf, slice->len);

                if (!buf)
                        return -ENOMEM;
                s->load_buf = buf;
                s->load_buf_size = slice->len;
        }
        r = plog_slice_copy(slice, s->load_buf);
        return r ? r : replay_slice(s, span_of(s->load_buf, slice->len));
}

/* On a pool thread. */
static void load_run(struct io_job *job)
{
        struct coord_shard *s = container_of(job, struct coord_shard, load);
        struct plog *log = partition_log(s->args.partition);
        struct plog_slice slice = { 0 };
        struct plog_read_args args = {
                .from_offset = s->load_offset,
                .below_offset = s->load_end,
                .len_max = SLICE_LEN_MAX,
                .at_least_one = true,
        };
        struct plog_ends ends;
        int r;

        plog_ends(log, &ends);
        args.from_offset = MAX2(args.from_offset, ends.start_offset); /* retention may have moved it */
        if (args.from_offset >= s->load_end) {
                s->load_done = true;
                return;
        }
        r = plog_read(log, &args, true, &slice);
        if (!r && !slice.len)
                s->load_done = true;
        if (!r && slice.len) {
                r = read_slice(s, &slice);
                s->load_offset = slice.next_offset;
                plog_slice_release(&slice);
        }
        s->load_result = r;
}

static void load_failed(struct coord_shard *s, int r)
{
        diag(DIAG_ERROR, "%s: cannot be read at offset %lld (%s); what it coordinates is not served until it can",
             s->name, (long long)s->load_offset,
             r < 0                 ? strerror(-r)
             : r == PLOG_E_DAMAGED ? "damaged on disk"
                                   : "log closed");
        shard_fail(s, COORD_E_NOT_COORDINATOR);
}

static void load_finished(struct coord_shard *s)
{
        free(s->load_buf);
        s->load_buf = NULL;
        s->load_buf_size = 0;
        diag(DIAG_DEBUG, "%s: %llu records of coordinator state read in %lld ms", s->name,
             (unsigned long long)s->load_records, (long long)(clock_mono_ms() - s->load_started_ms));
        shard_set_state(s, SHARD_CONFIRMING);
        shard_wait(s, s->load_end);
}

/* Back on the loop. */
static void load_done(struct io_job *job)
{
        struct coord_shard *s = container_of(job, struct coord_shard, load);

        s->load_runs = false;
        if (s->state == SHARD_CLOSING) {
                shard_maybe_gone(s);
                return;
        }
        if (s->load_result) {
                load_failed(s, s->load_result);
                return;
        }
        if (s->load_done) {
                load_finished(s);
                return;
        }
        s->load_runs = true;
        iopool_submit(s->args.pool, &s->load);
}

void shard_load(struct coord_shard *s)
{
        struct partition_view view;
        struct plog_ends ends;
        int r;

        assert(!s->machine && !s->load_runs && !s->wait_runs);
        shard_set_state(s, SHARD_LOADING);
        r = s->args.ops->new (s->args.machine_arg, &s->machine);
        if (r) {
                load_failed(s, r);
                return;
        }
        partition_view(s->args.partition, &view); /* first: what is led later may have more */
        s->leader_epoch = view.leader_epoch;
        plog_ends(partition_log(s->args.partition), &ends);
        s->load_offset = ends.start_offset;
        s->load_end = ends.end_offset;
        s->load_done = false;
        s->load_result = 0;
        s->load_records = 0;
        s->load_started_ms = clock_mono_ms();
        s->load = (struct io_job){ .run = load_run, .done = load_done, .reply_loop = s->args.loop };
        s->load_runs = true;
        iopool_submit(s->args.pool, &s->load);
}
