/* What a row of the tables (params.def, topics.def) says about one value, and the reading and writing of values as
 * text. Pure. One reader serves the file, --set, defaults, CreateTopics and IncrementalAlterConfigs, so that a value
 * means the same wherever it comes from. */
#pragma once

#include "base/arena.h"
#include "base/strbuf.h"

/* Outcomes of every function of conf that judges somebody's input. The text of what was wrong goes into a strbuf. */
enum {
        CONF_OK,
        CONF_E_INVALID,   /* the value is wrong */
        CONF_E_UNKNOWN,   /* there is no such name */
        CONF_E_RANGE,     /* likewise, where Kafka tells a number out of its range from what cannot be read */
        CONF_E_READ_ONLY, /* the name is known and cannot be changed at run time */
};

enum conf_type {
        CONF_INT,
        CONF_SIZE,
        CONF_TIME,
        CONF_RATIO,
        CONF_BOOL,
        CONF_ENUM,
        CONF_SET,
        CONF_STR,
        CONF_ADDR,
};

/* What a CONF_STR must look like. */
enum conf_check {
        CONF_CHECK_NONE,
        CONF_CHECK_NAME,         /* letters, digits, dot, underscore, hyphen */
        CONF_CHECK_PATH,         /* anything printable */
        CONF_CHECK_THROTTLED,    /* "*", or PARTITION:NODE pairs between commas, or empty */
        CONF_CHECK_CONTROLLERS,  /* ID@HOST:PORT between commas, each ID once, or empty (address.h) */
        CONF_CHECK_OFFSET_RESET, /* earliest, latest or by_duration:DURATION (offset_reset.h) */
};

/* HOST:PORT. An address that was left empty has the host "" and port 0. IPv6 hosts are kept without their brackets. */
struct conf_addr {
        const char *host;
        uint16_t port;
};

struct conf_row {
        const char *section; /* NULL in topics.def */
        const char *key;
        enum conf_type type;
        enum conf_check check;
        int64_t min;
        int64_t max;
        const char *values;        /* "a|b|c" for CONF_ENUM and CONF_SET, else NULL */
        const char *default_value; /* text; NULL when it comes from elsewhere */
        const char *kafka;         /* Kafka's broker configuration of the same meaning, or NULL */
        const char *text;          /* one or two sentences for the operator */
        size_t offset;             /* of the field in struct conf or struct topic_conf; SIZE_MAX: no field */
        bool dynamic;
};

/* One value, whatever its type. Text in it is borrowed from whom made it. */
struct conf_value {
        union {
                int64_t i; /* CONF_INT, CONF_SIZE, CONF_TIME, CONF_ENUM (place), CONF_SET (bits), CONF_BOOL */
                double r;
                const char *s;
                struct conf_addr addr;
        };
};

/* How a value may be written. The file and --set allow units; what comes through the Kafka protocol does not have them,
 * because tools show the text unchanged and read it back as a number. */
enum conf_syntax { CONF_SYNTAX_PLAIN, CONF_SYNTAX_UNITS };

/* Read @text as @row wants it.
 * @mem    what text values are copied into.
 * @why    gets, after CONF_E_INVALID, what is wrong and what would be right, as the end of a sentence: `is 0; ...`.
 * Return: 0; CONF_E_INVALID; -ENOMEM. */
int conf_value_parse(const struct conf_row *row, struct str text, enum conf_syntax syntax, struct arena *mem,
                     struct conf_value *ret_value, struct strbuf *why);

/* @text without the blanks around it, as conf_value_parse() reads it; borrowed from @text. */
struct str conf_value_trim(struct str text);

/* Write @value as Kafka writes it: plain numbers, true and false, names between commas. */
void conf_value_format(const struct conf_row *row, struct conf_value value, struct strbuf *out);

/* Move a value between its field (in the struct that row->offset refers to) and its general form. */
struct conf_value conf_value_get(const struct conf_row *row, const void *object);
void conf_value_put(const struct conf_row *row, struct conf_value value, void *object);

/* What would be right, for messages and documents: "a number from 1 to 256", "true or false", "one of a, b, c". */
void conf_row_expect(const struct conf_row *row, struct strbuf *out);

/* The place of @word in the list "a|b|c", -1 when it is not there. */
int conf_values_find(const char *values, struct str word);
/* The @place-th word of the list; STR_NULL past its end. */
struct str conf_values_at(const char *values, int place);

/* "0.0.0.0", "::", "*" and an empty host: good to listen on, useless to connect to. */
bool conf_host_is_wildcard(const char *host);

/* How far apart two names are: edits of one character, exchanged neighbours counting one. For "did you mean". Names are
 * cut at 63 characters. */
unsigned conf_name_distance(struct str a, struct str b);
