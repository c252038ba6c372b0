/* A disk that can be told to wait or to fail: preloaded into chronikd, it stands before fdatasync(), fsync() and pwritev().
 *
 * Each line of the file named by HOLD_SYNC holds two words, a verb and a part of a path: "hold orders-3" lets syncs of files with that
 * in their path wait until the file says something else; "fail orders-3" makes them fail with EIO; "fail-write orders-3"
 * makes every write to them fail with EIO when half of it is done; "slow orders-3" lets their syncs take a third of a second
 * longer. Without the file, or with another text in it, everything
 * is as ever. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LOOK_AGAIN_US = 2000, SLOW_US = 333000 };

static bool path_has(int fd, const char *part)
{
        char link[64], path[4096];
        ssize_t n;

        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof path - 1);
        if (n < 0)
                return false;
        path[n] = '\0';
        return strstr(path, part);
}

/* Does a line of @orders say @verb of this file? */
static bool ordered(const char *orders, const char *verb, int fd)
{
        char word[32], part[256];

        for (const char *line = orders; line; line = strchr(line, '\n')) {
                line += *line == '\n';
                if (sscanf(line, "%31s %255s", word, part) == 2 && !strcmp(word, verb) && path_has(fd, part))
                        return true;
        }
        return false;
}

static void read_orders(char *ret, size_t size)
{
        const char *name = getenv("HOLD_SYNC");
        int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
        ssize_t n = fd < 0 ? 0 : read(fd, ret, size - 1);

        ret[n > 0 ? n : 0] = '\0';
        if (fd >= 0)
                close(fd);
}

static int sync_when_allowed(int fd, const char *function)
{
        int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, function);
        char orders[512];

        read_orders(orders, sizeof orders);
        if (ordered(orders, "slow", fd))
                usleep(SLOW_US);
        for (;;) {
                read_orders(orders, sizeof orders);
                if (ordered(orders, "fail", fd)) {
                        errno = EIO;
                        return -1;
                }
                if (!ordered(orders, "hold", fd))
                        return real(fd);
                usleep(LOOK_AGAIN_US);
        }
}

/* Half of the first piece is written, then the disk is gone. */
static ssize_t write_half(int fd, const struct iovec *iov, off_t pos)
{
        (void)!pwrite(fd, iov[0].iov_base, iov[0].iov_len / 2, pos);
        errno = EIO;
        return -1;
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t pos)
{
        static ssize_t (*real)(int, const struct iovec *, int, off_t);
        char orders[512];

        if (!real)
                real = (ssize_t(*)(int, const struct iovec *, int, off_t))dlsym(RTLD_NEXT, "pwritev64");
        read_orders(orders, sizeof orders);
        return ordered(orders, "fail-write", fd) ? write_half(fd, iov, pos) : real(fd, iov, count, pos);
}

int fdatasync(int fd)
{
        return sync_when_allowed(fd, "fdatasync");
}

int fsync(int fd)
{
        return sync_when_allowed(fd, "fsync");
}
