#include "sys/process.h"

#include <sys/prctl.h>
#include <unistd.h>

void process_end(int status)
{
        _exit(status);
}

void process_hide(void)
{
        /* Also where the kernel gives dumps to a program, which RLIMIT_CORE does not keep it from. Cannot fail. */
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

bool process_has_terminal(void)
{
        return isatty(STDIN_FILENO);
}
