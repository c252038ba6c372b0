#include "sys/memory.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "base/macros.h"
#include "sys/clock.h"
#include "sys/file.h"

enum { ASK_MS = 10, FREE_PARTS = 16, SMALL_FILE_LEN = 16 * 1024 };

static bool machine_has_plenty(void)
{
        struct sysinfo i;

        return sysinfo(&i) || i.freeram >= i.totalram / FREE_PARTS;
}

/* A number in a small file. False when there is none: no such file, or the word max. */
static bool read_number(const char *dir, const char *name, unsigned long long *ret)
{
        CLEANUP(freep) char *text = NULL;
        char path[PATH_MAX], *end;
        size_t len;

        if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path ||
            file_read_whole(path, SMALL_FILE_LEN, &text, &len))
                return false;
        *ret = strtoull(text, &end, 10);
        return end != text;
}

/* What one hierarchy says, from @path up to its root. */
static bool groups_have_plenty(const char *root, const char *path, const char *limit_name, const char *used_name)
{
        char dir[PATH_MAX];
        size_t root_len = strlen(root);

        if (snprintf(dir, sizeof dir, "%s%s", root, path) >= (int)sizeof dir)
                return true;
        for (;;) {
                unsigned long long limit, used;
                char *slash;

                if (read_number(dir, limit_name, &limit) && read_number(dir, used_name, &used) &&
                    limit - MIN2(limit, used) < limit / FREE_PARTS)
                        return false;
                slash = strrchr(dir, '/');
                if (!slash || slash < dir + root_len)
                        return true;
                *slash = '\0';
        }
}

static bool all_groups_have_plenty(void)
{
        CLEANUP(freep) char *text = NULL;
        size_t len;
        char *next;

        if (file_read_whole("/proc/self/cgroup", SMALL_FILE_LEN, &text, &len))
                return true;
        for (char *line = text; line && *line; line = next) {
                char *path = strstr(line, ":memory:/");

                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                if (!strncmp(line, "0::/", 4) &&
                    !groups_have_plenty("/sys/fs/cgroup", line + 3, "memory.max", "memory.current"))
                        return false;
                if (path && (!next || path < next) &&
                    !groups_have_plenty("/sys/fs/cgroup/memory", path + 8, "memory.limit_in_bytes",
                                        "memory.usage_in_bytes"))
                        return false;
        }
        return true;
}

bool memory_is_plenty(void)
{
        static _Atomic int64_t ask_ms;
        static atomic_bool plenty;
        int64_t now_ms = clock_mono_ms();

        if (now_ms >= atomic_load(&ask_ms)) { /* two threads that ask at once come to the same answer */
                atomic_store(&plenty, machine_has_plenty() && all_groups_have_plenty());
                atomic_store(&ask_ms, now_ms + ASK_MS);
        }
        return atomic_load(&plenty);
}
