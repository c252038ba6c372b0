/* See sim.h. */
#include "sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"

static uint64_t runs_count;
static time_t begun, shown;

const char *sim_plan_command(const struct sim_plan *p)
{
        static char text[600];
        char path[400];
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

        path[n > 0 ? n : 0] = '\0';
        snprintf(text, sizeof text, "SIM_SEED=%llu:%d:%llu:%d:%llu %s", (unsigned long long)p->seed, p->fault,
                 (unsigned long long)p->nth, p->error, (unsigned long long)p->variant, path);
        return text;
}

static bool plan_parse(const char *text, struct sim_plan *ret)
{
        unsigned long long seed, nth, variant;
        int fault, error;

        if (sscanf(text, "%llu:%d:%llu:%d:%llu", &seed, &fault, &nth, &error, &variant) != 5)
                return false;
        *ret = (struct sim_plan){ seed, fault, nth, error, variant };
        return true;
}

static void show(uint64_t seed)
{
        time_t now = time(NULL);

        if (now < shown + 10)
                return;
        shown = now;
        fprintf(stderr, "%lld s: %llu runs, seed %llu\n", (long long)(now - begun), (unsigned long long)runs_count,
                (unsigned long long)seed);
}

static bool is_over(time_t until)
{
        return until && time(NULL) >= until;
}

/* All crash points of one workload, @variants of each; every @stride-th one. */
static void crash_everywhere(sim_run_fn *run, uint64_t seed, uint64_t variants, uint64_t stride, time_t until)
{
        uint64_t changes, unused, counts[DISK_OPS];
        struct sim_plan plan = { .seed = seed, .fault = -1 };

        run(&plan, &changes, counts);
        for (plan.nth = 1; plan.nth <= changes && !is_over(until); plan.nth += stride)
                for (plan.variant = 0; plan.variant < variants; plan.variant++, runs_count++) {
                        run(&plan, &unused, counts);
                        show(seed);
                }
}

/* Each operation of each kind fails once, in one of the ways it may. */
static void fail_everywhere(sim_run_fn *run, uint64_t seed, uint64_t stride, time_t until)
{
        static const int errors[DISK_OPS][2] = {
                [DISK_OPEN] = { -EIO, -EMFILE },   [DISK_CREATE] = { -EIO, -ENOSPC },
                [DISK_WRITE] = { -EIO, -ENOSPC },  [DISK_SYNC] = { -EIO, -EIO },
                [DISK_SYNC_DIR] = { -EIO, -EIO },  [DISK_RESERVE] = { -ENOSPC, -EOPNOTSUPP },
                [DISK_RENAME] = { -EIO, -ENOSPC }, [DISK_UNLINK] = { -EIO, -EIO },
                [DISK_TRUNCATE] = { -EIO, -EIO },
        };
        uint64_t changes, unused, counts[DISK_OPS], ignored[DISK_OPS];
        struct sim_plan plan = { .seed = seed, .fault = -1 };

        run(&plan, &changes, counts);
        for (plan.fault = 0; plan.fault < DISK_OPS; plan.fault++)
                for (plan.nth = 1; plan.nth <= counts[plan.fault] && !is_over(until);
                     plan.nth += stride, runs_count++) {
                        plan.variant = plan.nth % 7;
                        plan.error = errors[plan.fault][plan.nth / stride % 2];
                        run(&plan, &unused, ignored);
                        show(seed);
                }
}

static void short_course(sim_run_fn *run, unsigned crash_seeds, unsigned fault_seeds)
{
        for (unsigned i = 0; i < crash_seeds; i++)
                crash_everywhere(run, 1 + i, 2, 1, 0);
        for (unsigned i = 0; i < fault_seeds; i++)
                fail_everywhere(run, 1000 + i, 1, 0);
}

static void long_course(sim_run_fn *run, time_t until)
{
        uint64_t seed = ((uint64_t)time(NULL) << 20) ^ ((uint64_t)getpid() << 44);

        for (seed %= UINT64_C(1000000000000); !is_over(until); seed++) {
                crash_everywhere(run, seed, 1 + seed % 3, 1 + seed % 5, until);
                fail_everywhere(run, seed, 1 + seed % 4, until);
        }
}

int sim_main(sim_run_fn *run, unsigned crash_seeds, unsigned fault_seeds)
{
        const char *one = getenv("SIM_SEED"), *seconds = getenv("SIM_S");
        uint64_t changes, counts[DISK_OPS];
        struct sim_plan plan;

        begun = shown = time(NULL);
        if (one && !plan_parse(one, &plan)) {
                fprintf(stderr, "SIM_SEED is SEED:FAULT:NTH:ERROR:VARIANT, as a failure prints it\n");
                return 2;
        }
        if (one) {
                run(&plan, &changes, counts);
                runs_count++;
        } else if (seconds) {
                long_course(run, begun + (time_t)strtol(seconds, NULL, 10));
        } else {
                short_course(run, crash_seeds, fault_seeds);
        }
        printf("%llu runs, nothing wrong\n", (unsigned long long)runs_count);
        return 0;
}
