/* What nodes say to people, and what the world says of itself: stands in for sys/diag.c. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "machine.h"
#include "sys/diag.h"

enum { LINES_MAX = 120, LINE_SIZE = 400, FORBIDDEN_MAX = 16 };

static char lines[LINES_MAX][LINE_SIZE];
static unsigned lines_count;
static uint64_t hash = 14695981039346656037u;
static const char *forbidden[FORBIDDEN_MAX];
static unsigned forbidden_count;
static char command[400];
static int level_max = DIAG_INFO;
void (*world_heard)(const char *line);

static bool is_traced(void)
{
        static int traced = -1;

        if (traced < 0)
                traced = getenv("SIM_TRACE") != NULL;
        return traced;
}

static void say(const char *who, const char *word, const char *fmt, va_list args)
{
        char *line = lines[lines_count++ % LINES_MAX];
        int n = snprintf(line, LINE_SIZE, "%12.6f %-8s %s", (double)sim_now() / 1e9, who, word);

        vsnprintf(line + n, (size_t)(LINE_SIZE - n), fmt, args);
        for (const char *at = line; *at; at++)
                hash = (hash ^ (uint8_t)*at) * 1099511628211u;
        if (is_traced())
                fprintf(stderr, "%s\n", line);
}

void world_say(const char *fmt, ...)
{
        va_list args;

        va_start(args, fmt);
        say("world", "", fmt, args);
        va_end(args);
}

uint64_t world_hash(void)
{
        return hash;
}

void world_print_last(void)
{
        if (is_traced())
                return;
        for (unsigned i = lines_count > LINES_MAX ? lines_count - LINES_MAX : 0; i < lines_count; i++)
                fprintf(stderr, "%s\n", lines[i % LINES_MAX]);
}

void world_forbid(const char *part)
{
        assert(forbidden_count < FORBIDDEN_MAX);
        forbidden[forbidden_count++] = part;
}

void world_set_command(const char *text)
{
        snprintf(command, sizeof command, "%s", text);
}

_Noreturn void world_fail(const char *fmt, ...)
{
        va_list args;

        world_print_last();
        fprintf(stderr, "FAILED at %.6f s: ", (double)sim_now() / 1e9);
        va_start(args, fmt);
        vfprintf(stderr, fmt, args);
        va_end(args);
        fprintf(stderr, "\nAgain: %s\n", command);
        fflush(stderr);
        _exit(1);
}

/* ---- sys/diag.h ---- */

void diag_set_level(enum diag_level level)
{
        level_max = (int)level;
}

static void tell(enum diag_level level, const char *fmt, va_list args)
{
        const char *who = machine_here() ? machine_here()->name : "nobody";
        const char *line;

        if ((int)level > level_max && level > DIAG_INFO)
                return;
        say(who, level <= DIAG_ERROR ? "error: " : level == DIAG_WARN ? "warning: " : "says: ", fmt, args);
        line = lines[(lines_count - 1) % LINES_MAX];
        if (world_heard)
                world_heard(line);
        for (unsigned i = 0; i < forbidden_count; i++)
                if (strstr(line, forbidden[i]))
                        world_fail("no node may say this");
}

void diag(enum diag_level level, const char *fmt, ...)
{
        int error = errno;
        va_list args;

        va_start(args, fmt);
        tell(level, fmt, args);
        va_end(args);
        errno = error;
}

void diag_say_(struct diag_limit *limit, enum diag_level level, const struct diag_about *about, const char *fmt, ...)
{
        va_list args;

        (void)limit;
        (void)about;
        va_start(args, fmt);
        tell(level, fmt, args);
        va_end(args);
}
