/* Assigning values with a place, and saying what is wrong with them. */
#include "conf/reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/limits.h"

void conf_reader_error(struct conf_reader *rd, unsigned line, const char *fmt, ...)
{
        CLEANUP(freep) char *text = NULL;
        va_list ap;
        int r;

        if (++rd->error_count > LIMIT_CONF_ERRORS)
                return;
        va_start(ap, fmt);
        r = vasprintf(&text, fmt, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL;
                rd->out_of_memory = -ENOMEM;
                return;
        }
        if (line == LINE_SET)
                strbuf_printf(rd->errors, "--set: %s\n", text);
        else if (line)
                strbuf_printf(rd->errors, "%s:%u: %s\n", rd->file, line, text);
        else
                strbuf_printf(rd->errors, "%s: %s\n", rd->file, text);
}

/* Whether two names are near enough to be a slip of the finger: a third of the longer one. */
static bool is_near(struct str a, struct str b, unsigned *best)
{
        unsigned d = conf_name_distance(a, b);

        if (d >= *best || d * 3 > MAX2(a.len, b.len))
                return false;
        *best = d;
        return true;
}

bool conf_reader_section(struct conf_reader *rd, unsigned line, struct str section)
{
        const char *near = NULL;
        unsigned best = UINT32_MAX;
        CLEANUP(strbuf_finip) struct strbuf all = { 0 };

        for (size_t i = 0; i < conf_section_count; i++) {
                if (str_equal_c(section, conf_sections[i].name))
                        return true;
                if (is_near(section, str_of(conf_sections[i].name), &best))
                        near = conf_sections[i].name;
                strbuf_printf(&all, "%s%s", i ? ", " : "", conf_sections[i].name);
        }
        if (near)
                conf_reader_error(rd, line, "%.*s: there is no such section; did you mean %s?",
                                  (int)MIN2(section.len, (size_t)60), section.p, near);
        else
                conf_reader_error(rd, line, "%.*s: there is no such section; there are %s",
                                  (int)MIN2(section.len, (size_t)60), section.p, all.data ? all.data : "");
        return false;
}

/* The row that whoever wrote @key in @section most likely meant: Kafka's name for it, the same key of another section,
 * or a near one, this section's first. */
static int find_meant(struct str section, struct str key)
{
        unsigned best = UINT32_MAX;
        int meant = -1;

        for (int i = 0; i < PARAM_COUNT; i++)
                if ((conf_params[i].kafka && str_equal_c(key, conf_params[i].kafka)) ||
                    str_equal_c(key, conf_params[i].key))
                        return i;
        for (int i = 0; i < PARAM_COUNT; i++)
                if (str_equal_c(section, conf_params[i].section) && is_near(key, str_of(conf_params[i].key), &best))
                        meant = i;
        for (int i = 0; meant < 0 && i < PARAM_COUNT; i++)
                if (is_near(key, str_of(conf_params[i].key), &best))
                        meant = i;
        return meant;
}

int conf_reader_param(struct conf_reader *rd, unsigned line, struct str section, struct str key)
{
        int id = conf_param_find(section, key), meant;

        if (id >= 0)
                return id;
        meant = find_meant(section, key);
        if (meant >= 0)
                conf_reader_error(rd, line, "%.*s.%.*s: there is no such parameter; did you mean %s.%s?",
                                  STR_FMT(section), (int)MIN2(key.len, (size_t)60), key.p, conf_params[meant].section,
                                  conf_params[meant].key);
        else
                conf_reader_error(rd, line, "%.*s.%.*s: there is no such parameter; docs/PARAMETERS.md has all of them",
                                  STR_FMT(section), (int)MIN2(key.len, (size_t)60), key.p);
        return -1;
}

void conf_reader_assign(struct conf_reader *rd, unsigned line, struct str section, struct str key, struct str text)
{
        CLEANUP(strbuf_finip) struct strbuf why = { 0 };
        int id = conf_reader_param(rd, line, section, key);
        struct conf_value value;
        int r;

        if (id < 0)
                return;
        if (line != LINE_SET)
                rd->line[id] = line;
        rd->from_set[id] = line == LINE_SET;
        r = conf_value_parse(&conf_params[id], text, CONF_SYNTAX_UNITS, &rd->conf->mem, &value, &why);
        rd->bad[id] = r != 0;
        if (r == CONF_E_INVALID && !why.failed)
                conf_reader_error(rd, line, "%s.%s: %s", conf_params[id].section, conf_params[id].key, why.data);
        else if (r)
                rd->out_of_memory = -ENOMEM;
        if (r)
                return;
        conf_value_put(&conf_params[id], value, rd->conf);
        rd->conf->source[id] = CONF_SOURCE_STATIC;
}
