/* What disk.c (files), names.c (folders) and crash.c (what is left after a crash) share. */
#pragma once

#include "base/list.h"
#include "disk.h"

enum { SECTOR = 512, PAGE = 4096, FDS_MAX = 512, NAME_SIZE = 256 };

struct bytes {
        uint8_t *data;
        int64_t size, room;
};

/* A change of a file's content that is not durable. */
struct change {
        bool is_truncate;
        int64_t pos; /* truncation: the new size */
        size_t len;
        uint8_t *data;
};

struct inode;

struct name {
        char text[NAME_SIZE];
        struct inode *node;
};

struct names {
        struct name *list;
        size_t count, room;
};

enum { NAME_LINK, NAME_UNLINK, NAME_RENAME };

/* A change of a folder that is not durable. */
struct naming {
        int kind;
        uint64_t when; /* over all folders */
        char from[NAME_SIZE], to[NAME_SIZE];
        struct inode *node;
};

struct inode {
        struct ilist link; /* disk.nodes */
        uint64_t number;
        bool is_dir, reached;
        bool is_unlike; /* without changes, and yet read otherwise than it is on the disk: a sync failed */
        int locked_fd;  /* -1 */
        int64_t mtime_ms;
        /* A file: as it is read, as it is on the disk, what lies between. */
        struct bytes live, stable;
        struct change *changes;
        size_t changes_count, changes_room;
        /* A folder: the same. */
        struct names names, stable_names;
        struct naming *namings;
        size_t namings_count, namings_room;
};

struct disk {
        struct ilist nodes;
        struct inode *root;
        struct inode *fds[FDS_MAX];
        unsigned fds_count;
        uint64_t nodes_made, namings_made;
        struct chance chance;
        uint64_t changes, crash_at;
        uint64_t counts[DISK_OPS];
        bool dead, held;
        struct {
                uint64_t at; /* count at which it happens; 0: not */
                int error;
        } faults[DISK_OPS];
        struct {
                uint32_t one_in; /* 0: never */
                int error;
        } ills[DISK_OPS];
        bool has_failed, full;
        void (*on_sync)(void *arg);
        void *on_sync_arg;
        bool in_sync; /* no call in a call */
};

/* The one that calls of sys/file.h go to. */
extern struct disk *disk;

/* ---- disk.c ---- */

/* Room for one more element of a list. */
void *list_grow(void *list, size_t count, size_t *room, size_t size);
#define LIST_ADD(list, count, room) ((list) = list_grow((list), (count), &(room), sizeof *(list)), &(list)[(count)++])
/* With SIM_TRACE=2: write what the disk does. */
void disk_trace(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* May an operation of this kind go on? 0 or negative errno. */
int op_begin(enum disk_op op);
/* It changed something. */
void op_changed(void);
struct inode *inode_new(bool is_dir);
void inode_free(struct inode *n);
/* Size @size, with zeros behind what was there. */
void bytes_resize(struct bytes *b, int64_t size);
void bytes_write(struct bytes *b, int64_t pos, const uint8_t *data, size_t len);
void changes_clear(struct inode *n);
/* The test's turn in the middle of a sync. */
void sync_interrupted(void);

/* ---- names.c ---- */

/* The node at @path or NULL; @ret_parent (may be NULL): the folder that holds it or would; @ret_name: its last name. */
struct inode *path_find(const char *path, struct inode **ret_parent, const char **ret_name);
struct inode *names_find(const struct names *n, const char *text);
/* Change a folder now, and note that this is not durable. */
void naming_do(struct inode *dir, int kind, const char *from, const char *to, struct inode *n);
/* The same to a list. */
void naming_apply(struct names *n, const struct naming *what);
void names_copy(struct names *to, const struct names *from);

/* ---- crash.c ---- */

/* A sync failed: the changes are on the disk or not, and are not known any more. */
void changes_lose(struct inode *n);
/* Pages from @pos on are read from the disk again. */
void forget_pages(struct inode *n, int64_t pos);
