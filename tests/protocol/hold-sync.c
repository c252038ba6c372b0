/* A disk that can be told to wait or to fail: preloaded into chronikd, it stands before fdatasync() and fsync().
 *
 * The file named by HOLD_SYNC holds two words, a verb and a part of a path: "hold orders-3" lets syncs of files with that
 * in their path wait until the file says something else; "fail orders-3" makes them fail with EIO. Without the file, or
 * with another text in it, everything is as ever. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_AGAIN_US = 2000 };

/* The part of @order behind @verb, or NULL when that is not its verb. */
static const char *object_of(const char *order, const char *verb)
{
        size_t len = strlen(verb);

        return !strncmp(order, verb, len) && order[len] == ' ' && order[len + 1] ? order + len + 1 : NULL;
}

static bool concerns(const char *object, int fd)
{
        char link[64], path[4096];
        ssize_t n;

        if (!object)
                return false;
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof path - 1);
        if (n < 0)
                return false;
        path[n] = '\0';
        return strstr(path, object);
}

static void read_order(char *ret, size_t size)
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
        char order[512];

        for (;;) {
                read_order(order, sizeof order);
                if (concerns(object_of(order, "fail"), fd)) {
                        errno = EIO;
                        return -1;
                }
                if (!concerns(object_of(order, "hold"), fd))
                        return real(fd);
                usleep(LOOK_AGAIN_US);
        }
}

int fdatasync(int fd)
{
        return sync_when_allowed(fd, "fdatasync");
}

int fsync(int fd)
{
        return sync_when_allowed(fd, "fsync");
}
