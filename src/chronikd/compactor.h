/* Compaction of the logs of this node: one at a time, the one with the largest share of new records first, in small steps on the
 * I/O pool at a bounded rate. */
#pragma once

#include <stdatomic.h>

#include "plog/compact.h"
#include "replica/table.h"
#include "sys/iopool.h"

struct strbuf;

struct compactor {
        /* By the owner, before compactor_start(). */
        struct partition_table *table;
        struct iopool *pool;
        struct loop *loop;
        int64_t interval_ms;          /* between two looks when nothing was to be done */
        int64_t bytes_per_second_max; /* read and written; 0: no limit */
        size_t map_bytes_max;         /* memory for keys, while it works */

        struct io_job job;
        struct loop_timer timer;
        struct partition *partition; /* at work on it; counted */
        struct plog_compaction *work;
        int outcome; /* of the last step */
        int64_t step_bytes, seen_bytes;
        /* Logs that cannot be compacted until the node starts again (damage, keys that do not fit), each reported once. With
         * so many of them nothing is compacted any more: the disk is to blame. */
        struct {
                struct uuid topic_id;
                int32_t index;
        } hopeless[64];
        unsigned hopeless_count;
        bool on_pool, stopping;
        void (*stopped)(void *arg);
        void *arg;

        atomic_ullong runs, bytes_read, bytes_written, failures;
};

/* On the loop. */
void compactor_start(struct compactor *c);
/* Begin nothing more, put away what is in work, then call @stopped, once. On the loop, after compactor_start(). */
void compactor_stop(struct compactor *c, void (*stopped)(void *arg), void *arg);
