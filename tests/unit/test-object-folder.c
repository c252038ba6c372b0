/* Goal: an object in a folder is durable when put has succeeded, and what fails on the way leaves nothing that looks like one.
 * Method: syncs and renames are watched in their order, and each is made to fail in turn, until a put passes. */
#include <stdio.h>
#include <stdlib.h>

#include "object/object.h"
#include "sys/file.h"
#include "unit.h"

int __real_file_sync(int fd);
int __real_file_sync_dir(const char *dir);
int __real_file_rename(const char *from, const char *to);
int __real_file_rename_new(const char *from, const char *to);
int __wrap_file_sync(int fd);
int __wrap_file_sync_dir(const char *dir);
int __wrap_file_rename(const char *from, const char *to);
int __wrap_file_rename_new(const char *from, const char *to);

static struct watch {
        char order[100];         /* c: content synced, r: renamed, n: renamed to what is new, d: a folder synced */
        unsigned count, fail_at; /* from 1 */
} watch;

/* One put at a time, on one pool thread. */
static int step(char what)
{
        watch.order[watch.count++ % (sizeof watch.order - 1)] = what;
        return watch.count == watch.fail_at ? -EIO : 0;
}

int __wrap_file_sync(int fd)
{
        int r = step('c');

        return r ? r : __real_file_sync(fd);
}

int __wrap_file_sync_dir(const char *dir)
{
        int r = step('d');

        return r ? r : __real_file_sync_dir(dir);
}

int __wrap_file_rename(const char *from, const char *to)
{
        int r = step('r');

        return r ? r : __real_file_rename(from, to);
}

int __wrap_file_rename_new(const char *from, const char *to)
{
        int r = step('n');

        return r ? r : __real_file_rename_new(from, to);
}

static struct loop *loop;
static struct iopool *pool;
static struct object_store *store;
static char dir[] = "/tmp/chronik-object-folder-XXXXXX";

static void on_done(struct object_op *op)
{
        loop_stop(loop);
}

static int run(struct object_op *op)
{
        op->done = on_done;
        op->reply_loop = loop;
        object_submit(store, op);
        loop_run(loop);
        return op->result;
}

static int put(const char *key, const char *content, bool if_absent)
{
        struct object_op op = { .verb = OBJECT_PUT,
                                .key = str_of(key),
                                .body = span_of(content, strlen(content)),
                                .if_absent = if_absent };

        return run(&op);
}

static bool reads(const char *key, const char *content)
{
        char got[100];
        struct object_op op = { .verb = OBJECT_GET, .key = str_of(key), .get_buf = got, .get_len = sizeof got };

        return run(&op) == OBJECT_OK && op.got_len == strlen(content) && !memcmp(got, content, op.got_len);
}

static int count_name(void *arg, const char *name)
{
        ++*(unsigned *)arg;
        return 0;
}

static unsigned unfinished(void)
{
        char path[100];
        unsigned count = 0;

        snprintf(path, sizeof path, "%s/new", dir);
        CU_ASSERT_EQUAL(file_list(path, count_name, &count), 0);
        return count;
}

static void watch_from(unsigned fail_at)
{
        watch = (struct watch){ .fail_at = fail_at };
}

/* Content before the name, the name before the answer: every folder from the object to the store's. */
static void test_order(void)
{
        watch_from(0);
        CU_ASSERT_EQUAL(put("a/b/c", "1", true), OBJECT_OK);
        CU_ASSERT_STRING_EQUAL(watch.order, "cndddd"); /* b, a, objects, and the store's own */
        watch_from(0);
        CU_ASSERT_EQUAL(put("a/b/c", "2", false), OBJECT_OK);
        CU_ASSERT_STRING_EQUAL(watch.order, "crdddd");
        watch_from(0);
        CU_ASSERT_EQUAL(put("a/b/c", "3", true), OBJECT_E_EXISTS);
        CU_ASSERT_STRING_EQUAL(watch.order, "");
        CU_ASSERT(reads("a/b/c", "2"));
}

static void test_failures(bool if_absent, const char *key)
{
        unsigned fail_at = 0;
        int r;

        do {
                char renamed = if_absent ? 'n' : 'r';
                const char *at;

                watch_from(++fail_at);
                r = put(key, "content", if_absent);
                at = strchr(watch.order, renamed);
                CU_ASSERT_EQUAL(unfinished(), 0);
                /* Before it had its name nothing is there; afterwards all of it, though nobody was promised. */
                if (r && (!at || (unsigned)(at - watch.order) + 1 == fail_at))
                        CU_ASSERT(!reads(key, "content"));
                if (r && at && (unsigned)(at - watch.order) + 1 < fail_at) {
                        struct object_op op = { .verb = OBJECT_DELETE, .key = str_of(key) };

                        CU_ASSERT(reads(key, "content"));
                        watch_from(0);
                        CU_ASSERT_EQUAL(run(&op), OBJECT_OK);
                }
                CU_ASSERT(!r || r == -EIO);
        } while (r && fail_at < 20);
        CU_ASSERT_EQUAL(r, 0);
        CU_ASSERT_EQUAL(fail_at, 7);
        CU_ASSERT(reads(key, "content"));
}

static void test_new_failures(void)
{
        test_failures(true, "x/y/new");
}

static void test_replace_failures(void)
{
        test_failures(false, "x/y/any");
}

/* A delete is durable too. */
static void test_delete(void)
{
        struct object_op op = { .verb = OBJECT_DELETE, .key = STR_LIT("a/b/c") };

        watch_from(0);
        CU_ASSERT_EQUAL(run(&op), OBJECT_OK);
        CU_ASSERT_STRING_EQUAL(watch.order, "dddd");
        CU_ASSERT(!reads("a/b/c", "2"));
        watch_from(0);
        CU_ASSERT_EQUAL(run(&op), OBJECT_OK); /* there is none: nothing to be done */
        CU_ASSERT_STRING_EQUAL(watch.order, "");
}

static const struct unit_case cases[] = {
        { "content, name, folders", test_order },
        { "a new object, each step fails", test_new_failures },
        { "any object, each step fails", test_replace_failures },
        { "delete", test_delete },
};

int main(void)
{
        struct object_config c;
        char why[OBJECT_TEXT_SIZE];
        int failed = 1;

        object_config_init(&c);
        c.kind = OBJECT_FOLDER;
        c.folder = dir;
        if (mkdtemp(dir) && !loop_new("test", &loop) && !iopool_new(1, &pool) &&
            !object_store_open(&c, pool, &store, why))
                failed = unit_run("object-folder", cases, ARRAY_LEN(cases));
        object_store_close(store);
        iopool_free(pool);
        loop_free(loop);
        file_remove_tree(dir);
        return failed;
}
