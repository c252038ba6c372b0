/* The whole data directory, where store and metadata look at their own folders only:
 *
 *   - one that holds other things and nothing of ours is somebody else's, however empty its log and meta may be;
 *   - logs without the metadata that names them are a lost volume or a half-done restore. A new cluster's metadata
 * beside them would be refused later all the same, and would then be in the way of the right one;
 *   - metadata without the logs that it names: every topic would come back empty.
 *
 * A node that is a controller only has no logs; one that is ingest only has a copy of the metadata, which can be fetched again. */
#include "chronikd/datadir.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf/conf.h"
#include "sys/file.h"

struct look {
        char other[256];
};

static int look_at(void *arg, const char *name)
{
        struct look *l = arg;

        if (name[0] == '.' || !strcmp(name, "lost+found") || !strcmp(name, "log") || !strcmp(name, "meta"))
                return 0;
        snprintf(l->other, sizeof l->other, "%s", name);
        return 1;
}

static bool exists(const char *dir, const char *name)
{
        char path[1300];
        struct file_info info;

        snprintf(path, sizeof path, "%s/%s", dir, name);
        return file_info(path, &info) == 0;
}

static int found_one(void *arg, const char *name)
{
        (void)arg;
        return name[0] != '.' && strcmp(name, "lost+found") != 0;
}

/* Missing, or as a volume that is not mounted leaves it. */
static bool holds_nothing(const char *dir, const char *name)
{
        char path[1300];
        int r;

        snprintf(path, sizeof path, "%s/%s", dir, name);
        r = file_list(path, found_one, NULL);
        return r == 0 || r == -ENOENT;
}

/* ---- roles: one digit, the bits of CONF_ROLE_..., and a line feed ---- */

static void roles_path(const char *dir, char path[1300])
{
        snprintf(path, 1300, "%s/meta/roles", dir);
}

/* Roles whose data was kept here once. Nothing was noted: any of them may have been. */
static unsigned noted_roles(const char *dir)
{
        char path[1300];
        CLEANUP(freep) char *text = NULL;
        size_t len;

        roles_path(dir, path);
        if (file_read_whole(path, 2, &text, &len) || len != 2 || text[0] < '1' || text[0] > '3')
                return CONF_ROLE_CONTROLLER | CONF_ROLE_INGEST;
        return (unsigned)(text[0] - '0');
}

int datadir_note_roles(const char *dir, unsigned roles)
{
        struct file_info info;
        char path[1300], text[2] = "0\n";

        roles_path(dir, path);
        if (!file_info(path, &info)) {
                if ((noted_roles(dir) & roles) == roles)
                        return 0;
                roles |= noted_roles(dir);
        }
        text[0] = (char)('0' + roles);
        return file_replace(path, span_of(text, sizeof text));
}

bool datadir_is_ours(const char *dir, unsigned roles, char *ret_why, size_t size)
{
        struct look look = { 0 };

        roles &= noted_roles(dir); /* what is new to this node cannot be missing */
        if (roles & CONF_ROLE_CONTROLLER && exists(dir, "log/cluster") && !exists(dir, "meta/log")) {
                snprintf(ret_why, size,
                         "data directory %s holds logs, and no metadata in %s/meta: bring the metadata back, or "
                         "move the directory away to begin anew",
                         dir, dir);
                return false;
        }
        if (roles & CONF_ROLE_INGEST && exists(dir, "meta/log") && holds_nothing(dir, "log")) {
                snprintf(ret_why, size,
                         "data directory %s holds metadata, and no logs in %s/log: bring them back (is the volume "
                         "mounted?), or move the directory away to begin anew",
                         dir, dir);
                return false;
        }
        if (exists(dir, "log/chronik.meta") || file_list(dir, look_at, &look) <= 0)
                return true; /* also when it is not there, or cannot be read: whoever makes it says what is wrong */
        snprintf(ret_why, size,
                 "data directory %s holds other things, such as '%s': choose an empty or a new directory with "
                 "--data-dir",
                 dir, look.other);
        return false;
}
