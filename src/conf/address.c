/* HOST:PORT, and the list of controllers, as text. */
#include "conf/address.h"

#include <string.h>

static bool is_host_char(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
               c == '-';
}

static bool is_good_host(struct str host, bool bracketed)
{
        if (!host.len || host.len > 253)
                return false;
        for (size_t i = 0; i < host.len; i++)
                if (!is_host_char(host.p[i]) && !(host.p[i] == ':' && bracketed) &&
                    !(host.len == 1 && host.p[0] == '*'))
                        return false;
        return true;
}

/* Digits and nothing else, at most @max. */
static bool parse_digits(struct str text, int64_t max, int64_t *ret)
{
        int64_t n = 0;

        if (!text.len || text.len > 10)
                return false;
        for (size_t i = 0; i < text.len; i++) {
                if (text.p[i] < '0' || text.p[i] > '9')
                        return false;
                n = n * 10 + (text.p[i] - '0');
        }
        *ret = n;
        return n <= max;
}

bool conf_address_split(struct str text, struct str *ret_host, uint16_t *ret_port)
{
        const char *colon = text.len ? memrchr(text.p, ':', text.len) : NULL;
        struct str host, port;
        bool bracketed;
        int64_t n;

        if (!colon)
                return false;
        host = (struct str){ text.p, (size_t)(colon - text.p) };
        port = (struct str){ colon + 1, text.len - host.len - 1 };
        bracketed = host.len > 2 && host.p[0] == '[' && host.p[host.len - 1] == ']';
        if (bracketed)
                host = (struct str){ host.p + 1, host.len - 2 };
        if (!is_good_host(host, bracketed) || !parse_digits(port, UINT16_MAX, &n))
                return false;
        *ret_host = host;
        *ret_port = (uint16_t)n;
        return true;
}

static struct str without_spaces(struct str s)
{
        while (s.len && s.p[0] == ' ')
                s.p++, s.len--;
        while (s.len && s.p[s.len - 1] == ' ')
                s.len--;
        return s;
}

int conf_controllers_next(struct str *list, struct conf_controller *ret)
{
        const char *comma, *at;
        struct str item, host;
        uint16_t port;
        int64_t id;

        *list = without_spaces(*list);
        if (!list->len)
                return 0;
        comma = memchr(list->p, ',', list->len);
        item = (struct str){ list->p, comma ? (size_t)(comma - list->p) : list->len };
        list->p += item.len + !!comma;
        list->len -= item.len + !!comma;
        if (comma && !without_spaces(*list).len) /* nothing behind the comma */
                return -1;
        item = without_spaces(item);
        at = item.len ? memchr(item.p, '@', item.len) : NULL;
        if (!at || !parse_digits((struct str){ item.p, (size_t)(at - item.p) }, INT32_MAX, &id))
                return -1;
        item = (struct str){ at + 1, item.len - (size_t)(at + 1 - item.p) };
        if (!conf_address_split(item, &host, &port) || !port || host.p[0] == '*')
                return -1;
        *ret = (struct conf_controller){ (int32_t)id, host, port };
        return 1;
}

int conf_controllers_parse(struct str list, struct conf_controller ret[CONF_CONTROLLERS_MAX])
{
        struct conf_controller c;
        int count = 0, r;

        while ((r = conf_controllers_next(&list, &c)) > 0) {
                if (count == CONF_CONTROLLERS_MAX)
                        return -1;
                for (int i = 0; i < count; i++)
                        if (ret[i].id == c.id)
                                return -1;
                ret[count++] = c;
        }
        return r < 0 ? -1 : count;
}
