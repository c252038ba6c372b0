/* Inside conf: a configuration while it is being read, shared by the YAML reader, --set and the checks. */
#pragma once

#include "conf/conf.h"

struct conf_reader {
        struct conf *conf; /* being filled */
        struct strbuf *errors;
        const char *file;                            /* what messages call the file */
        unsigned error_count;                        /* also those beyond the limit, which are only counted */
        int out_of_memory;                           /* 0 or -ENOMEM, latched */
        unsigned line[PARAM_COUNT];                  /* where the value stands; 0: not in the file */
        bool from_set[PARAM_COUNT];                  /* the value is from --set */
        bool bad[PARAM_COUNT];                       /* refused; checks of several values leave it out */
        unsigned listener_line[CONF_LISTENERS_MAX];  /* where it begins, or LINE_SET */
        uint32_t listener_given[CONF_LISTENERS_MAX]; /* bit 1 << enum conf_listener_key */
        bool listener_bad[CONF_LISTENERS_MAX];       /* likewise */
};

/* One mistake at a place in the file (@line > 0), of the file as a whole (0), or of --set (LINE_SET). */
#define LINE_SET UINT32_MAX
void conf_reader_error(struct conf_reader *rd, unsigned line, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* The value @text for section.key found at @line. Reports what is wrong with any of the three. */
void conf_reader_assign(struct conf_reader *rd, unsigned line, struct str section, struct str key, struct str text);

/* Whether there is a section of that name; reports it with the nearest name when not. */
bool conf_reader_section(struct conf_reader *rd, unsigned line, struct str section);

/* The row of section.key, or -1 after reporting it with the nearest name. */
int conf_reader_param(struct conf_reader *rd, unsigned line, struct str section, struct str key);

/* The listener of that name, a new one if there is none yet; -1 after reporting what is wrong with the name. */
int conf_reader_listener(struct conf_reader *rd, unsigned line, struct str name);
/* As conf_reader_assign(), of that listener. */
void conf_reader_listener_assign(struct conf_reader *rd, unsigned line, int listener, struct str key, struct str text);
/* --set listeners.@key=@text: a name, a dot, a key. */
void conf_reader_listener_set(struct conf_reader *rd, struct str key, struct str text);
/* Judge them, each by itself and beside the others; the short form is among them from then on. */
void conf_check_listeners(struct conf_reader *rd);
/* The same listeners, with text of @to. Return: 0 or -ENOMEM. */
int conf_copy_listeners(const struct conf *from, struct conf *to);

/* Read a YAML document. */
void conf_yaml_read(struct conf_reader *rd, struct str text);

/* The checks that concern several values; those with a refused value among them are left out. */
void conf_check(struct conf_reader *rd);
