/* Inside conf: a configuration while it is being read, shared by the YAML reader, --set and the checks. */
#pragma once

#include "conf/conf.h"

struct conf_reader {
        struct conf *conf; /* being filled */
        struct strbuf *errors;
        const char *file;           /* what messages call the file */
        unsigned error_count;       /* also those beyond the limit, which are only counted */
        int out_of_memory;          /* 0 or -ENOMEM, latched */
        unsigned line[PARAM_COUNT]; /* where the value stands; 0: not in the file */
        bool from_set[PARAM_COUNT]; /* the value is from --set */
        bool bad[PARAM_COUNT];      /* refused; checks of several values leave it out */
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

/* Read a YAML document. */
void conf_yaml_read(struct conf_reader *rd, struct str text);

/* The checks that concern several values; those with a refused value among them are left out. */
void conf_check(struct conf_reader *rd);
