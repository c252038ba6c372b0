/* A file in the place of another one, with the mode that it is to have from its beginning: see ctl.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/ctl.h"
#include "sys/file.h"

int ctl_file_put(const char *path, struct span content, unsigned mode)
{
        CLEANUP(freep) char *new = NULL;
        int r;

        if (asprintf(&new, "%s.new", path) < 0)
                abort();
        r = file_unlink(new); /* of one that was stopped in between */
        if (!r || r == -ENOENT)
                r = file_create_new(new, mode, content);
        if (!r)
                r = file_rename(new, path);
        return r ? r : file_sync_parents(path);
}
