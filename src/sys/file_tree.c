/* Names, folders and trees. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/iopool.h"

/* Deepest tree that file_remove_tree() follows: ours are three deep, and each level holds a descriptor. */
enum { TREE_DEPTH_MAX = 64 };

int file_sync_dir(const char *dir)
{
        int fd = file_open(dir, O_RDONLY | O_DIRECTORY);
        int r;

        if (fd < 0)
                return fd;
        do
                r = fsync(fd) < 0 ? -errno : 0;
        while (r == -EINTR);
        file_close(fd);
        return r;
}

int file_rename(const char *from, const char *to)
{
        return rename(from, to) < 0 ? -errno : 0;
}

int file_rename_new(const char *from, const char *to)
{
        if (!renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE))
                return 0;
        if (errno != EINVAL && errno != ENOSYS)
                return -errno;
        /* A file system that cannot (NFS). A name that a crash leaves twice is of the same file. */
        if (link(from, to) < 0)
                return -errno;
        return unlink(from) < 0 ? -errno : 0;
}

int file_unlink(const char *path)
{
        return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int file_mkdir(const char *path)
{
        struct stat st;

        if (!mkdir(path, 0750))
                return 0;
        if (errno != EEXIST)
                return -errno;
        if (stat(path, &st) < 0)
                return -errno;
        return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int file_mkdirs(const char *path)
{
        CLEANUP(freep) char *part = strdup(path);
        int r, refused = 0;

        if (!part)
                return -ENOMEM;
        if (!*part)
                return -EINVAL;
        for (char *at = part + 1; *at; at++) {
                if (*at != '/')
                        continue;
                *at = '\0';
                r = file_mkdir(part);
                *at = '/';
                /* A parent that we may not even look at can still be passed through; the last step will tell. */
                if (r && r != -EACCES && r != -EROFS)
                        return r;
                refused = r ? r : refused;
        }
        r = file_mkdir(part);
        return r == -ENOENT && refused ? refused : r; /* a parent is missing: why it could not be made */
}

static bool name_is_dots(const char *name)
{
        return !strcmp(name, ".") || !strcmp(name, "..");
}

/* Takes @dir_fd over. */
static int tree_empty(int dir_fd, int depth)
{
        DIR *d = fdopendir(dir_fd);
        struct dirent *e;
        int r = 0;

        if (!d) {
                r = -errno;
                file_close(dir_fd);
                return r;
        }
        while (!r && (errno = 0, e = readdir(d))) {
                int fd;

                if (name_is_dots(e->d_name))
                        continue;
                iopool_step();
                if (!unlinkat(dirfd(d), e->d_name, 0) || errno == ENOENT)
                        continue;
                if (errno != EISDIR && errno != EPERM) {
                        r = -errno;
                        break;
                }
                if (depth == TREE_DEPTH_MAX) {
                        r = -ELOOP;
                        break;
                }
                fd = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                r = fd < 0 ? -errno : tree_empty(fd, depth + 1);
                if (!r && unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                        r = -errno;
        }
        if (!r && errno)
                r = -errno;
        closedir(d);
        return r;
}

int file_remove_tree(const char *path)
{
        int fd = file_open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        int r;

        if (fd == -ENOTDIR || fd == -ELOOP)
                return file_unlink(path); /* a file, or a link: the link goes, not what it points to */
        if (fd < 0)
                return fd == -ENOENT ? 0 : fd;
        r = tree_empty(fd, 1);
        if (r)
                return r;
        return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

int file_list(const char *dir, int (*fn)(void *arg, const char *name), void *arg)
{
        DIR *d = opendir(dir);
        struct dirent *e;
        int r = 0;

        if (!d)
                return -errno;
        while (!r && (errno = 0, e = readdir(d)))
                if (!name_is_dots(e->d_name))
                        r = fn(arg, e->d_name);
        if (!r && errno)
                r = -errno;
        closedir(d);
        return r;
}
