/* How far the start has come: what systemd, /readyz and the operator are told while a controller is waited for and logs are opened. */
#pragma once

#include "base/macros.h"

struct node;

enum { PROGRESS_TEXT_SIZE = 160 };

struct progress {
        int64_t waiting_ms; /* monotonic: since when a controller is waited for */
        int64_t begun_ms;   /* 0: no log is opened yet */
        int64_t told_ms;    /* systemd, last */
        int64_t said_ms;    /* the operator, last */
        uint64_t told_sum;  /* what was done by then */
};

/* Logs are opened from now on. Main loop. */
void progress_begin(struct node *n);
/* Now and then until the node is ready: says how far it is, as often as is good. Main loop. */
void progress_tick(struct node *n, int64_t now_mono_ms);
/* Every log is open: one line when logs had to be recovered. Main loop. */
void progress_end(struct node *n);
/* "recovering: 312 of 1000 partitions, 1.4 of at least 3.2 GB read", or "starting". Any thread. */
void progress_text(struct node *n, char ret_text[PROGRESS_TEXT_SIZE]);
