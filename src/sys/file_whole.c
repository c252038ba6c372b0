/* What is built from other functions of sys/file.h alone, so that the simulator runs it too: reading and replacing a whole
 * small file, making a new folder's name durable. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sys/file.h"

static void file_closep(int *fd)
{
        *fd = file_close(*fd);
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
        return r ? r : file_sync(fd);
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
                (void)file_unlink(temp); /* the first error is the one to tell */
                return r;
        }
        return file_sync_dir_of(path);
}

int file_sync_parents(const char *path)
{
        CLEANUP(freep) char *part = strdup(path);
        int r = part ? 0 : -ENOMEM;

        for (size_t end = strlen(path); !r && end > 0;) {
                while (end > 0 && part[end - 1] == '/')
                        end--;
                while (end > 0 && part[end - 1] != '/')
                        end--; /* the last name goes */
                part[MAX2(end, (size_t)1)] = '\0';
                if (!end)
                        part[0] = '.';
                r = file_sync_dir(part);
                if (r == -EACCES || r == -EPERM)
                        r = 0; /* who may not look at a folder did not make anything in it */
                if (end == 1)
                        break;
        }
        return r;
}
