/* Goal: memory counts as scarce as soon as one control group, the process's own or one above it, has less than 1/16 left;
 * groups without a limit, and files that are missing or hold nonsense, say nothing.
 * Method: a folder that looks like a hierarchy of groups. */
#include "sys/memory.c"

#include "unit.h"

static char root[] = "/tmp/chronik-memory-XXXXXX";

static void put(const char *name, const char *text)
{
        char path[256];

        snprintf(path, sizeof path, "%s/%s", root, name);
        CU_ASSERT_EQUAL_FATAL(file_replace(path, span_of(text, strlen(text))), 0);
}

static bool asked(const char *path)
{
        return groups_have_plenty(root, path, "max", "used");
}

static void test_groups(void)
{
        char dir[256];

        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
        snprintf(dir, sizeof dir, "%s/a/b", root);
        CU_ASSERT_EQUAL_FATAL(file_mkdirs(dir), 0);
        CU_ASSERT(asked("/a/b")); /* no files at all */
        CU_ASSERT(asked("/a/nowhere"));
        CU_ASSERT(asked("/"));
        put("a/b/max", "1600\n");
        put("a/b/used", "1500\n");
        CU_ASSERT(asked("/a/b")); /* just enough */
        put("a/b/used", "1501\n");
        CU_ASSERT(!asked("/a/b"));
        CU_ASSERT(asked("/a"));
        put("a/b/used", "99999\n"); /* more than may be: the limit was lowered */
        CU_ASSERT(!asked("/a/b"));
        put("a/b/max", "max\n");
        CU_ASSERT(asked("/a/b"));
        put("a/max", "1600\n");
        put("a/used", "1600\n");
        CU_ASSERT(!asked("/a/b")); /* the one above is full */
        put("a/used", "nonsense");
        CU_ASSERT(asked("/a/b"));
        CU_ASSERT_EQUAL(file_remove_tree(root), 0);
}

static const struct unit_case cases[] = {
        { "control groups", test_groups },
};

int main(void)
{
        return unit_run("sys/memory", cases, sizeof cases / sizeof cases[0]);
}
