/* Reading and writing of files by descriptor, and the small file that is replaced as a whole.
 * Folders and trees are in file_tree.c. */
#include "sys/file.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Repeat a call that a signal interrupted. */
#define RETRY(call) \
        ({ \
                __typeof__(call) retry_; \
                do \
                        retry_ = (call); \
                while (retry_ < 0 && errno == EINTR); \
                retry_; \
        })

enum {
        IOV_BATCH_MAX = 1024,        /* the kernel's UIO_MAXIOV */
        PROBE_STEP_LEN = 128 * 1024, /* the kernel's usual read-ahead */
};

static int result_of(int r)
{
        return r < 0 ? -errno : 0;
}

int file_open(const char *path, int flags)
{
        int fd = RETRY(open(path, flags | O_CLOEXEC, 0640));

        return fd < 0 ? -errno : fd;
}

int file_close(int fd)
{
        if (fd >= 0)
                (void)close(fd); /* Linux frees the descriptor whatever is returned; what matters was synced before */
        return -1;
}

static void file_closep(int *fd)
{
        *fd = file_close(*fd);
}

int file_info(const char *path, struct file_info *ret_info)
{
        struct stat st;

        if (stat(path, &st) < 0)
                return -errno;
        *ret_info = (struct file_info){
                .size = st.st_size,
                .mtime_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000,
                .is_dir = S_ISDIR(st.st_mode),
        };
        return 0;
}

int64_t file_size(int fd)
{
        struct stat st;

        return fstat(fd, &st) < 0 ? -errno : st.st_size;
}

int file_pwrite_all(int fd, const void *data, size_t len, int64_t pos)
{
        struct iovec iov = { (void *)(uintptr_t)data, len };

        return file_pwritev_all(fd, &iov, 1, pos);
}

/* Drop @len written bytes from the front of a vector. */
static void iov_advance(struct iovec **iov, int *count, size_t len)
{
        while (*count && len >= (*iov)->iov_len) {
                len -= (*iov)->iov_len;
                (*iov)++;
                (*count)--;
        }
        if (!*count)
                return;
        (*iov)->iov_base = (char *)(*iov)->iov_base + len;
        (*iov)->iov_len -= len;
}

int file_pwritev_all(int fd, struct iovec *iov, int iov_count, int64_t pos)
{
        iov_advance(&iov, &iov_count, 0); /* skips empty pieces in front */
        while (iov_count) {
                ssize_t n = RETRY(pwritev(fd, iov, MIN2(iov_count, IOV_BATCH_MAX), pos));

                if (n < 0)
                        return -errno;
                if (!n)
                        return -EIO; /* no progress without an error: not to be repeated for ever */
                pos += n;
                iov_advance(&iov, &iov_count, (size_t)n);
        }
        return 0;
}

ssize_t file_pread(int fd, void *buf, size_t len, int64_t pos)
{
        size_t done = 0;

        while (done < len) {
                ssize_t n = RETRY(pread(fd, (char *)buf + done, len - done, pos + (int64_t)done));

                if (n < 0)
                        return -errno;
                if (!n)
                        break;
                done += (size_t)n;
        }
        return (ssize_t)done;
}

ssize_t file_pread_nowait(int fd, void *buf, size_t len, int64_t pos)
{
        size_t done = 0;

        while (done < len) {
                struct iovec iov = { (char *)buf + done, len - done };
                ssize_t n = RETRY(preadv2(fd, &iov, 1, pos + (int64_t)done, RWF_NOWAIT));

                if (n < 0)
                        return errno == ENOSYS || errno == EINVAL ? -EOPNOTSUPP : -errno;
                if (!n)
                        break;
                done += (size_t)n;
        }
        return (ssize_t)done;
}

#ifndef SYS_cachestat
#define SYS_cachestat 451 /* Linux 6.5; the same number everywhere */
#endif

/* Pages of the range in the page cache. Return: pages or negative errno. */
static int64_t cached_pages(int fd, int64_t pos, size_t len)
{
        struct {
                uint64_t pos, len;
        } range = { (uint64_t)pos, len };
        struct {
                uint64_t cached, dirty, writeback, evicted, evicted_lately;
        } found;

        return syscall(SYS_cachestat, fd, &range, &found, 0) < 0 ? -errno : (int64_t)found.cached;
}

static int is_readable_now(int fd, int64_t pos)
{
        uint8_t byte;
        ssize_t n = file_pread_nowait(fd, &byte, 1, pos);

        return n == -EAGAIN ? 0 : n < 0 ? (int)n : 1;
}

