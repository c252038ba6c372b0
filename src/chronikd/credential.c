/* See credential.h. */
#include "chronikd/credential.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "sys/file.h"

bool credential_find(const char *file, const char *name, char ret_path[CREDENTIAL_PATH_SIZE])
{
        const char *dir = getenv("CREDENTIALS_DIRECTORY");
        struct file_info info;
        int r;

        if (*file) {
                snprintf(ret_path, CREDENTIAL_PATH_SIZE, "%s", file);
                return true;
        }
        if (!dir || !*dir)
                return false;
        snprintf(ret_path, CREDENTIAL_PATH_SIZE, "%s/%s", dir, name);
        r = file_info(ret_path, &info);
        /* In a container whose mounts are not shared, systemd 252 tells of a folder that cannot be entered and has nothing in it. A
         * credential that is there and cannot be read is found, and fails when it is read. */
        return r != -ENOENT && r != -EACCES;
}
