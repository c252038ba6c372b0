/* doctor: what of a machine is cheap to look at and has hurt before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/doctor.h"
#include "net/tls.h"
#include "sys/clock.h"
#include "sys/file.h"

enum {
        FREE_PERCENT_MIN = 10, /* as the guide's alert */
        FILES_MIN = 16384,     /* 4096 segments and indexes, 10000 connections, and what else there is */
        DAYS_MIN = 21,         /* from when on chronikd warns, too */
        PATH_SIZE = 1024,
};

void doctor_clock(struct doctor *d)
{
        if (*d->root) {
                doctor_skipped(d, "clock", "it is that of a running machine");
                return;
        }
        d->looked++;
        if (!clock_is_synchronised())
                doctor_found(d, "clock", "start systemd-timesyncd or chrony, and see `timedatectl`",
                             "the clock is not kept in step with others: retention, and times in records, go by it");
}

/* The number behind @key in a file such as /proc/meminfo; -1: there is none. */
static long long number_after(const char *text, const char *key)
{
        const char *at = text ? strstr(text, key) : NULL;

        return at ? strtoll(at + strlen(key), NULL, 10) : -1;
}

void doctor_memory(struct doctor *d)
{
        char *huge = doctor_read(d, "/sys/kernel/mm/transparent_hugepage/enabled"),
             *info = doctor_read(d, "/proc/meminfo");
        long long total = number_after(info, "SwapTotal:"), unused = number_after(info, "SwapFree:");

        if (huge) {
                d->looked++;
                if (strstr(huge, "[always]"))
                        doctor_found(d, "huge pages",
                                     "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled; for good: "
                                     "transparent_hugepage=madvise on the kernel's command line",
                                     "the kernel makes huge pages for every program, and stops them while it looks for "
                                     "some");
        }
        if (total >= 0) {
                d->looked++;
                if (total > unused)
                        doctor_found(d, "swap",
                                     "swapoff -a, and take it out of /etc/fstab; or find out who takes the memory",
                                     "%lld MiB of memory are swapped out: what a node needs of it answers late",
                                     (total - unused) / 1024);
        }
        free(huge);
        free(info);
}

/* ---- limits of the process ---- */

static int look_at_process(void *arg, const char *name)
{
        struct doctor *d = arg;
        char *comm, *limits;
        long long files;

        if (strspn(name, "0123456789") != strlen(name))
                return 0;
        comm = doctor_read(d, "/proc/%s/comm", name);
        limits = comm && !strcmp(comm, "chronikd") ? doctor_read(d, "/proc/%s/limits", name) : NULL;
        files = number_after(limits, "Max open files");
        if (files >= 0) {
                d->looked++;
                if (files < FILES_MIN)
                        doctor_found(
                                d, "open files",
                                "LimitNOFILE=1048576 in its unit, as systemd/chronikd.service has it; in a shell: "
                                "ulimit -n",
                                "chronikd (process %s) may have %lld files and connections open, and ought to have %d",
                                name, files, FILES_MIN);
        }
        free(comm);
        free(limits);
        return 0;
}

void doctor_limits(struct doctor *d)
{
        char proc[PATH_SIZE];
        int looked = d->looked;

        snprintf(proc, sizeof proc, "%s/proc", d->root);
        (void)file_list(proc, look_at_process, d);
        if (d->looked == looked)
                doctor_skipped(d, "open files", "no chronikd runs here");
}

/* ---- the disk ---- */

static void look_at_room(struct doctor *d)
{
        uint64_t unused, total;

        if (file_space(d->data_dir, &unused, &total) || !total)
                return;
        d->looked++;
        if (unused * 100 / total < FREE_PERCENT_MIN)
                doctor_found(
                        d, "disk space",
                        "keep less (retention.ms, retention.bytes), move partitions to other nodes, or grow the volume",
                        "%s has %llu percent free, and ought to have %d", d->data_dir,
                        (unsigned long long)(unused * 100 / total), FREE_PERCENT_MIN);
}

