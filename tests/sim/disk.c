/* Files of the disk in memory: what sys/file.c is to a real one. See disk.h. */
#include "disk_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sys/clock.h"

static struct disk the_disk;
struct disk *disk = &the_disk;
struct disk_hooks disk_hooks;

void disk_trace(const char *fmt, ...)
{
        static int traced = -1;
        va_list args;

        if (traced < 0)
                traced = getenv("SIM_TRACE") && *getenv("SIM_TRACE") >= '2';
        if (!traced)
                return;
        fprintf(stderr, "      %llu disk: ", (unsigned long long)disk->changes + 1);
        va_start(args, fmt);
        vfprintf(stderr, fmt, args);
        va_end(args);
        fprintf(stderr, "\n");
}

const char *disk_op_name(enum disk_op op)
{
        static const char *const names[DISK_OPS] = { "open",    "create", "write",  "sync",    "sync of a folder",
                                                     "reserve", "rename", "unlink", "truncate" };

        return names[op];
}

void *list_grow(void *list, size_t count, size_t *room, size_t size)
{
        if (count < *room)
                return list;
        *room = *room ? *room * 2 : 8;
        list = realloc(list, *room * size);
        assert(list);
        return list;
}

/* ---- life, crashes, failures ---- */

struct inode *inode_new(bool is_dir)
{
        struct inode *n = calloc(1, sizeof *n);

        assert(n);
        n->is_dir = is_dir;
        n->number = ++disk->nodes_made;
        n->locked_fd = -1;
        n->mtime_ms = clock_wall_ms();
        ilist_push_back(&disk->nodes, &n->link);
        return n;
}

void changes_clear(struct inode *n)
{
        for (size_t i = 0; i < n->changes_count; i++)
                free(n->changes[i].data);
        n->changes_count = 0;
}

void inode_free(struct inode *n)
{
        ilist_unlink(&n->link);
        changes_clear(n);
        free(n->changes);
        free(n->live.data);
        free(n->stable.data);
        free(n->names.list);
        free(n->stable_names.list);
        free(n->namings);
        free(n);
}

void disk_init(uint64_t seed)
{
        *disk = (struct disk){ .chance = { seed } };
        ilist_init(&disk->nodes);
        disk->root = inode_new(true);
}

struct disk *disk_new(uint64_t seed)
{
        struct disk *d = malloc(sizeof *d), *before = disk;

        assert(d);
        disk = d;
        disk_init(seed);
        disk = before;
        return d;
}

void disk_use(struct disk *d)
{
        disk = d;
}

void disk_fini(void)
{
        assert(!disk_open_count());
        ilist_for_each (n, &disk->nodes, struct inode, link)
                inode_free(n);
}

uint64_t disk_changes(void)
{
        return disk->changes;
}

uint64_t disk_count(enum disk_op op)
{
        return disk->counts[op];
}

void disk_crash_after(uint64_t n)
{
        disk->crash_at = n ? disk->changes + n : 0;
}

void disk_kill(void)
{
        disk->dead = true;
}

void disk_reseed(uint64_t seed)
{
        disk->chance.state = seed;
}

bool disk_is_dead(void)
{
        return disk->dead;
}

void disk_fail(enum disk_op op, uint64_t n, int error)
{
        disk->faults[op].at = disk->counts[op] + n;
        disk->faults[op].error = error;
}

void disk_fail_often(enum disk_op op, uint32_t one_in, int error)
{
        disk->ills[op].one_in = one_in;
        disk->ills[op].error = error;
}

void disk_set_full(bool full)
{
        disk->full = full;
}

bool disk_has_failed(void)
{
        return disk->has_failed;
}

void disk_fail_none(void)
{
        for (int i = 0; i < DISK_OPS; i++)
                disk->faults[i].at = 0;
        disk->has_failed = false;
}

void disk_close_all(void)
{
        for (int fd = 0; fd < FDS_MAX; fd++)
                if (disk->fds[fd])
                        file_close(fd);
}

unsigned disk_open_count(void)
{
        return disk->fds_count;
}

