/* Goal: however much is to be removed at once, it goes a bounded amount at a time, and all of it goes. Method: folders with
 * many files, and with large ones that have no blocks; ticks one by one. */
#include "plog-fixture.h"

enum { LARGE = 200 << 20, HUGE = 700 << 20 };

/* What is there of deleted logs: files and folders, their bytes, the path of a huge one. */
struct rest {
        const char *dir;
        int count;
        int64_t len;
        char path[1200];
        char huge[1200];
};

static int add_file(void *arg, const char *name)
{
        struct rest *rest = arg;
        struct file_info info = { 0 };

        snprintf(rest->path, sizeof rest->path, "%s/%s", rest->dir, name);
        if (!file_info(rest->path, &info)) {
                rest->count++;
                rest->len += info.size;
                if (info.size == HUGE)
                        memcpy(rest->huge, rest->path, sizeof rest->huge);
        }
        return 0;
}

static int add_deleted(void *arg, const char *name)
{
        struct rest *rest = arg;
        const char *store = rest->dir;
        char path[900];
        size_t n = strlen(name);

        if (n < 7 || strcmp(name + n - 7, "-delete") != 0)
                return 0;
        snprintf(path, sizeof path, "%s/%s", store, name);
        rest->dir = path;
        rest->count++;
        CU_ASSERT_EQUAL(file_list(path, add_file, rest), 0);
        rest->dir = store;
        return 0;
}

static struct rest look(struct fixture *f)
{
        struct rest rest = { .dir = f->dir };

        CU_ASSERT_EQUAL(file_list(f->dir, add_deleted, &rest), 0);
        return rest;
}

static int left(struct fixture *f)
{
        return look(f).count;
}

/* One tick, and time for what it begins: until something went and nothing more goes. */
static void tick(struct fixture *f)
{
        struct rest before = look(f), now = before, last = before;

        plog_store_tick(f->store, clock_mono_ms());
        for (int i = 0; i < 200; i++) {
                usleep(50000);
                now = look(f);
                if ((now.count != before.count || now.len != before.len) && now.count == last.count &&
                    now.len == last.len)
                        return;
                last = now;
        }
        CU_FAIL("nothing is removed");
}

/* A deleted log with @count files of @len bytes. */
static void delete_log(struct fixture *f, int count, int64_t len)
{
        struct plog *pl = fixture_open(f, "t-0");

        for (int i = 0; i < count; i++) {
                char path[600];
                int fd;

                snprintf(path, sizeof path, "%s/t-0/file-%d", f->dir, i);
                fd = file_open(path, O_RDWR | O_CREAT);
                CU_ASSERT_FATAL(fd >= 0);
                CU_ASSERT_EQUAL_FATAL(file_truncate(fd, len), 0);
                file_close(fd);
        }
        CU_ASSERT_EQUAL(plog_delete(pl), 0);
}

static void test_many_files(void)
{
        struct fixture f;

        fixture_init(&f);
        delete_log(&f, 1200, 1);
        CU_ASSERT(left(&f) > 1200);
        tick(&f);
        CU_ASSERT(left(&f) > 600 && left(&f) < 1200);
        tick(&f);
        CU_ASSERT(left(&f) > 100 && left(&f) < 600);
        tick(&f);
        CU_ASSERT_EQUAL(left(&f), 0);
        fixture_fini(&f);
}

static void test_large_files(void)
{
        struct fixture f;

        fixture_init(&f);
        delete_log(&f, 5, LARGE);
        CU_ASSERT_EQUAL(left(&f), 7); /* the folder, and partition.meta */
        for (int ticks = 1; left(&f) && ticks <= 4; ticks++) {
                tick(&f);
                CU_ASSERT(left(&f) >= 7 - 2 * ticks - 2); /* two large ones pass the bound; small ones cost nothing */
        }
        CU_ASSERT_EQUAL(left(&f), 0);
        fixture_fini(&f);
}

