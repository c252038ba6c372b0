/* Metrics as text in Prometheus' exposition format 0.0.4. Pure: into a buffer of the caller's. */
#pragma once

#include "base/strbuf.h"

/* Begin a family of series. @type: "counter", "gauge" or "summary"; @help: one line. */
void expo_family(struct strbuf *out, const char *name, const char *type, const char *help);

/* One label; ended by a NULL name in a list. The value may be any text: it is escaped. */
struct expo_label {
        const char *name;
        struct str value;
};

/* Append @s as the value of a label: escaped, and made UTF-8 where it is not. */
void expo_escape(struct strbuf *out, struct str s);
/* Append @s as a name: each byte that cannot be in one becomes an underscore, and a name that begins with a digit gets one in front, but
 * after what @out holds already. */
void expo_name(struct strbuf *out, struct str s);
/* Append a value and the end of its line. */
void expo_number(struct strbuf *out, double value);

/* One series of the family that was begun last. @suffix: "" or "_sum" or "_count"; @labels may be NULL. */
void expo_value(struct strbuf *out, const char *name, const char *suffix, const struct expo_label *labels,
                double value);
