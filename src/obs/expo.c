/* Prometheus text. */
#include "obs/expo.h"

#include <math.h>

#include "base/utf8.h"

void expo_family(struct strbuf *out, const char *name, const char *type, const char *help)
{
        strbuf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label that is no UTF-8 makes Prometheus refuse the whole page, so what clients call themselves is cleaned. */
void expo_escape(struct strbuf *out, struct str s)
{
        CLEANUP(strbuf_finip) struct strbuf clean = { 0 };

        if (!utf8_is_valid(s)) {
                utf8_add_clean(&clean, s);
                out->failed |= clean.failed;
                s = (struct str){ clean.data, clean.len };
        }
        for (size_t i = 0; i < s.len; i++) {
                if (s.p[i] == '\\' || s.p[i] == '"')
                        strbuf_printf(out, "\\%c", s.p[i]);
                else if (s.p[i] == '\n')
                        strbuf_add_c(out, "\\n");
                else
                        strbuf_add(out, &s.p[i], 1);
        }
}

void expo_name(struct strbuf *out, struct str s)
{
        if (s.len && !out->len && s.p[0] >= '0' && s.p[0] <= '9')
                strbuf_add_c(out, "_");
        for (size_t i = 0; i < s.len; i++) {
                char c = s.p[i];
                bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

                strbuf_add(out, fine ? &c : "_", 1);
        }
}

void expo_number(struct strbuf *out, double value)
{
        if (isnan(value))
                strbuf_add_c(out, " NaN\n");
        else if (isinf(value))
                strbuf_add_c(out, value > 0 ? " +Inf\n" : " -Inf\n");
        else if (value == floor(value) && fabs(value) < 1e15)
                strbuf_printf(out, " %.0f\n", value);
        else
                strbuf_printf(out, " %.9g\n", value);
}

void expo_value(struct strbuf *out, const char *name, const char *suffix, const struct expo_label *labels, double value)
{
        strbuf_printf(out, "%s%s", name, suffix);
        for (const struct expo_label *l = labels; l && l->name; l++) {
                strbuf_printf(out, "%s%s=\"", l == labels ? "{" : ",", l->name);
                expo_escape(out, l->value);
                strbuf_add_c(out, "\"");
        }
        if (labels && labels->name)
                strbuf_add_c(out, "}");
        expo_number(out, value);
}
