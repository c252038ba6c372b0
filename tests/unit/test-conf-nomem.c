/* Goal: running out of memory anywhere in conf is reported as such; nothing crashes and nothing leaks. Method: the n-th
 * allocation fails, for n = 0, 1, 2... until the whole passes. The linker routes the allocations here (--wrap). */
#include <errno.h>

#include "conf/broker.h"
#include "conf/topic.h"
#include "unit.h"

static long left = -1; /* allocations until one fails; -1: none fails */

static bool fails(void)
{
        return left >= 0 && left-- == 0;
}

#include "nomem.h"

static const struct conf_machine machine = { .cpus = 2, .hostname = "node-7" };

static int read_good(void)
{
        static const char *const sets[] = { "server.rack=a" };
        CLEANUP(strbuf_finip) struct strbuf errors = { 0 };
        CLEANUP(conf_unrefp) struct conf *c = NULL;

        return conf_parse("f", STR_LIT("server:\n  roles: [ingest, controller]\n  kafka: a:1\n"), sets, 1, &machine, &c,
                          &errors);
}

static int read_bad(void)
{
        static const char *const sets[] = { "servre.rack=a", "x" };
        CLEANUP(strbuf_finip) struct strbuf errors = { 0 };
        CLEANUP(conf_unrefp) struct conf *c = NULL;
        int r = conf_parse("f", STR_LIT("server:\n  roles: [x]\n  colour: 1\n  node_id: {}\nlost:\n"), sets, 2,
                           &machine, &c, &errors);

        return r == CONF_E_INVALID ? 0 : r;
}

static int describe(void)
{
        const struct conf_pair pair = { STR_LIT("log.retention.ms"), STR_LIT("5") };
        CLEANUP(strbuf_finip) struct strbuf errors = { 0 }, why = { 0 };
        CLEANUP(conf_unrefp) struct conf *start = NULL;
        CLEANUP(conf_unrefp) struct conf *now = NULL;
        CLEANUP(arena_finip) struct arena mem = { 0 };
        struct conf_layers layers = { .all_brokers = { &pair, 1 } };
        struct conf_entries list;
        struct topic_conf t;
        struct str v;
        int r = conf_parse(NULL, STR_NULL, NULL, 0, &machine, &start, &errors);

        if (r)
                return r;
        layers.start = start;
        r = broker_conf_derive(&layers, &now, NULL);
        if (r)
                return r;
        layers.now = now;
        r = topic_conf_defaults(now, &t);
        if (!r)
                r = broker_conf_describe(&layers, NULL, 0, &mem, &list);
        if (!r)
                r = topic_conf_describe(&layers, (struct conf_pairs){ 0 }, NULL, 0, &mem, &list);
        if (!r)
                r = topic_conf_edit(&layers, (struct conf_pairs){ 0 }, STR_LIT("cleanup.policy"), CONF_EDIT_APPEND,
                                    STR_LIT("compact"), &mem, &v, &why);
        return r;
}

static void fail_each(int (*fn)(void))
{
        long n = 0;
        int r;

        do {
                left = n++;
                r = fn();
                CU_ASSERT(r == 0 || r == -ENOMEM);
        } while (left < 0 && n < 100000); /* an allocation failed, so there may be a later one */
        left = -1;
        CU_ASSERT_EQUAL(r, 0);
        CU_ASSERT(n > 3);
}

static void test_read_good(void)
{
        fail_each(read_good);
}

static void test_read_bad(void)
{
        fail_each(read_bad);
}

static void test_describe(void)
{
        fail_each(describe);
}

static const struct unit_case cases[] = {
        { "read a good file", test_read_good },
        { "read a bad file", test_read_bad },
        { "describe", test_describe },
};

UNIT_MAIN("conf-nomem", cases)
