#include "security/principal.h"

#include <errno.h>
#include <stdlib.h>

static struct principal anonymous = { .refs = 1, .type = { "User", 4 }, .name = { "ANONYMOUS", 9 } };

int principal_new(struct str type, struct str name, struct principal **ret_principal)
{
        if (!type.len || type.len > PRINCIPAL_TYPE_LEN_MAX || !name.len || name.len > PRINCIPAL_NAME_LEN_MAX)
                return -EINVAL;
        struct principal *p = malloc(sizeof(*p) + type.len + name.len);
        if (!p)
                return -ENOMEM;
        *p = (struct principal){ .refs = 1 };
        memcpy(p->text, type.p, type.len);
        memcpy(p->text + type.len, name.p, name.len);
        p->type = (struct str){ p->text, type.len };
        p->name = (struct str){ p->text + type.len, name.len };
        *ret_principal = p;
        return 0;
}

int principal_parse(struct str text, struct principal **ret_principal)
{
        const char *colon = text.len ? memchr(text.p, ':', text.len) : NULL;

        if (!colon)
                return -EINVAL;
        size_t type_len = (size_t)(colon - text.p);

        return principal_new((struct str){ text.p, type_len }, (struct str){ colon + 1, text.len - type_len - 1 },
                             ret_principal);
}

struct principal *principal_anonymous(void)
{
        return principal_ref(&anonymous);
}

struct principal *principal_ref(struct principal *p)
{
        if (p != &anonymous)
                atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
        return p;
}

struct principal *principal_unref(struct principal *p)
{
        if (p && p != &anonymous && atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1)
                free(p);
        return NULL;
}

bool principal_equals(const struct principal *a, const struct principal *b)
{
        return str_equal(a->type, b->type) && str_equal(a->name, b->name);
}
