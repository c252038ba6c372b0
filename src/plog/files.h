/* Descriptors of all logs: opened on demand, kept open up to a bound, closed by second chance when it is passed.
 * A file that is pinned stays open; the bound is passed rather than a pin refused.
 *
 * Pinning an open file is one atomic step; opening and closing go under one lock. Any thread. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"

struct files {
        atomic_uint refs; /* the store and every file */
        pthread_mutex_t lock;
        struct ilist open; /* ring in order of opening; the front is looked at first */
        unsigned open_count, open_max;
        atomic_ulong opened_total;
};

/* Opaque in plog.h: a pin is the file itself, with one more pin and one more reference. */
struct plog_pin {
        atomic_uint refs;
        atomic_int pins;  /* -1: closed; changed from and to it only under files.lock */
        atomic_bool used; /* second chance */
        int fd;
        struct files *files;
        struct ilist link;
        char *path;
};

/* @open_max: how many descriptors to keep open, pinned ones beyond that. Return: 0 or -ENOMEM. */
int files_new(unsigned open_max, struct files **ret_files);
struct files *files_unref(struct files *f);
/* More files are open than wished, because they are pinned. */
bool files_over_limit(struct files *f);
unsigned files_open_count(struct files *f);

/* A file that may be opened later. @path is copied. */
int pin_file_new(struct files *f, const char *path, struct plog_pin **ret_file);
struct plog_pin *pin_file_ref(struct plog_pin *p);
struct plog_pin *pin_file_unref(struct plog_pin *p);
DEFINE_FREEP(struct plog_pin, pin_file_unref)

/* Open if needed (@flags added to O_RDWR) and keep open until unpin. Return: descriptor or negative errno. */
int pin_file_pin(struct plog_pin *p, int flags);
void pin_file_unpin(struct plog_pin *p);
