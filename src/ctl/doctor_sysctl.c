/* doctor: settings of the kernel, compared with the files that say what they ought to be (sysctl/ of this project, or changed copies).
 *
 * A line is KEY = VALUE as for sysctl.d(5). A comment "# at least" right above one says that more is as good. */
#include "ctl/doctor.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/file.h"

enum { NAMES_MAX = 64, TEXT_SIZE = 512, LEN_MAX = 1 << 20 };

struct names {
        char *at[NAMES_MAX];
        size_t count;
};

/* Files of this project, as they are installed. */
static int take_name(void *arg, const char *name)
{
        struct names *n = arg;
        size_t len = strlen(name);

        if (n->count < NAMES_MAX && len > 5 && !strcmp(name + len - 5, ".conf") && strstr(name, "chronik"))
                n->at[n->count++] = strdup(name);
        return 0;
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* White space at both ends goes, and what is within becomes one space. Returns @text. */
static char *squeeze(char *text)
{
        char *to = text;

        for (const char *from = text; *from; from++) {
                if (!isspace((unsigned char)*from))
                        *to++ = *from;
                else if (to > text && to[-1] != ' ')
                        *to++ = ' ';
        }
        if (to > text && to[-1] == ' ')
                to--;
        *to = '\0';
        return text;
}

static bool is_as_good(const char *is, const char *wanted, bool at_least)
{
        char *end_is, *end_wanted;
        unsigned long long a = strtoull(is, &end_is, 10), b = strtoull(wanted, &end_wanted, 10);

        if (!strcmp(is, wanted))
                return true;
        return at_least && !*end_is && !*end_wanted && a >= b;
}

static void compare(struct doctor *d, const char *file, const char *key, const char *wanted, bool at_least)
{
        char path[TEXT_SIZE], remedy[2 * TEXT_SIZE], *is;

        snprintf(path, sizeof path, "/proc/sys/%s", key);
        for (char *at = path + strlen("/proc/sys/"); *at; at++)
                *at = *at == '.' ? '/' : *at;
        is = doctor_read(d, "%s", path);
        if (!is) {
                doctor_skipped(d, "sysctl", "%s: this kernel has no such setting, or does not show it", key);
                return;
        }
        d->looked++;
        if (is_as_good(squeeze(is), wanted, at_least))
                return;
        snprintf(remedy, sizeof remedy, "sysctl --system, or at once: sysctl -w '%s=%s'; %s says why", key, wanted,
                 file);
        doctor_found(d, "sysctl", remedy, "%s is %s, and ought to be %s%s", key, is, at_least ? "at least " : "",
                     wanted);
}

static void read_line(struct doctor *d, const char *file, char *line, bool *at_least)
{
        char *equals;

        squeeze(line);
        if (*line == '#' || *line == ';') {
                *at_least = !strcmp(line, "# at least");
                return;
        }
        equals = strchr(line, '=');
        if (equals) {
                *equals = '\0';
                line += *line == '-'; /* sysctl is not to complain; we are */
                compare(d, file, squeeze(line), squeeze(equals + 1), *at_least);
        }
        *at_least = false;
}

static void read_file(struct doctor *d, const char *dir, const char *name)
{
        char path[2 * TEXT_SIZE], *text, *at, *line;
        bool at_least = false;
        size_t len;

        snprintf(path, sizeof path, "%s/%s", dir, name);
        if (file_read_whole(path, LEN_MAX, &text, &len)) {
                doctor_skipped(d, "sysctl", "%s cannot be read", path);
                return;
        }
        for (at = text; (line = strsep(&at, "\n"));)
                read_line(d, name, line, &at_least);
        free(text);
}

/* Return: how many files were there, or negative errno. */
static int read_dir(struct doctor *d, const char *dir)
{
        struct names names = { 0 };
        int r = file_list(dir, take_name, &names);

        if (r)
                return r;
        qsort(names.at, names.count, sizeof names.at[0], compare_names);
        for (size_t i = 0; i < names.count; i++) {
                read_file(d, dir, names.at[i]);
                free(names.at[i]);
        }
        return (int)names.count;
}

void doctor_sysctl(struct doctor *d)
{
        static const char *const usual[] = { "/etc/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d" };
        char dir[TEXT_SIZE];
        int found = 0, r;

        if (d->sysctl) {
                r = read_dir(d, d->sysctl);
                d->failed = r <= 0;
                if (r < 0)
                        fprintf(stderr, "chronik-ctl: %s cannot be read: %s\n", d->sysctl, strerror(-r));
                else if (!r)
                        fprintf(stderr,
                                "chronik-ctl: %s has no file whose name has 'chronik' in it and ends in .conf\n",
                                d->sysctl);
                return;
        }
        for (size_t i = 0; i < ARRAY_LEN(usual) && !found; i++) {
                snprintf(dir, sizeof dir, "%s%s", d->root, usual[i]);
                r = read_dir(d, dir);
                found += MAX2(r, 0);
        }
        if (!found)
                doctor_found(d, "sysctl",
                             "copy 60-chronik.conf, and for the role ingest 61-chronik-ingest.conf, to "
                             "/etc/sysctl.d and run sysctl --system; or name their folder with --sysctl",
                             "the settings of the kernel that a node wants are not installed");
}