/* A file that is larger than what goes at a time goes piece by piece. */
static void test_huge_file(void)
{
        struct fixture f;

        fixture_init(&f);
        delete_log(&f, 1, HUGE);
        for (int ticks = 0; ticks < 2; ticks++) {
                int64_t before = look(&f).len;

                tick(&f);
                if (!look(&f).len) /* the file system cannot tell whether somebody reads it: it went as a whole */
                        break;
                CU_ASSERT(look(&f).len > before - (300 << 20));
        }
        while (left(&f))
                tick(&f);
        fixture_fini(&f);
}

/* Not so while somebody has it open, who may be sending it. */
static void test_huge_file_that_is_read(void)
{
        struct fixture f;
        char byte;
        int fd;

        fixture_init(&f);
        delete_log(&f, 1, HUGE);
        fd = file_open(look(&f).huge, O_RDONLY);
        CU_ASSERT_FATAL(fd >= 0);
        while (left(&f))
                tick(&f);
        CU_ASSERT_EQUAL(file_size(fd), HUGE);
        CU_ASSERT_EQUAL(file_pread(fd, &byte, 1, HUGE - 1), 1);
        file_close(fd);
        fixture_fini(&f);
}

/* What was not removed before the node stopped is removed by the next start, without that start waiting for it. */
static void test_next_start(void)
{
        struct fixture f;
        struct plog *pl;
        char path[600];
        struct file_info info;
        int fd;

        fixture_init(&f);
        pl = fixture_open(&f, "t-0");
        append_simple(pl, 1, 10, 'x');
        plog_close(pl);
        f.store = plog_store_close(f.store);
        snprintf(path, sizeof path, "%s/t-0/00000000000000000000.log.deleted", f.dir);
        fd = file_open(path, O_RDWR | O_CREAT);
        CU_ASSERT_FATAL(fd >= 0);
        file_close(fd);
        fixture_open_store(&f);
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL(file_info(path, &info), 0);
        plog_store_tick(f.store, clock_mono_ms());
        for (int i = 0; i < 200 && !file_info(path, &info); i++)
                usleep(20000);
        CU_ASSERT(file_info(path, &info) < 0);
        plog_close(pl);
        fixture_fini(&f);
}

/* Flushes of a log wait for its retention, so it takes so many segments at a time. */
static void test_retention(void)
{
        enum { SEGMENTS = 100 };
        struct plog_retain_args leader = { .now_ms = NOW_MS, .below_offset = INT64_MAX }, follower = leader;
        int64_t start;
        struct fixture f;
        struct plog *pl;

        fixture_init(&f);
        f.conf.segment_bytes = 4096;
        f.conf.retention_bytes = 0;
        pl = fixture_open(&f, "t-0");
        for (int i = 0; i < SEGMENTS; i++)
                append_simple(pl, 1, 3000, 'x');
        wait_durable(pl);
        /* A follower deletes what its leader has deleted, and nothing of its own. */
        follower.deleted_only = true;
        CU_ASSERT_EQUAL(plog_retain(pl, &follower), 0);
        CU_ASSERT_EQUAL(plog_delete_records(pl, 5, &start), 0);
        CU_ASSERT_EQUAL(plog_retain(pl, &follower), 5);
        CU_ASSERT_EQUAL(plog_retain(pl, &follower), 0);
        CU_ASSERT_EQUAL(plog_retain(pl, &leader), PLOG_RETAIN_MAX);
        CU_ASSERT_EQUAL(ends_of(pl).start_offset, 5 + PLOG_RETAIN_MAX);
        CU_ASSERT_EQUAL(plog_retain(pl, &leader), SEGMENTS - 6 - PLOG_RETAIN_MAX);
        CU_ASSERT_EQUAL(ends_of(pl).start_offset, SEGMENTS - 1);
        CU_ASSERT_EQUAL(plog_retain(pl, &leader), 0);
        plog_close(pl);
        fixture_fini(&f);
}

static const struct unit_case cases[] = {
        { "many files go some at a time", test_many_files },
        { "large files go one or two at a time", test_large_files },
        { "a huge file goes piece by piece", test_huge_file },
        { "a huge file that is read stays whole", test_huge_file_that_is_read },
        { "the next start removes the rest", test_next_start },
        { "retention takes some segments at a time", test_retention },
};
UNIT_MAIN("plog/removal", cases)
