/* The audit logs of all nodes in one place: the internal topic __chronik_audit. The files are what counts (chronikd/audit.h); this is
 * a copy for who wants to read along. Each node writes its lines, keyed by its id, to a partition that it leads itself, in order and with its
 * chain; what it cannot write there it counts, and does not try again. */
#pragma once

#include "base/strbuf.h"
#include "controller/controller.h"
#include "wire/batch_records.h"

struct node;

struct audit_topic {
        struct node *n;
        char key[16]; /* the node's id */

        /* The main loop's. */
        bool is_asking;
        struct controller_request ask;
        struct controller_create_topic create;
        struct conf_pair configs[3];
        char retention[24];
        struct arena mem;

        /* The thread's that writes. */
        struct batch_builder batch;
        bool is_open;
        int64_t in_batch, batch_ms;

        _Atomic uint64_t written, missed;
};

void audit_topic_init(struct audit_topic *t, struct node *n);
void audit_topic_fini(struct audit_topic *t);
/* Now and then, on the main loop: have the topic made, when there is none. */
void audit_topic_tick(struct audit_topic *t);
/* A line of the log, without its newline; and after several: they are to be written now. One thread at a time. */
void audit_topic_add(struct audit_topic *t, struct str line);
void audit_topic_flush(struct audit_topic *t);
/* Metrics. Any thread. */
void audit_topic_expose(const struct audit_topic *t, struct strbuf *out);
