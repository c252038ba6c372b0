/* What the files of chronik-ctl doctor share: findings, and the host that is looked at. Memory lives as long as the process. */
#pragma once

#include "ctl/ctl.h"

struct doctor {
        const char *
                root; /* what goes before every path, "" for this machine; otherwise a tree that was copied, or a test's */
        const char *sysctl;   /* folder of the settings that ought to be; NULL: where systems have them */
        const char *data_dir; /* where the records are */
        json_t *findings, *skipped;
        int looked; /* checks that could be made */
        bool failed;
};

/* ---- doctor.c ---- */

/* @check: which kind, such as "sysctl". @remedy: what to do. */
void doctor_found(struct doctor *d, const char *check, const char *remedy, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* A check that cannot be made here, and why. */
void doctor_skipped(struct doctor *d, const char *check, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The content of a file below the root, without white space at its end; NULL: it cannot be read. */
char *doctor_read(const struct doctor *d, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- doctor_sysctl.c ---- */

/* Are the settings in force that the files name? A folder that was given and cannot be read: d->failed, and why is said. */
void doctor_sysctl(struct doctor *d);

/* ---- doctor_host.c ---- */

void doctor_clock(struct doctor *d);
void doctor_memory(struct doctor *d);
void doctor_limits(struct doctor *d);
void doctor_disk(struct doctor *d);
void doctor_certificates(struct doctor *d);
