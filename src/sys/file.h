/* Files by path and descriptor. The only place that calls the kernel for them, so that the simulator can stand in.
 * All functions return 0 (or a value >= 0) or a negative errno, retry EINTR, and block: on loops only where the page
 * cache makes that certain. Any thread. */
#pragma once

#include <fcntl.h>
#include <sys/uio.h>

#include "base/macros.h"
#include "base/span.h"

struct file_info {
        int64_t size;
        int64_t mtime_ms;
        bool is_dir;
};

/* @flags as open(2); O_CLOEXEC is added; new files get mode 0640. Return: descriptor or negative errno. */
int file_open(const char *path, int flags);
/* Close; -1 is fine. Returns -1 for `fd = file_close(fd)`. */
int file_close(int fd);
int file_info(const char *path, struct file_info *ret_info);
/* Size in bytes or negative errno. */
int64_t file_size(int fd);

/* Write everything at @pos; a short write without an error is continued. -ENOSPC and -EIO are passed up. */
int file_pwrite_all(int fd, const void *data, size_t len, int64_t pos);
int file_pwritev_all(int fd, struct iovec *iov, int iov_count, int64_t pos); /* changes @iov */
/* Read up to @len; fewer only at the end of the file. Return: bytes read or negative errno. */
ssize_t file_pread(int fd, void *buf, size_t len, int64_t pos);
/* Like file_pread() but never waits for the disk: -EAGAIN when any part is not in the page cache (RWF_NOWAIT), or
 * -EOPNOTSUPP where the file system cannot tell. */
ssize_t file_pread_nowait(int fd, void *buf, size_t len, int64_t pos);
/* Can the range (inside the file) be read without waiting for the disk? Never waits itself. Return: 1 yes; 0 no, or most
 * likely not; negative errno where nobody can tell. */
int file_is_cached(int fd, int64_t pos, size_t len);
/* From now on only what is asked for is read from the disk, nothing ahead. */
void file_read_no_ahead(int fd);
/* Ask the kernel to read the range soon. May wait for room in the disk's queue; whether it will be done nobody says. */
void file_read_ahead(int fd, int64_t pos, int64_t len);
/* The range need not be kept in the page cache. Pages in use (a socket still sends them) or not yet written stay. */
void file_give_up(int fd, int64_t pos, int64_t len);
/* Bring the range into the page cache, and wait for it; a file that ends before is no error. */
int file_warm(int fd, int64_t pos, size_t len);
/* Like file_pread(), and leaves the page cache as it was: what was not in it before is dropped again, so that reading much
 * once does not push out what is read often. */
ssize_t file_pread_aside(int fd, void *buf, size_t len, int64_t pos);
/* What file_pread_direct() is given are multiples of this; no disk has larger blocks. */
enum { FILE_DIRECT_ALIGN = 4096 };
/* Open the file behind @fd, whatever its name is by now, once more for reads that come from the disk and not from the page
 * cache (O_DIRECT). Return: descriptor; -EOPNOTSUPP where that cannot be done; other negative errno. */
int file_reopen_direct(int fd);
/* Read at @pos from such a descriptor into @buf; all three multiples of FILE_DIRECT_ALIGN. Fewer bytes than @len: the file
 * ends there, or what follows cannot be read. Return: bytes; -EOPNOTSUPP where it cannot be done after all; negative errno. */
ssize_t file_pread_direct(int fd, void *buf, size_t len, int64_t pos);
/* A whole file of at most @len_max bytes (else -EFBIG) with a NUL behind it; free(*ret_data). */
int file_read_whole(const char *path, size_t len_max, char **ret_data, size_t *ret_len);

/* Data and the metadata needed to read it back are on stable storage when this returns 0 (fdatasync). */
int file_sync(int fd);
/* Sync, then drop the pages from @pos to the end of the file, so that what is read next comes from the disk: pages that a
 * failed sync left behind read well and are not there, and no later sync would say so. The kernel may keep some. */
int file_forget(int fd, int64_t pos);
/* Make created, renamed and removed names in the folder durable. */
int file_sync_dir(const char *dir);
/* Make the name of @path, and those of the folders above it, durable: after file_mkdirs(), when something in it will be
 * promised. */
int file_sync_parents(const char *path);
int file_truncate(int fd, int64_t size);
/* Has nobody else, in this process or another, the file open that @fd was opened to write? Return: 1 nobody at this moment;
 * 0 somebody, or the file system cannot tell. */
int file_is_unshared(int fd);
/* Reserve blocks without changing the size (FALLOC_FL_KEEP_SIZE); -EOPNOTSUPP where it cannot be done. */
int file_reserve(int fd, int64_t pos, int64_t len);
int file_rename(const char *from, const char *to);
/* Rename unless there is something called @to; at once, so that of several that try one succeeds. Return: 0; -EEXIST; other negative
 * errno. */
int file_rename_new(const char *from, const char *to);
/* -ENOENT is success. */
int file_unlink(const char *path);
/* Create with parents, mode 0750; existing is fine. */
int file_mkdirs(const char *path);
/* Remove a folder and everything below; -ENOENT is success. Does not follow links out of it. */
int file_remove_tree(const char *path);
/* Call @fn for each name except "." and ".."; a non-zero return of @fn ends it and is returned. */
int file_list(const char *dir, int (*fn)(void *arg, const char *name), void *arg);

/* Write a small file so that a crash leaves the old or the new content, never a mixture: temporary name, write, sync,
 * rename, sync of the folder. */
int file_replace(const char *path, struct span content);
/* A new file with @mode and @content, durable but for its name (file_sync_dir()). Return: 0; -EEXIST: there is one. */
int file_create_new(const char *path, unsigned mode, struct span content);

/* Take an exclusive lock on @path (created when missing) for the life of the process or until file_close() of the
 * result; -EWOULDBLOCK when another process holds it. Return: descriptor or negative errno. */
int file_lock(const char *path);

/* Keep file_lock() on @path from succeeding until file_close() of the result; changes nothing on disk. -EWOULDBLOCK when another
 * process holds it, -ENOENT when there is none. Return: descriptor or negative errno. */
int file_lock_shared(const char *path);

/* The device of the file system that holds @path, as in /sys/dev/block/MAJOR:MINOR. */
int file_device(const char *path, unsigned *ret_major, unsigned *ret_minor);
/* Bytes free for us and in all on the file system that holds @path. */
int file_space(const char *path, uint64_t *ret_free, uint64_t *ret_total);
