/* The YAML reader: a mapping of sections, each a mapping of keys to one plain value or a list of them. Anything else
 * that YAML can say (anchors, tags, several documents, nesting) is refused: a configuration needs none of it. libyaml
 * parses; this file walks its events, so that every mistake has its line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "conf/limits.h"
#include "conf/reader.h"

struct walk {
        struct conf_reader *rd;
        yaml_parser_t parser;
        yaml_event_t event;
        struct str text; /* the whole file */
        bool failed;     /* the parser gave up; nothing more comes */
};

/* Line of the current event, from 1. */
static unsigned line_here(const struct walk *w)
{
        return (unsigned)w->event.start_mark.line + 1;
}

static struct str scalar_here(const struct walk *w)
{
        return (struct str){ (const char *)w->event.data.scalar.value, w->event.data.scalar.length };
}

/* Whether the indentation of a line contains a tab: the commonest reason for which YAML is refused. */
static bool line_starts_with_tab(struct str text, size_t line)
{
        const char *p = text.p, *end = text.p + text.len;

        for (; line > 0 && p; line--) {
                p = memchr(p, '\n', (size_t)(end - p));
                p = p ? p + 1 : NULL;
        }
        if (!p)
                return false;
        while (p < end && *p == ' ')
                p++;
        return p < end && *p == '\t';
}

static void report_syntax(struct walk *w)
{
        size_t line = w->parser.problem_mark.line;

        if (w->parser.error == YAML_MEMORY_ERROR)
                w->rd->out_of_memory = -ENOMEM;
        else if (line_starts_with_tab(w->text, line))
                conf_reader_error(w->rd, (unsigned)line + 1, "the line is indented with a tab; YAML wants spaces");
        else if (w->parser.error == YAML_READER_ERROR)
                conf_reader_error(w->rd, 0, "is not text (%s at byte %zu); give UTF-8 without control characters",
                                  w->parser.problem, w->parser.problem_offset);
        else
                conf_reader_error(w->rd, (unsigned)line + 1,
                                  "this is not YAML: %s%s%s; write `section:` and below it, indented by "
                                  "spaces, `key: value`",
                                  w->parser.context ? w->parser.context : "", w->parser.context ? ", " : "",
                                  w->parser.problem ? w->parser.problem : "unreadable");
}

/* Go to the next event. Return: its type, YAML_NO_EVENT when there is none any more. */
static yaml_event_type_t next(struct walk *w)
{
        yaml_event_delete(&w->event);
        if (w->failed || w->rd->out_of_memory)
                return YAML_NO_EVENT;
        if (!yaml_parser_parse(&w->parser, &w->event)) {
                w->failed = true;
                report_syntax(w);
                return YAML_NO_EVENT;
        }
        return w->event.type;
}

/* Leave the node that begins with the current event, with all that is in it. */
static void skip_node(struct walk *w)
{
        unsigned depth = 0;

        do {
                if (w->event.type == YAML_MAPPING_START_EVENT || w->event.type == YAML_SEQUENCE_START_EVENT)
                        depth++;
                if (w->event.type == YAML_MAPPING_END_EVENT || w->event.type == YAML_SEQUENCE_END_EVENT)
                        depth--;
        } while (depth && next(w) != YAML_NO_EVENT);
}

/* A scalar that YAML reads as nothing: empty, ~ or null. */
static bool is_null(const struct walk *w)
{
        struct str s = scalar_here(w);

        return w->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
               (!s.len || str_equal_c(s, "~") || str_equal_c(s, "null") || str_equal_c(s, "Null") ||
                str_equal_c(s, "NULL"));
}

static bool wants_text(const struct conf_row *row)
{
        return row->type == CONF_STR || row->type == CONF_ADDR || row->type == CONF_ENUM || row->type == CONF_SET;
}

static void read_scalar(struct walk *w, const struct conf_row *row)
{
        struct conf_reader *rd = w->rd;
        unsigned line = line_here(w);
        CLEANUP(strbuf_finip) struct strbuf expect = { 0 };

        if (is_null(w) || (w->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE && !wants_text(row))) {
                conf_row_expect(row, &expect);
                conf_reader_error(rd, line,
                                  is_null(w) ? "%s.%s: has no value; give %s, or leave the line out"
                                             : "%s.%s: is text in quotes; give %s without quotes",
                                  row->section, row->key, expect.data ? expect.data : "");
                rd->bad[row - conf_params] = true;
                return;
        }
        conf_reader_assign(rd, line, str_of(row->section), str_of(row->key), scalar_here(w));
}

/* The scalars of a sequence with commas between them. Return: whether there was nothing else in it. */
static bool join_sequence(struct walk *w, struct strbuf *joined)
{
        bool plain = true;

        while (next(w) != YAML_SEQUENCE_END_EVENT && w->event.type != YAML_NO_EVENT) {
                if (w->event.type != YAML_SCALAR_EVENT) {
                        plain = false;
                        skip_node(w);
                        continue;
                }
                if (joined->len)
                        strbuf_add_c(joined, ",");
                strbuf_add(joined, w->event.data.scalar.value, w->event.data.scalar.length);
        }
        if (joined->failed)
                w->rd->out_of_memory = -ENOMEM;
        return plain;
}

