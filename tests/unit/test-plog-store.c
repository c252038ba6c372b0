/* Goal: a data folder knows whose it is and how it was left. Method: open, leave and open again; then compare. */
#include <errno.h>

#include "plog-fixture.h"

static void reopen(struct fixture *f)
{
        f->store = plog_store_close(f->store);
        fixture_open_store(f);
}

static void test_cluster(void)
{
        struct fixture f;
        const char *why = NULL;

        fixture_init(&f);
        CU_ASSERT_EQUAL(plog_store_bind(f.store, STR_LIT("first"), &why), 0);
        CU_ASSERT_EQUAL(plog_store_bind(f.store, STR_LIT("first"), &why), 0);
        reopen(&f);
        CU_ASSERT_EQUAL(plog_store_bind(f.store, STR_LIT("first"), &why), 0);
        CU_ASSERT_PTR_NULL(why);
        CU_ASSERT_EQUAL(plog_store_bind(f.store, STR_LIT("firs"), &why), PLOG_STORE_E_FOREIGN);
        CU_ASSERT_PTR_NOT_NULL_FATAL(why);
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "logs of cluster first"));
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "of cluster firs:"));
        fixture_fini(&f);
}

static void test_note(void)
{
        struct fixture f;
        const char *why;

        fixture_init(&f);
        CU_ASSERT_EQUAL(plog_store_clean_note(f.store), -1);
        plog_store_set_clean_note(f.store, INT64_C(1) << 40);
        CU_ASSERT_EQUAL(plog_store_bind(f.store, STR_LIT("c"), &why), 0);
        for (int i = 0; i < 2; i++) {
                reopen(&f); /* and nothing done: a start that is refused */
                CU_ASSERT(plog_store_was_clean(f.store));
                CU_ASSERT_EQUAL(plog_store_clean_note(f.store), INT64_C(1) << 40);
        }
        CU_ASSERT_EQUAL(plog_store_bind(f.store, STR_LIT("c"), &why), 0);
        reopen(&f); /* nobody said anything this time */
        CU_ASSERT(plog_store_was_clean(f.store));
        CU_ASSERT_EQUAL(plog_store_clean_note(f.store), -1);
        fixture_fini(&f);
}

/* A mark that is not ours is a clean stop that says nothing more. */
static void test_note_damaged(void)
{
        struct fixture f;
        char path[500];

        fixture_init(&f);
        f.store = plog_store_close(f.store);
        snprintf(path, sizeof path, "%s/clean", f.dir);
        CU_ASSERT_EQUAL(file_replace(path, span_of("CLEA0123456789abcdefghij", 24)), 0);
        fixture_open_store(&f);
        CU_ASSERT(plog_store_was_clean(f.store));
        CU_ASSERT_EQUAL(plog_store_clean_note(f.store), -1);
        fixture_fini(&f);
}

struct seen {
        char names[256];
        int count;
};

static int see(void *arg, const char *name, struct uuid topic_id)
{
        struct seen *s = arg;

        CU_ASSERT(uuid_equal(topic_id, (struct uuid){ { 1, 2, 3 } }));
        strcat(strcat(s->names, name), " ");
        s->count++;
        return 0;
}

static void test_list_and_discard(void)
{
        struct seen seen = { 0 };
        struct fixture f;
        struct plog *pl;
        char path[500], name[] = "t-0";

        fixture_init(&f);
        for (int i = 0; i < 3; i++, name[2]++) {
                pl = fixture_open(&f, name);
                append_simple(pl, 1, 10, 'x');
                plog_close(pl);
        }
        snprintf(path, sizeof path, "%s/not-a-log", f.dir);
        CU_ASSERT_EQUAL(file_mkdirs(path), 0);
        CU_ASSERT_EQUAL(plog_store_list(f.store, see, &seen), 0);
        CU_ASSERT_EQUAL(seen.count, 3);
        CU_ASSERT_EQUAL(plog_store_discard(f.store, "t-1", 3600000), 0);
        seen = (struct seen){ 0 };
        CU_ASSERT_EQUAL(plog_store_list(f.store, see, &seen), 0);
        CU_ASSERT_EQUAL(seen.count, 2);
        CU_ASSERT_PTR_NULL(strstr(seen.names, "t-1"));
        CU_ASSERT_EQUAL(plog_store_discard(f.store, "t-1", 0), -ENOENT);
        /* Made again at once: a log of its own. */
        pl = fixture_open(&f, "t-1");
        CU_ASSERT_EQUAL(ends_of(pl).end_offset, 0);
        plog_close(pl);
        fixture_fini(&f);
}

static const struct unit_case cases[] = {
        { "the cluster that a folder belongs to", test_cluster },
        { "a note goes with the mark of a clean stop", test_note },
        { "a damaged mark", test_note_damaged },
        { "list and discard", test_list_and_discard },
};
UNIT_MAIN("plog/store", cases)
