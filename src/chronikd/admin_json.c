/* Answers of the admin listener as JSON. */
#include <jansson.h>
#include <stdio.h>

#include "base/utf8.h"
#include "chronikd/admin.h"

void admin_answer_json(struct http_request *rq, json_t *value)
{
        char *text = value ? json_dumps(value, JSON_INDENT(2)) : NULL;

        if (!text)
                rq->out.failed = true;
        else
                strbuf_printf(&rq->out, "%s\n", text);
        free(text);
        json_decref(value);
}

void admin_answer_error(struct http_request *rq, unsigned status, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        rq->status = status;
        admin_answer_json(rq, json_pack("{s:o}", "error", json_vsprintf(fmt, ap)));
        va_end(ap);
}

/* What clients call themselves and their groups need not be UTF-8, JSON must be. */
json_t *admin_json_str(struct str s)
{
        CLEANUP(strbuf_finip) struct strbuf clean = { 0 };

        if (!s.p)
                return json_null();
        if (utf8_is_valid(s))
                return json_stringn(s.p, s.len);
        utf8_add_clean(&clean, s);
        return clean.failed ? NULL : json_stringn(clean.data, clean.len);
}

json_t *admin_json_ids(const int32_t *ids, size_t count)
{
        json_t *list = json_array();

        for (size_t i = 0; i < count; i++)
                json_array_append_new(list, json_integer(ids[i]));
        return list;
}
