/* Answers of the admin listener as JSON. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

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

bool admin_members_known(json_t *body, const char *const *known, size_t count, char *why, size_t size)
{
        const char *key;
        json_t *value;

        json_object_foreach (body, key, value) {
                size_t i = 0;

                while (i < count && strcmp(key, known[i]) != 0)
                        i++;
                if (i == count) {
                        snprintf(why, size, "\"%.100s\" is not known.", key);
                        return false;
                }
        }
        return true;
}

json_t *admin_json_ids(const int32_t *ids, size_t count)
{
        json_t *list = json_array();

        for (size_t i = 0; i < count; i++)
                json_array_append_new(list, json_integer(ids[i]));
        return list;
}
