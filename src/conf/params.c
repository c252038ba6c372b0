/* params.def as data: the rows, the sections, and finding one. */
#include "conf/conf.h"

#include <stdio.h>
#include <string.h>

/* Defaults that depend on the machine; conf_param_default() knows them. */
static const char cpus_default[] = "cpus";
static const char cpus_4_default[] = "max(cpus, 4)";
#define CPUS cpus_default
#define CPUS_4 cpus_4_default
#define STATIC false
#define DYNAMIC true

#define ROW(s, k, t, c, lo, hi, vals, def, when, kaf, txt) \
        [PARAM_##s##_##k] = { .section = #s, \
                              .key = #k, \
                              .type = t, \
                              .check = c, \
                              .min = lo, \
                              .max = hi, \
                              .values = vals, \
                              .default_value = def, \
                              .kafka = kaf, \
                              .text = txt, \
                              .offset = offsetof(struct conf, s.k), \
                              .dynamic = when },

const struct conf_row conf_params[PARAM_COUNT] = {
#define SECTION(s, text)
#define END(s)
#define P_INT(s, k, lo, hi, def, when, kafka, text) \
        ROW(s, k, CONF_INT, CONF_CHECK_NONE, lo, hi, NULL, def, when, kafka, text)
#define P_SIZE(s, k, lo, hi, def, when, kafka, text) \
        ROW(s, k, CONF_SIZE, CONF_CHECK_NONE, lo, hi, NULL, def, when, kafka, text)
#define P_TIME(s, k, lo, hi, def, when, kafka, text) \
        ROW(s, k, CONF_TIME, CONF_CHECK_NONE, lo, hi, NULL, def, when, kafka, text)
#define P_RATIO(s, k, def, when, kafka, text) ROW(s, k, CONF_RATIO, CONF_CHECK_NONE, 0, 1, NULL, def, when, kafka, text)
#define P_BOOL(s, k, def, when, kafka, text) ROW(s, k, CONF_BOOL, CONF_CHECK_NONE, 0, 1, NULL, def, when, kafka, text)
#define P_ENUM(s, k, values, def, when, kafka, text) \
        ROW(s, k, CONF_ENUM, CONF_CHECK_NONE, 0, 0, values, def, when, kafka, text)
#define P_SET(s, k, values, def, when, kafka, text) \
        ROW(s, k, CONF_SET, CONF_CHECK_NONE, 0, 0, values, def, when, kafka, text)
#define P_STR(s, k, check, len_max, def, when, kafka, text) \
        ROW(s, k, CONF_STR, check, 0, len_max, NULL, def, when, kafka, text)
#define P_ADDR(s, k, def, when, kafka, text) ROW(s, k, CONF_ADDR, CONF_CHECK_NONE, 0, 0, NULL, def, when, kafka, text)
#include "conf/params.def"
};

const struct conf_section conf_sections[] = {
#define SECTION(s, text) { #s, text },
#define END(s)
#define P_INT(...)
#define P_SIZE(...)
#define P_TIME(...)
#define P_RATIO(...)
#define P_BOOL(...)
#define P_ENUM(...)
#define P_SET(...)
#define P_STR(...)
#define P_ADDR(...)
#include "conf/params.def"
};
const size_t conf_section_count = ARRAY_LEN(conf_sections);

int conf_param_find(struct str section, struct str key)
{
        for (int i = 0; i < PARAM_COUNT; i++)
                if (str_equal_c(section, conf_params[i].section) && str_equal_c(key, conf_params[i].key))
                        return i;
        return -1;
}

const char *conf_param_default(const struct conf_row *row, const struct conf_machine *machine, char scratch[24])
{
        unsigned n = machine->cpus;

        if (row->default_value != cpus_default && row->default_value != cpus_4_default)
                return row->default_value;
        if (row->default_value == cpus_4_default)
                n = MAX2(n, 4u);
        snprintf(scratch, 24, "%lld", (long long)MIN2((int64_t)n, row->max));
        return scratch;
}
