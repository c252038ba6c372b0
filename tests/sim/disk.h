/* A disk in memory, in the place of sys/file.c and sys/file_tree.c: every function of sys/file.h, and what a test does to
 * it. It promises no more than POSIX does at a loss of power:
 *
 *   - Data that was not synced: each sector of 512 bytes holds what it held at any moment since the last sync, or (torn)
 *     a part of two such moments; what was never written there reads as zeros.
 *   - A file's size, too, is that of any moment since its last sync, whatever its data is.
 *   - Names that were made, changed and removed since the folder was synced are there or not, each for itself. Only a
 *     rename happens as a whole. Syncing a file does not make its name durable.
 *   - A sync of a file that fails leaves its pages as if they were clean: they are read as before, and are on the disk or
 *     not; the next sync knows nothing of them.
 *
 * Descriptors are subscripts of a table. One thread. */
#pragma once

#include "chance.h"
#include "sys/file.h"

/* What can be made to fail, and is counted. */
enum disk_op {
        DISK_OPEN,     /* any open; -EIO or -EMFILE */
        DISK_CREATE,   /* of a file or folder */
        DISK_WRITE,    /* a part of the data may be written */
        DISK_SYNC,     /* of a file */
        DISK_SYNC_DIR, /* of a folder */
        DISK_RESERVE,
        DISK_RENAME,
        DISK_UNLINK,
        DISK_TRUNCATE,
        DISK_OPS,
};

const char *disk_op_name(enum disk_op op);

/* An empty disk with the folder "/". @seed: of all chance in it. */
void disk_init(uint64_t seed);
/* The same, one of several: those of a simulation with many machines. It lives as long as the process. */
struct disk *disk_new(uint64_t seed);
/* All calls, those of sys/file.h too, are to this one from now on. */
void disk_use(struct disk *d);
/* Free all; nothing is open. */
void disk_fini(void);

/* Operations that change something, since disk_init(). */
uint64_t disk_changes(void);
/* Operations of one kind since disk_init(). */
uint64_t disk_count(enum disk_op op);
/* The power goes right after the @n-th change from now on (1: the next one); 0: it does not. */
void disk_crash_after(uint64_t n);
/* The power is gone: every call but file_close() gives -EIO. */
bool disk_is_dead(void);
/* While held nothing fails and the power stays; what was due comes afterwards. For looking at what there is, which may build
 * an index again. */
void disk_hold(bool held);
bool disk_is_held(void);
/* It goes now. */
void disk_kill(void);
/* Chance from here on. */
void disk_reseed(uint64_t seed);
/* The @n-th operation of this kind from now on (1: the next one) fails with @error (negative errno), once. */
void disk_fail(enum disk_op op, uint64_t n, int error);
/* One in @one_in operations of this kind fails with @error; 0: none. */
void disk_fail_often(enum disk_op op, uint32_t one_in, int error);
/* Nothing new can be written: no file grows, none is made. */
void disk_set_full(bool full);
/* Has that happened? */
bool disk_has_failed(void);
/* All that was to fail does not any more. */
void disk_fail_none(void);

/* How much of what was not synced is there after the power had gone. */
enum disk_temper { DISK_LOSE_ALL, DISK_KEEP_ALL, DISK_KEEP_SOME, DISK_KEEP_MOST, DISK_IN_ORDER, DISK_TEMPERS };

/* The power is back: what was not synced is there or not, as chance has it. Nothing is open. */
void disk_power_on(void);
/* The same, with data and sizes, and with names, as given. @torn: a sector may be torn. */
void disk_power_on_as(enum disk_temper data, enum disk_temper names, bool torn);
/* Only the process ended: everything stays as it was, synced or not. Nothing is open. */
void disk_restart(void);
/* The process that had them open has ended. */
void disk_close_all(void);
/* Descriptors in use. */
unsigned disk_open_count(void);

/* Called in the middle of each sync of a file or folder: the test may do there what another thread might. NULL: nothing. */
void disk_on_sync(void (*fn)(void *arg), void *arg);

/* For a simulation with threads; each may be NULL. */
struct disk_hooks {
        /* Before and after a sync of a file or folder takes effect, and before a file is read (DISK_OPS): may wait. */
        void (*pause)(enum disk_op op, bool before);
        /* file_close() of what is no file of the disk. True: it was. */
        bool (*close_other)(int fd);
        /* The power went by disk_crash_after(): need not return. */
        void (*died)(void);
};
extern struct disk_hooks disk_hooks;

/* The content of a file as it would be read now, or NULL. Borrowed until the next call. */
const uint8_t *disk_peek(const char *path, int64_t *ret_size);
/* Write the tree with sizes to standard error. */
void disk_print(void);
