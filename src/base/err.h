/* Errors. A bug is an assert. A failure that the caller cannot mend is a negative errno and is passed up unchanged
 * through err_trace(). An outcome that the direct caller must handle is a positive value of the module's own enum;
 * one that nobody handled becomes fatal through err_fold(). */
#pragma once

#include <errno.h>

/* Pass a negative errno up. A place to set a breakpoint; keeps the value. */
static inline int err_trace(int r)
{
        return r;
}

/* Turn an outcome that was not handled into a fatal error; a negative errno stays as it is. */
static inline int err_fold(int r)
{
        return r > 0 ? -ENOTRECOVERABLE : r;
}
