/* The reader of configuration files on any bytes. What it accepts must survive being written and read again; what it
 * refuses must come with a message. */
#include <assert.h>

#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Write every value as text and read it back: the same text must come out. */
static void check_values(const struct conf *c)
{
        for (int i = 0; i < PARAM_COUNT; i++) {
                const struct conf_row *row = &conf_params[i];
                CLEANUP(strbuf_finip) struct strbuf first = { 0 }, second = { 0 }, why = { 0 };
                CLEANUP(arena_finip) struct arena mem = { 0 };
                struct conf_value v;
                int r;

                conf_value_format(row, conf_value_get(row, c), &first);
                r = conf_value_parse(row, (struct str){ first.data ? first.data : "", first.len }, CONF_SYNTAX_PLAIN,
                                     &mem, &v, &why);
                assert(r == 0);
                conf_value_format(row, v, &second);
                assert(first.len == second.len && (!first.len || !memcmp(first.data, second.data, first.len)));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const struct conf_machine machine = { .cpus = 2, .hostname = "node" };
        CLEANUP(strbuf_finip) struct strbuf errors = { 0 };
        CLEANUP(conf_unrefp) struct conf *c = NULL;
        struct str text = { data ? (const char *)data : "", size };
        int r = conf_parse("f", text, NULL, 0, &machine, &c, &errors);

        assert(r == 0 || r == CONF_E_INVALID);
        assert((r == 0) == (errors.len == 0));
        if (c)
                check_values(c);
        return 0;
}
