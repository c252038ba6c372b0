/* Small common parts of DescribeConfigs and IncrementalAlterConfigs of brokers and topics. */
#include "conf/entry.h"

#include <errno.h>
#include <string.h>

const struct conf_pair *conf_pairs_find(struct conf_pairs pairs, struct str name)
{
        for (size_t i = 0; i < pairs.count; i++)
                if (str_equal(pairs.at[i].name, name))
                        return &pairs.at[i];
        return NULL;
}

bool conf_names_contain(const struct str *names, size_t count, struct str name)
{
        for (size_t i = 0; i < count; i++)
                if (str_equal(names[i], name))
                        return true;
        return count == 0;
}

enum conf_kafka_type conf_row_kafka_type(const struct conf_row *row)
{
        switch (row->type) {
        case CONF_INT:
        case CONF_SIZE:
        case CONF_TIME:
                return row->max > INT32_MAX ? CONF_KAFKA_LONG : CONF_KAFKA_INT;
        case CONF_RATIO:
                return CONF_KAFKA_DOUBLE;
        case CONF_BOOL:
                return CONF_KAFKA_BOOLEAN;
        case CONF_SET:
                return CONF_KAFKA_LIST;
        case CONF_STR:
                return row->check == CONF_CHECK_THROTTLED || row->check == CONF_CHECK_CONTROLLERS ? CONF_KAFKA_LIST
                                                                                                  : CONF_KAFKA_STRING;
        case CONF_ENUM:
        case CONF_ADDR:
                break;
        }
        return CONF_KAFKA_STRING;
}

bool conf_list_next(struct str *list, struct str *ret_word)
{
        const char *comma;
        size_t len;

        if (!list->p)
                return false;
        comma = memchr(list->p, ',', list->len);
        len = comma ? (size_t)(comma - list->p) : list->len;
        *ret_word = (struct str){ list->p, len };
        *list = comma ? (struct str){ comma + 1, list->len - len - 1 } : STR_NULL;
        while (ret_word->len && *ret_word->p == ' ')
                ret_word->p++, ret_word->len--;
        while (ret_word->len && ret_word->p[ret_word->len - 1] == ' ')
                ret_word->len--;
        return true;
}

static bool has_word(struct str list, struct str word)
{
        struct str w;

        while (conf_list_next(&list, &w))
                if (str_equal(w, word))
                        return true;
        return false;
}

static void add_word(struct strbuf *list, struct str word)
{
        if (!word.len || (list->data && has_word((struct str){ list->data, list->len }, word)))
                return;
        if (list->len)
                strbuf_add_c(list, ",");
        strbuf_add(list, word.p, word.len);
}

int conf_list_edit(struct str current, enum conf_edit edit, struct str operand, struct arena *mem,
                   struct str *ret_value)
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        struct str rest = current, word;
        char *copy;

        while (conf_list_next(&rest, &word))
                if (edit == CONF_EDIT_APPEND || !has_word(operand, word))
                        add_word(&out, word);
        rest = edit == CONF_EDIT_APPEND ? operand : STR_NULL;
        while (conf_list_next(&rest, &word))
                add_word(&out, word);
        if (out.failed)
                return -ENOMEM;
        copy = arena_strdup0(mem, (struct str){ out.data ? out.data : "", out.len });
        if (!copy)
                return -ENOMEM;
        *ret_value = (struct str){ copy, out.len };
        return 0;
}