void disk_on_sync(void (*fn)(void *arg), void *arg)
{
        disk->on_sync = fn;
        disk->on_sync_arg = arg;
}

void sync_interrupted(void)
{
        if (!disk->on_sync || disk->in_sync || disk->dead)
                return;
        disk->in_sync = true;
        disk->on_sync(disk->on_sync_arg);
        disk->in_sync = false;
}

int op_begin(enum disk_op op)
{
        if (disk->dead)
                return -EIO;
        if (disk->held)
                return 0;
        disk->counts[op]++;
        if (disk->full && (op == DISK_CREATE || op == DISK_RESERVE))
                return -ENOSPC;
        if (disk->ills[op].one_in && chance_one_in(&disk->chance, disk->ills[op].one_in)) {
                disk->has_failed = true;
                disk_trace("%s fails: %s", disk_op_name(op), strerror(-disk->ills[op].error));
                return disk->ills[op].error;
        }
        if (disk->counts[op] != disk->faults[op].at)
                return 0;
        disk->has_failed = true;
        disk_trace("%s fails: %s", disk_op_name(op), strerror(-disk->faults[op].error));
        return disk->faults[op].error;
}

void op_changed(void)
{
        if (++disk->changes < disk->crash_at || !disk->crash_at || disk->held)
                return;
        disk->dead = true;
        if (disk_hooks.died)
                disk_hooks.died();
}

bool disk_is_held(void)
{
        return disk->held;
}

void disk_hold(bool held)
{
        disk->held = held;
        if (!held && disk->crash_at && disk->changes >= disk->crash_at)
                disk->dead = true;
}

/* ---- bytes ---- */

void bytes_resize(struct bytes *b, int64_t size)
{
        if (size > b->room) {
                b->room = MAX2(size, b->room * 2);
                b->data = realloc(b->data, (size_t)b->room);
                assert(b->data);
        }
        if (size > b->size)
                memset(b->data + b->size, 0, (size_t)(size - b->size));
        b->size = size;
}

void bytes_write(struct bytes *b, int64_t pos, const uint8_t *data, size_t len)
{
        if (pos + (int64_t)len > b->size)
                bytes_resize(b, pos + (int64_t)len);
        memcpy(b->data + pos, data, len);
}

/* ---- sys/file.h: descriptors ---- */

static struct inode *inode_of(int fd)
{
        assert(fd >= 0 && fd < FDS_MAX && disk->fds[fd]);
        return disk->fds[fd];
}

static int fd_new(struct inode *n)
{
        for (int fd = 0; fd < FDS_MAX; fd++)
                if (!disk->fds[fd]) {
                        disk->fds[fd] = n;
                        disk->fds_count++;
                        return fd;
                }
        return -EMFILE;
}

static void truncate_node(struct inode *n, int64_t size)
{
        if (size == n->live.size)
                return;
        *LIST_ADD(n->changes, n->changes_count, n->changes_room) = (struct change){ .is_truncate = true, .pos = size };
        bytes_resize(&n->live, size);
        n->mtime_ms = clock_wall_ms();
        disk_trace("truncate file %llu to %lld", (unsigned long long)n->number, (long long)size);
        op_changed();
}

int file_open(const char *path, int flags)
{
        struct inode *parent, *n;
        const char *name;
        int r = op_begin(DISK_OPEN);

        if (r)
                return r;
        n = path_find(path, &parent, &name);
        if (n && (flags & O_CREAT) && (flags & O_EXCL))
                return -EEXIST;
        if (n && (flags & O_DIRECTORY) && !n->is_dir)
                return -ENOTDIR;
        if (n && n->is_dir && (flags & (O_WRONLY | O_RDWR)))
                return -EISDIR;
        if (!n && (!parent || !(flags & O_CREAT)))
                return -ENOENT;
        if (!n) {
                r = op_begin(DISK_CREATE);
                if (r)
                        return r;
                n = inode_new(false);
                naming_do(parent, NAME_LINK, "", name, n);
        } else if (flags & O_TRUNC) {
                truncate_node(n, 0);
        }
        disk_trace("open %s, file %llu", path, (unsigned long long)n->number);
        return fd_new(n);
}