/* A file of the queue of device MAJOR:MINOR; of a partition its disk's. */
static char *queue_file(const struct doctor *d, unsigned major, unsigned minor, const char *name)
{
        char *text = doctor_read(d, "/sys/dev/block/%u:%u/queue/%s", major, minor, name);

        return text ? text : doctor_read(d, "/sys/dev/block/%u:%u/../queue/%s", major, minor, name);
}

static void look_at_queue(struct doctor *d, unsigned major, unsigned minor)
{
        char *scheduler = queue_file(d, major, minor, "scheduler");
        bool fine = !scheduler || strstr(scheduler, "[none]") || strstr(scheduler, "[mq-deadline]") ||
                    !strchr(scheduler, '[');

        if (scheduler) {
                d->looked++;
                if (!fine)
                        doctor_found(d, "disk scheduler",
                                     "echo mq-deadline (or none, for NVMe) >/sys/block/DISK/queue/scheduler; for good: "
                                     "a rule "
                                     "of udev",
                                     "the disk of %s is scheduled by %s: it divides the disk fairly between programs, "
                                     "and makes "
                                     "flushes wait for that",
                                     d->data_dir, scheduler);
        }
        free(scheduler);
}

/* A cache that forgets when power goes, and a file system that was told not to care. */
static void look_at_barriers(struct doctor *d, unsigned major, unsigned minor)
{
        char *mounts = doctor_read(d, "/proc/self/mountinfo"), *cache = queue_file(d, major, minor, "write_cache");
        char device[40], *at = mounts, *line;

        snprintf(device, sizeof device, " %u:%u ", major, minor);
        while (mounts && (line = strsep(&at, "\n"))) {
                if (!strstr(line, device))
                        continue;
                d->looked++;
                if ((strstr(line, "nobarrier") || strstr(line, "barrier=0")) &&
                    (!cache || strcmp(cache, "write through") != 0))
                        doctor_found(d, "disk cache", "mount it without nobarrier or barrier=0",
                                     "the file system of %s does not flush the cache of its disk: what was "
                                     "acknowledged is lost "
                                     "when power is",
                                     d->data_dir);
                break;
        }
        free(mounts);
        free(cache);
}

void doctor_disk(struct doctor *d)
{
        unsigned major, minor;

        if (file_device(d->data_dir, &major, &minor)) {
                doctor_skipped(d, "disk", "%s is not there; name the node's folder with --data-dir", d->data_dir);
                return;
        }
        look_at_room(d);
        look_at_queue(d, major, minor);
        look_at_barriers(d, major, minor);
}

/* ---- certificates ---- */

struct certificates {
        struct doctor *d;
        char dir[PATH_SIZE];
};

static int look_at_certificate(void *arg, const char *name)
{
        struct certificates *c = arg;
        size_t len = strlen(name);
        char path[2 * PATH_SIZE], why[TLS_WHY_SIZE];
        int64_t end_ms, days;

        if (len < 4 || strcmp(name + len - 4, ".pem") != 0)
                return 0;
        snprintf(path, sizeof path, "%s/%s", c->dir, name);
        if (tls_file_end_ms(path, &end_ms, why)) /* a key, say */
                return 0;
        c->d->looked++;
        days = (end_ms - clock_wall_ms()) / (24 * 3600 * 1000);
        if (days < DAYS_MIN)
                doctor_found(c->d, "certificate", "replace it; chronikd takes it up by itself within ten seconds",
                             days < 0 ? "%s ended %lld days ago" : "%s ends in %lld days", path,
                             (long long)(days < 0 ? -days : days));
        return 0;
}

void doctor_certificates(struct doctor *d)
{
        struct certificates c = { .d = d };

        snprintf(c.dir, sizeof c.dir, "%s/etc/chronik/tls", d->root);
        (void)file_list(c.dir, look_at_certificate, &c);
}