/* [a, b] for a set is the same as "a,b". */
static void read_sequence(struct walk *w, const struct conf_row *row)
{
        struct conf_reader *rd = w->rd;
        unsigned line = line_here(w);
        CLEANUP(strbuf_finip) struct strbuf joined = { 0 };
        bool plain = join_sequence(w, &joined);

        if (w->event.type == YAML_NO_EVENT || rd->out_of_memory)
                return;
        if (row->type == CONF_SET && plain) {
                conf_reader_assign(rd, line, str_of(row->section), str_of(row->key),
                                   (struct str){ joined.data ? joined.data : "", joined.len });
                return;
        }
        strbuf_fini(&joined);
        conf_row_expect(row, &joined);
        conf_reader_error(rd, line, "%s.%s: is a list; give %s", row->section, row->key,
                          joined.data ? joined.data : "");
        rd->bad[row - conf_params] = true;
}

static void read_value(struct walk *w, const struct conf_row *row)
{
        unsigned line = line_here(w);
        CLEANUP(strbuf_finip) struct strbuf expect = { 0 };

        switch (w->event.type) {
        case YAML_SCALAR_EVENT:
                read_scalar(w, row);
                return;
        case YAML_SEQUENCE_START_EVENT:
                read_sequence(w, row);
                return;
        case YAML_MAPPING_START_EVENT:
        case YAML_ALIAS_EVENT:
                conf_row_expect(row, &expect);
                conf_reader_error(w->rd, line, "%s.%s: is %s; give %s", row->section, row->key,
                                  w->event.type == YAML_ALIAS_EVENT ? "a YAML alias" : "a mapping",
                                  expect.data ? expect.data : "");
                w->rd->bad[row - conf_params] = true;
                skip_node(w);
                return;
        default:
                return;
        }
}

/* The keys of one section; the current event is its MAPPING-START. */
static void read_section(struct walk *w, struct str section)
{
        struct conf_reader *rd = w->rd;

        while (next(w) != YAML_MAPPING_END_EVENT && w->event.type != YAML_NO_EVENT) {
                unsigned line = line_here(w);
                int id = -1;

                if (w->event.type != YAML_SCALAR_EVENT) {
                        conf_reader_error(rd, line, "%.*s: a key here is not a name; write `key: value`",
                                          STR_FMT(section));
                        skip_node(w);
                } else {
                        id = conf_reader_param(rd, line, section, scalar_here(w));
                }
                if (next(w) == YAML_NO_EVENT)
                        return;
                if (id >= 0 && rd->line[id]) {
                        conf_reader_error(rd, line, "%s.%s: was given in line %u already; leave one of the two out",
                                          conf_params[id].section, conf_params[id].key, rd->line[id]);
                        id = -1;
                }
                if (id < 0) {
                        skip_node(w);
                        continue;
                }
                rd->line[id] = line;
                read_value(w, &conf_params[id]);
        }
}

/* One value of a listener; the current event is where it begins. */
static void read_listener_value(struct walk *w, int listener, struct str key)
{
        CLEANUP(strbuf_finip) struct strbuf joined = { 0 };
        unsigned line = line_here(w);

        if (w->event.type == YAML_SCALAR_EVENT && !is_null(w)) {
                conf_reader_listener_assign(w->rd, line, listener, key, scalar_here(w));
        } else if (w->event.type == YAML_SEQUENCE_START_EVENT && join_sequence(w, &joined)) {
                if (!w->rd->out_of_memory)
                        conf_reader_listener_assign(w->rd, line, listener, key,
                                                    (struct str){ joined.data ? joined.data : "", joined.len });
        } else if (w->event.type != YAML_NO_EVENT) {
                conf_reader_error(w->rd, line, "listeners.%s.%.*s: has no plain value; give one, or leave the line out",
                                  w->rd->conf->listeners[listener].name, (int)MIN2(key.len, (size_t)60), key.p);
                w->rd->listener_bad[listener] = true;
                skip_node(w);
        }
}

/* The keys of one listener; the current event is its MAPPING-START. */
static void read_listener(struct walk *w, int listener)
{
        while (next(w) != YAML_MAPPING_END_EVENT && w->event.type != YAML_NO_EVENT) {
                CLEANUP(freep) char *key = NULL;

                if (w->event.type != YAML_SCALAR_EVENT) {
                        conf_reader_error(w->rd, line_here(w),
                                          "listeners: a key here is not a name; write `key: value`");
                        skip_node(w);
                } else {
                        key = strndup(scalar_here(w).p, scalar_here(w).len); /* the next event takes its memory */
                        if (!key)
                                w->rd->out_of_memory = -ENOMEM;
                }
                if (next(w) == YAML_NO_EVENT)
                        return;
                if (key)
                        read_listener_value(w, listener, str_of(key));
                else
                        skip_node(w);
        }
}

