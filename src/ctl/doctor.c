/* doctor: is this machine as a node wants it? Looks at the machine that it runs on and asks no node. Status 0: nothing found, 1: something,
 * 2: it could not look. */
#include "ctl/doctor.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sys/file.h"

enum { FILE_LEN_MAX = 1 << 20, PATH_SIZE = 1024 };

void doctor_found(struct doctor *d, const char *check, const char *remedy, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        json_array_append_new(d->findings, json_pack("{s:s, s:o, s:s}", "check", check, "what", json_vsprintf(fmt, ap),
                                                     "remedy", remedy));
        va_end(ap);
}

void doctor_skipped(struct doctor *d, const char *check, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        json_array_append_new(d->skipped, json_pack("{s:s, s:o}", "check", check, "why", json_vsprintf(fmt, ap)));
        va_end(ap);
}

char *doctor_read(const struct doctor *d, const char *fmt, ...)
{
        char path[PATH_SIZE], *text;
        size_t at = (size_t)snprintf(path, sizeof path, "%s", d->root), len;
        va_list ap;

        if (at >= sizeof path)
                return NULL;
        va_start(ap, fmt);
        vsnprintf(path + at, sizeof path - at, fmt, ap);
        va_end(ap);
        if (file_read_whole(path, FILE_LEN_MAX, &text, &len))
                return NULL;
        while (len && isspace((unsigned char)text[len - 1]))
                text[--len] = '\0';
        return text;
}

static void print(const struct doctor *d)
{
        size_t count = json_array_size(d->findings), i;
        json_t *one;

        json_array_foreach (d->findings, i, one)
                printf("%s: %s\n    %s\n", text_of(one, "check"), text_of(one, "what"), text_of(one, "remedy"));
        json_array_foreach (d->skipped, i, one)
                printf("%s: not looked at: %s\n", text_of(one, "check"), text_of(one, "why"));
        if (count)
                printf("%zu finding%s\n", count, count == 1 ? "" : "s");
        else
                printf("nothing found; %d checks\n", d->looked);
}

int doctor(struct ctl *c, const char *arg)
{
        struct doctor d = { .root = c->root ? c->root : "",
                            .sysctl = c->sysctl,
                            .data_dir = c->data_dir ? c->data_dir : "/var/lib/chronik",
                            .findings = json_array(),
                            .skipped = json_array() };

        (void)arg;
        doctor_sysctl(&d);
        if (d.failed)
                return CTL_USAGE;
        doctor_clock(&d);
        doctor_memory(&d);
        doctor_limits(&d);
        doctor_disk(&d);
        doctor_certificates(&d);
        if (c->json)
                print_json(
                        json_pack("{s:O, s:O, s:i}", "findings", d.findings, "skipped", d.skipped, "checks", d.looked));
        else
                print(&d);
        return json_array_size(d.findings) ? CTL_FAILED : CTL_OK;
}