int file_close(int fd)
{
        struct inode *n;

        if (fd < 0 || (disk_hooks.close_other && disk_hooks.close_other(fd)))
                return -1;
        n = inode_of(fd);
        if (n->locked_fd == fd)
                n->locked_fd = -1;
        disk->fds[fd] = NULL;
        disk->fds_count--;
        return -1;
}

int file_info(const char *path, struct file_info *ret_info)
{
        struct inode *n;

        if (disk->dead)
                return -EIO;
        n = path_find(path, NULL, NULL);
        if (!n)
                return -ENOENT;
        *ret_info = (struct file_info){ .size = n->live.size, .mtime_ms = n->mtime_ms, .is_dir = n->is_dir };
        return 0;
}

int64_t file_size(int fd)
{
        return disk->dead ? -EIO : inode_of(fd)->live.size;
}

int file_lock(const char *path)
{
        int fd = file_open(path, O_RDWR | O_CREAT);

        if (fd < 0)
                return fd;
        if (inode_of(fd)->locked_fd >= 0) {
                file_close(fd);
                return -EWOULDBLOCK;
        }
        inode_of(fd)->locked_fd = fd;
        return fd;
}

/* One process: nobody shares. */
int file_lock_shared(const char *path)
{
        int fd = file_open(path, O_RDONLY);

        if (fd < 0)
                return fd;
        if (inode_of(fd)->locked_fd >= 0) {
                file_close(fd);
                return -EWOULDBLOCK;
        }
        return fd;
}

int file_space(const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
        (void)path;
        if (disk->dead)
                return -EIO;
        *ret_free = 1 << 29;
        *ret_total = 1 << 30;
        return 0;
}

/* ---- sys/file.h: content ---- */

static void write_node(struct inode *n, const uint8_t *data, size_t len, int64_t pos)
{
        struct change *c = LIST_ADD(n->changes, n->changes_count, n->changes_room);

        *c = (struct change){ .pos = pos, .len = len, .data = malloc(len ? len : 1) };
        assert(c->data);
        memcpy(c->data, data, len);
        bytes_write(&n->live, pos, data, len);
        n->mtime_ms = clock_wall_ms();
        disk_trace("write file %llu, %zu at %lld", (unsigned long long)n->number, len, (long long)pos);
}

int file_pwrite_all(int fd, const void *data, size_t len, int64_t pos)
{
        struct inode *n = inode_of(fd);
        int r;

        if (!len)
                return 0;
        r = op_begin(DISK_WRITE);
        if (!r && disk->full && pos + (int64_t)len > n->live.size)
                r = -ENOSPC;
        if (r && !disk->dead)
                len = chance_below(&disk->chance, len); /* a part of it went well */
        if (!disk->dead && len) {
                write_node(n, data, len, pos);
                op_changed();
        }
        return r;
}

int file_pwritev_all(int fd, struct iovec *iov, int iov_count, int64_t pos)
{
        for (int i = 0; i < iov_count; i++) {
                int r = file_pwrite_all(fd, iov[i].iov_base, iov[i].iov_len, pos);

                if (r)
                        return r;
                pos += (int64_t)iov[i].iov_len;
        }
        return 0;
}

ssize_t file_pread(int fd, void *buf, size_t len, int64_t pos)
{
        const struct inode *n = inode_of(fd);

        if (disk_hooks.pause)
                disk_hooks.pause(DISK_OPS, true);
        if (disk->dead)
                return -EIO;
        if (n->is_dir)
                return -EISDIR;
        if (pos >= n->live.size)
                return 0;
        len = MIN2(len, (size_t)(n->live.size - pos));
        memcpy(buf, n->live.data + pos, len);
        return (ssize_t)len;
}

ssize_t file_pread_nowait(int fd, void *buf, size_t len, int64_t pos)
{
        return file_pread(fd, buf, len, pos);
}

int file_is_cached(int fd, int64_t pos, size_t len)
{
        (void)inode_of(fd);
        (void)pos;
        (void)len;
        return disk->dead ? -EIO : 1;
}

