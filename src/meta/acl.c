/* See acl.h. */
#include "meta/acl.h"

int meta_acl_compare(const struct meta_acl_entry *a, const struct meta_acl_entry *b)
{
        int r = a->resource_type - b->resource_type;

        if (!r)
                r = a->pattern_type - b->pattern_type;
        if (!r)
                r = str_compare(a->resource_name, b->resource_name);
        if (!r)
                r = str_compare(a->principal, b->principal);
        if (!r)
                r = str_compare(a->host, b->host);
        if (!r)
                r = a->operation - b->operation;
        return r ? r : a->permission - b->permission;
}

static struct str put_text(char **at, struct str s)
{
        struct str copy = { *at, s.len };

        if (s.len)
                memcpy(*at, s.p, s.len);
        *at += s.len;
        return copy;
}

struct meta_acl *meta_acl_new(const struct rec_acl *r)
{
        struct meta_acl *a = malloc(sizeof *a + r->resource_name.len + r->principal.len + r->host.len);
        char *at;

        if (!a)
                return NULL;
        at = a->text;
        a->id = r->id;
        a->entry = (struct meta_acl_entry){
                .resource_type = r->resource_type,
                .pattern_type = r->pattern_type,
                .operation = r->operation,
                .permission = r->permission,
        };
        atomic_init(&a->refs, 1);
        a->entry.resource_name = put_text(&at, r->resource_name);
        a->entry.principal = put_text(&at, r->principal);
        a->entry.host = put_text(&at, r->host);
        return a;
}

void meta_acl_to_record(const struct meta_acl *a, struct rec_acl *ret)
{
        rec_acl_init(ret);
        ret->id = a->id;
        ret->resource_type = a->entry.resource_type;
        ret->pattern_type = a->entry.pattern_type;
        ret->resource_name = a->entry.resource_name;
        ret->principal = a->entry.principal;
        ret->host = a->entry.host;
        ret->operation = a->entry.operation;
        ret->permission = a->entry.permission;
}

struct meta_acl *meta_acl_ref(struct meta_acl *a)
{
        if (a)
                atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
        return a;
}

struct meta_acl *meta_acl_unref(struct meta_acl *a)
{
        if (a && atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) == 1)
                free(a);
        return NULL;
}

/* ---- how maps see them ---- */

static const void *key_entry(const void *value)
{
        return &((const struct meta_acl *)value)->entry;
}

static const void *key_id(const void *value)
{
        return &((const struct meta_acl *)value)->id;
}

static int compare_entries(const void *a, const void *b)
{
        return meta_acl_compare(a, b);
}

static int compare_ids(const void *a, const void *b)
{
        return memcmp(a, b, sizeof(struct uuid));
}

static void ref_any(void *value)
{
        meta_acl_ref(value);
}

static void unref_any(void *value)
{
        meta_acl_unref(value);
}

const struct pmap_ops meta_acls_ops = { key_entry, compare_entries, ref_any, unref_any };
const struct pmap_ops meta_acls_by_id_ops = { key_id, compare_ids, ref_any, unref_any };
