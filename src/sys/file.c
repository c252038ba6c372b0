/* Reading and writing of files by descriptor. Folders and trees are in file_tree.c, whole files in file_whole.c. */
#include "sys/file.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sys/iopool.h"

/* Repeat a call that a signal interrupted; when it returns, the thread has made a step. */
#define RETRY(call) \
        ({ \
                __typeof__(call) retry_; \
                do \
                        retry_ = (call); \
                while (retry_ < 0 && errno == EINTR); \
                iopool_step(); \
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

void file_read_no_ahead(int fd)
{
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
}

void file_read_ahead(int fd, int64_t pos, int64_t len)
{
        if (len > 0) /* 0 means to the end */
                (void)posix_fadvise(fd, pos, len, POSIX_FADV_WILLNEED);
}

void file_give_up(int fd, int64_t pos, int64_t len)
{
        if (len > 0)
                (void)posix_fadvise(fd, pos, len, POSIX_FADV_DONTNEED);
}

int file_warm(int fd, int64_t pos, size_t len)
{
        const int64_t last = pos + (int64_t)len - 1;
        uint8_t byte;
        ssize_t n = 0;

        if (!len)
                return 0;
        file_read_ahead(fd, pos, (int64_t)len);
        /* All of it is on its way, in few large requests. Now wait, without copying it, at the end of each. */
        for (int64_t at = pos; at < last && n >= 0; at += PROBE_STEP_LEN)
                n = file_pread(fd, &byte, 1, at);
        if (n >= 0)
                n = file_pread(fd, &byte, 1, last);
        return n < 0 ? (int)n : 0;
}

ssize_t file_pread_aside(int fd, void *buf, size_t len, int64_t pos)
{
        bool cold = file_is_cached(fd, pos, len) == 0;
        ssize_t n = file_pread(fd, buf, len, pos);

        if (cold)
                file_give_up(fd, pos, (int64_t)len);
        return n;
}

int file_reopen_direct(int fd)
{
        char path[64];
        int r;

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        r = file_open(path, O_RDONLY | O_DIRECT);
        /* EINVAL: the file system; ENOENT: no /proc. */
        return r == -EINVAL || r == -ENOENT ? -EOPNOTSUPP : r;
}

ssize_t file_pread_direct(int fd, void *buf, size_t len, int64_t pos)
{
        ssize_t n = RETRY(pread(fd, buf, len, pos));

        return n >= 0 ? n : errno == EINVAL ? -EOPNOTSUPP : -errno;
}

int file_sync(int fd)
{
        return result_of(RETRY(fdatasync(fd)));
}

int file_forget(int fd, int64_t pos)
{
        int r = file_sync(fd);

        return r ? r : -posix_fadvise(fd, pos, 0, POSIX_FADV_DONTNEED);
}

int file_create_new(const char *path, unsigned mode, struct span content)
{
        int fd = RETRY(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)), r;

        if (fd < 0)
                return -errno;
        r = file_pwrite_all(fd, content.data, content.len, 0);
        if (!r)
                r = file_sync(fd);
        file_close(fd);
        if (r)
                (void)unlink(path); /* the failure is what is told */
        return r;
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

static int lock_take(const char *path, int flags, short type)
{
        CLEANUP(file_closep) int fd = file_open(path, flags);
        struct flock lock = { .l_type = type, .l_whence = SEEK_SET };
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

int file_lock(const char *path)
{
        return lock_take(path, O_RDWR | O_CREAT, F_WRLCK);
}

int file_lock_shared(const char *path)
{
        return lock_take(path, O_RDONLY, F_RDLCK);
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

int file_device(const char *path, unsigned *ret_major, unsigned *ret_minor)
{
        struct stat st;

        if (stat(path, &st) < 0)
                return -errno;
        *ret_major = major(st.st_dev);
        *ret_minor = minor(st.st_dev);
        return 0;
}