int file_is_cached(int fd, int64_t pos, size_t len)
{
        const int64_t page = sysconf(_SC_PAGESIZE), last = pos + (int64_t)len - 1;
        int64_t pages, at;
        int r;

        if (!len)
                return 1;
        /* A page that is still being read counts as cached; reads arrive in order, so the last one tells. */
        r = is_readable_now(fd, last);
        if (r <= 0)
                return r;
        pages = cached_pages(fd, pos, len);
        if (pages >= 0)
                return pages >= last / page - pos / page + 1 ? is_readable_now(fd, pos) : 0;
        /* An older kernel: the first byte of each stretch that the kernel reads ahead at a time. */
        for (at = pos; at < last && r > 0; at += PROBE_STEP_LEN)
                r = is_readable_now(fd, at);
        return r;
}

int file_warm(int fd, int64_t pos, size_t len)
{
        uint8_t buf[32 * 1024];

        for (size_t at = 0; at < len; at += sizeof buf) {
                ssize_t n = file_pread(fd, buf, MIN2(sizeof buf, len - at), pos + (int64_t)at);

                if (n < 0)
                        return (int)n;
        }
        return 0;
}

int file_read_whole(const char *path, size_t len_max, char **ret_data, size_t *ret_len)
{
        CLEANUP(file_closep) int fd = file_open(path, O_RDONLY);
        CLEANUP(freep) char *data = NULL;
        size_t room, len = 0;
        int64_t size;

        if (fd < 0)
                return fd;
        size = file_size(fd);
        if (size < 0)
                return (int)size;
        if ((uint64_t)size > len_max)
                return -EFBIG;
        room = MAX2((size_t)size, (size_t)4095); /* files of /proc and /sys say 0 */
        for (;;) {
                char *grown = realloc(data, room + 1);
                ssize_t n;

                if (!grown)
                        return -ENOMEM;
                data = grown;
                n = file_pread(fd, data + len, room - len, (int64_t)len);
                if (n < 0)
                        return (int)n;
                len += (size_t)n;
                if (len > len_max)
                        return -EFBIG;
                if (len < room)
                        break;
                room += room; /* it grew since, or there is exactly no more */
        }
        data[len] = '\0';
        *ret_data = TAKE_PTR(data);
        *ret_len = len;
        return 0;
}

int file_sync(int fd)
{
        return result_of(RETRY(fdatasync(fd)));
}

int file_truncate(int fd, int64_t size)
{
        return result_of(RETRY(ftruncate(fd, size)));
}

int file_is_unshared(int fd)
{
        /* A lease to write is given only then. Whoever opens the file before it is given back raises a signal, by default
         * one that ends the process; this one does nothing. */
        if (fcntl(fd, F_SETSIG, SIGURG) || fcntl(fd, F_SETLEASE, F_WRLCK))
                return 0;
        (void)fcntl(fd, F_SETLEASE, F_UNLCK);
        return 1;
}

int file_reserve(int fd, int64_t pos, int64_t len)
{
        int r = RETRY(fallocate(fd, FALLOC_FL_KEEP_SIZE, pos, len));

        if (r < 0)
                return errno == ENOSYS ? -EOPNOTSUPP : -errno;
        return 0;
}

/* The temporary file is written in full and durable before it takes the name, and the folder is synced last: whatever
 * moment a crash chooses, the name leads to all of the old or all of the new content. A temporary file that a crash
 * left behind is overwritten by the next replacement. */
static int file_write_new(const char *path, struct span content)
{
        CLEANUP(file_closep) int fd = file_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW);
        int r;

        if (fd < 0)
                return fd;
        r = file_pwrite_all(fd, content.data, content.len, 0);
        return r ? r : result_of(RETRY(fsync(fd)));
}

static int file_sync_dir_of(const char *path)
{
        const char *slash = strrchr(path, '/');
        CLEANUP(freep) char *dir = NULL;

        if (!slash)
                return file_sync_dir(".");
        dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
        return dir ? file_sync_dir(dir) : -ENOMEM;
}

int file_replace(const char *path, struct span content)
{
        CLEANUP(freep) char *temp = NULL;
        int r;

        if (asprintf(&temp, "%s.tmp", path) < 0) {
                temp = NULL; /* undefined after a failure */
                return -ENOMEM;
        }
        r = file_write_new(temp, content);
        if (!r)
                r = file_rename(temp, path);
        if (r) {
                (void)unlink(temp); /* the first error is the one to tell */
                return r;
        }
        return file_sync_dir_of(path);
}

int file_lock(const char *path)
{
        CLEANUP(file_closep) int fd = file_open(path, O_RDWR | O_CREAT);
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        int ret;

        if (fd < 0)
                return fd;
        /* A lock of the open file description, so that a second open in this process does not share or drop it. */
        if (RETRY(fcntl(fd, F_OFD_SETLK, &lock)) < 0)
                return errno == EACCES ? -EWOULDBLOCK : -errno;
        ret = fd;
        fd = -1;
        return ret;
}

int file_space(const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
        struct statvfs st;

        if (RETRY(statvfs(path, &st)) < 0)
                return -errno;
        *ret_free = (uint64_t)st.f_bavail * st.f_frsize;
        *ret_total = (uint64_t)st.f_blocks * st.f_frsize;
        return 0;
}
