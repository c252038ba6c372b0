/* Messages are kept, and shown when a run fails: stands in for sys/diag.c. With SIM_TRACE set they are shown at once. */
#include "sys/diag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "host.h"

enum { LINES_MAX = 24, LINE_SIZE = 512 };

static char lines[LINES_MAX][LINE_SIZE];
static unsigned lines_count, errors_count;

void sim_diag_reset(void)
{
        lines_count = errors_count = 0;
}

unsigned sim_diag_errors(void)
{
        return errors_count;
}

void sim_diag_print(void)
{
        for (unsigned i = lines_count > LINES_MAX ? lines_count - LINES_MAX : 0; i < lines_count; i++)
                fprintf(stderr, "    said: %s\n", lines[i % LINES_MAX]);
}

void diag_set_level(enum diag_level level)
{
        (void)level; /* all is kept */
}

static void keep(enum diag_level level, const char *fmt, va_list args)
{
        char *line = lines[lines_count++ % LINES_MAX];

        vsnprintf(line, LINE_SIZE, fmt, args);
        errors_count += level <= DIAG_ERROR;
        if (getenv("SIM_TRACE"))
                fprintf(stderr, "    said: %s\n", line);
}

void diag(enum diag_level level, const char *fmt, ...)
{
        int error = errno;
        va_list args;

        va_start(args, fmt);
        keep(level, fmt, args);
        va_end(args);
        errno = error;
}

void diag_say_(struct diag_limit *limit, enum diag_level level, const struct diag_about *about, const char *fmt, ...)
{
        va_list args;

        (void)limit;
        (void)about;
        va_start(args, fmt);
        keep(level, fmt, args);
        va_end(args);
}