/* The section listeners: a name for each; the current event is its MAPPING-START. */
static void read_listeners(struct walk *w)
{
        unsigned begun = 0; /* bits of listeners */

        while (next(w) != YAML_MAPPING_END_EVENT && w->event.type != YAML_NO_EVENT) {
                unsigned line = line_here(w);
                int listener = -1;

                if (w->event.type != YAML_SCALAR_EVENT) {
                        conf_reader_error(w->rd, line, "listeners: a name is expected here");
                        skip_node(w);
                } else {
                        listener = conf_reader_listener(w->rd, line, scalar_here(w));
                }
                if (next(w) == YAML_NO_EVENT)
                        return;
                if (listener >= 0 && (begun & 1u << listener)) {
                        conf_reader_error(w->rd, line, "listeners.%s: was begun already; put both together",
                                          w->rd->conf->listeners[listener].name);
                        listener = -1;
                }
                if (listener >= 0)
                        begun |= 1u << listener;
                if (listener >= 0 && w->event.type == YAML_MAPPING_START_EVENT) {
                        read_listener(w, listener);
                        continue;
                }
                if (listener >= 0)
                        conf_reader_error(w->rd, line,
                                          "listeners.%s: holds no keys; write `address: HOST:PORT` below it",
                                          w->rd->conf->listeners[listener].name);
                skip_node(w);
        }
}

/* Sections by their place: those of the table, then listeners. */
#define PLACE_LISTENERS conf_section_count
#define PLACE_NONE (conf_section_count + 1)

static const char *place_name(size_t place)
{
        return place == PLACE_LISTENERS ? "listeners" : conf_sections[place].name;
}

/* The section that the current event names, or PLACE_NONE after saying what is wrong. */
static size_t read_place(struct walk *w)
{
        size_t place = 0;

        if (w->event.type != YAML_SCALAR_EVENT) {
                conf_reader_error(w->rd, line_here(w), "a section name is expected here; write `server:`");
                skip_node(w);
                return PLACE_NONE;
        }
        if (str_equal(scalar_here(w), STR_LIT("listeners")))
                return PLACE_LISTENERS;
        if (!conf_reader_section(w->rd, line_here(w), scalar_here(w)))
                return PLACE_NONE;
        while (!str_equal_c(scalar_here(w), conf_sections[place].name))
                place++;
        return place;
}

/* The root mapping: sections. */
static void read_root(struct walk *w)
{
        struct conf_reader *rd = w->rd;
        unsigned seen[64] = { 0 };

        assert(PLACE_LISTENERS < ARRAY_LEN(seen));
        while (next(w) != YAML_MAPPING_END_EVENT && w->event.type != YAML_NO_EVENT) {
                unsigned line = line_here(w);
                size_t place = read_place(w);

                if (next(w) == YAML_NO_EVENT)
                        return;
                if (place == PLACE_NONE) {
                        skip_node(w);
                        continue;
                }
                if (seen[place])
                        conf_reader_error(rd, line, "%s: this section was begun in line %u already; put both together",
                                          place_name(place), seen[place]);
                else
                        seen[place] = line;
                if (w->event.type != YAML_MAPPING_START_EVENT) {
                        conf_reader_error(rd, line,
                                          "%s: holds no keys; write `key: value` lines below it, indented by "
                                          "spaces, or leave the section out",
                                          place_name(place));
                        skip_node(w);
                } else if (place == PLACE_LISTENERS) {
                        read_listeners(w);
                } else {
                        read_section(w, str_of(place_name(place)));
                }
        }
}

static void read_document(struct walk *w)
{
        static const char wanted[] = "write sections such as `server:` with `key: value` lines below them";

        if (next(w) != YAML_STREAM_START_EVENT)
                return;
        if (next(w) == YAML_STREAM_END_EVENT) {
                conf_reader_error(w->rd, 0, "is empty; %s, or start without a file", wanted);
                return;
        }
        if (w->event.type != YAML_DOCUMENT_START_EVENT || next(w) == YAML_NO_EVENT)
                return;
        if (w->event.type != YAML_MAPPING_START_EVENT) {
                conf_reader_error(w->rd, line_here(w), "is not a mapping; %s", wanted);
                skip_node(w);
        } else {
                read_root(w);
        }
        if (w->failed || w->rd->out_of_memory)
                return;
        if (next(w) == YAML_DOCUMENT_END_EVENT && next(w) == YAML_DOCUMENT_START_EVENT)
                conf_reader_error(w->rd, line_here(w), "a second document begins here; one file holds one");
}

void conf_yaml_read(struct conf_reader *rd, struct str text)
{
        struct walk w = { .rd = rd, .text = text };

        if (!yaml_parser_initialize(&w.parser)) {
                rd->out_of_memory = -ENOMEM;
                return;
        }
        yaml_parser_set_encoding(&w.parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&w.parser, (const unsigned char *)text.p, text.len);
        read_document(&w);
        yaml_event_delete(&w.event);
        yaml_parser_delete(&w.parser);
}