int file_is_unshared(int fd)
{
        const struct inode *n = inode_of(fd);
        int count = 0;

        for (int i = 0; i < FDS_MAX; i++)
                count += disk->fds[i] == n;
        return count == 1;
}

/* All is in memory: what the kernel is told of the future changes nothing. */
void file_read_no_ahead(int fd)
{
        (void)inode_of(fd);
}

void file_read_ahead(int fd, int64_t pos, int64_t len)
{
        (void)pos;
        (void)len;
        (void)inode_of(fd);
}

/* There is no page cache to read past. */
int file_reopen_direct(int fd)
{
        (void)inode_of(fd);
        return -EOPNOTSUPP;
}

ssize_t file_pread_direct(int fd, void *buf, size_t len, int64_t pos)
{
        return file_pread(fd, buf, len, pos);
}

ssize_t file_pread_aside(int fd, void *buf, size_t len, int64_t pos)
{
        return file_pread(fd, buf, len, pos);
}

void file_give_up(int fd, int64_t pos, int64_t len)
{
        (void)pos;
        (void)len;
        (void)inode_of(fd);
}

int file_warm(int fd, int64_t pos, size_t len)
{
        (void)pos;
        (void)len;
        (void)inode_of(fd);
        return disk->dead ? -EIO : 0;
}

int file_truncate(int fd, int64_t size)
{
        struct inode *n = inode_of(fd);
        int r = op_begin(DISK_TRUNCATE);

        if (!r)
                truncate_node(n, size);
        return r;
}

int file_reserve(int fd, int64_t pos, int64_t len)
{
        (void)inode_of(fd);
        (void)pos;
        (void)len;
        return op_begin(DISK_RESERVE); /* blocks behind the end are no part of the content */
}

/* Whole pages go to the disk, as they are read; what a failed sync left clean in others does not. */
static void write_back(struct inode *n)
{
        for (size_t i = 0; i < n->changes_count; i++) {
                const struct change *c = &n->changes[i];
                int64_t from = c->pos / PAGE * PAGE, to = c->pos + (int64_t)c->len;

                if (c->is_truncate && c->pos < n->stable.size)
                        bytes_resize(&n->stable, c->pos);
                to = MIN2((to + PAGE - 1) / PAGE * PAGE, n->live.size);
                if (!c->is_truncate && from < to)
                        bytes_write(&n->stable, from, n->live.data + from, (size_t)(to - from));
        }
        bytes_resize(&n->stable, n->live.size);
}

int file_sync(int fd)
{
        struct inode *n = inode_of(fd);
        int r;

        if (disk_hooks.pause)
                disk_hooks.pause(DISK_SYNC, true);
        r = op_begin(DISK_SYNC);
        if (r && !disk->dead)
                changes_lose(n);
        if (r)
                return r;
        if (n->changes_count) {
                write_back(n);
                changes_clear(n);
                disk_trace("sync file %llu", (unsigned long long)n->number);
                op_changed();
        }
        if (disk_hooks.pause)
                disk_hooks.pause(DISK_SYNC, false);
        sync_interrupted(); /* what is written from here on is not covered */
        return 0;
}

int file_forget(int fd, int64_t pos)
{
        struct inode *n = inode_of(fd);
        int r = file_sync(fd);

        if (!r && !disk->dead)
                forget_pages(n, pos / PAGE * PAGE);
        return r;
}

const uint8_t *disk_peek(const char *path, int64_t *ret_size)
{
        const struct inode *n = path_find(path, NULL, NULL);

        if (!n || n->is_dir)
                return NULL;
        *ret_size = n->live.size;
        return n->live.data ? n->live.data : (const uint8_t *)"";
}

/* Modes are nothing here. */
int file_create_new(const char *path, unsigned mode, struct span content)
{
        int fd = file_open(path, O_WRONLY | O_CREAT | O_EXCL), r;

        (void)mode;
        if (fd < 0)
                return fd;
        r = file_pwrite_all(fd, content.data, content.len, 0);
        if (!r)
                r = file_sync(fd);
        file_close(fd);
        return r;
}
