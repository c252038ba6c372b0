/* The audit log of a node: entries from all threads come into a queue of audit.queue_entries, and are written by the I/O pool, one
 * batch at a time. What is written is told to the journal as well. docs/SECURITY.md says what is recorded. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "chronikd/audit_topic.h"
#include "conf/conf.h"
#include "handler/audit.h"
#include "security/audit_log.h"
#include "sys/iopool.h"

struct audit_item;

/* Of another key that is asked for at the admin listener. */
enum audit_rotation { AUDIT_ROTATION_NONE, AUDIT_ROTATION_WANTED, AUDIT_ROTATION_RUNS, AUDIT_ROTATION_DONE };

struct audit {
        struct audit_sink sink; /* for who has something to record */
        const struct conf *conf;
        struct loop *loop;
        struct iopool *pool;
        struct audit_log *log; /* NULL: there is none */
        struct audit_topic topic;
        char dir[1200];

        pthread_mutex_t lock;                        /* guards what follows, up to the atomics */
        uint8_t keys[AUDIT_KEYS_MAX][AUDIT_KEY_LEN]; /* that have signed, oldest first, the one in use last */
        size_t keys_count;
        enum audit_rotation rotation;
        int rotation_result; /* when it is done */
        struct ilist queue;
        bool is_posted; /* mail is on its way to the loop */
        uint64_t dropped_unsaid;

        atomic_uint waiting; /* entries in the queue, and in the batch */
        _Atomic uint64_t written, dropped, failures, last;
        _Atomic int64_t checkpoint_ms; /* clock_mono_ms() of the last */

        /* The main loop's. */
        struct mail mail;
        struct loop_timer timer;
        struct io_job job;
        bool is_writing, is_failing;
        int64_t since_checkpoint; /* entries */
        void (*stopped)(void *arg);
        void *stopped_arg;

        /* The batch: the pool's while is_writing. */
        struct ilist batch;
        uint64_t batch_dropped;
        bool batch_checkpoint, batch_rotate;
        int batch_result, rotate_result;
};

/* Open the log when audit.enabled says so. Before any other thread runs; @n has its configuration, loop and pool. Return: 0, or 1: why has
 * been said. */
int audit_open(struct audit *a, struct node *n);
/* NULL: nothing is recorded. */
const struct audit_sink *audit_sink_of(const struct audit *a);
/* On the main loop, when it runs. */
void audit_start(struct audit *a);
/* Write what is left, and a checkpoint; then @stopped, on the main loop. Nothing is put any more. */
void audit_stop(struct audit *a, void (*stopped)(void *arg), void *arg);
void audit_close(struct audit *a);
/* Metrics; nothing when there is no log. Any thread. */
void audit_expose(const struct audit *a, struct strbuf *out);

/* Let another key sign, which is made for that. Waits until the log says so. A thread that may wait.
 * Return: 0; -EBUSY: somebody else does that just now; -ETIMEDOUT: the log cannot be written just now, and nothing has changed; other negative
 * errno: the key cannot be written to its place, likewise. */
int audit_rotate_key(struct audit *a);
/* The public keys that have signed, oldest first, the one in use last. Any thread. Return: how many. */
size_t audit_public_keys(struct audit *a, uint8_t ret_keys[AUDIT_KEYS_MAX][AUDIT_KEY_LEN]);

/* Before a change that is asked for at the admin listener: false when there was no room for its entry for some seconds. A thread that
 * may wait. */
bool audit_wait_for_room(const struct audit *a);
