/* Rules of access: made and taken away. Sources: KIP-11, KIP-140; what a rule may say is security/'s. */
#include <errno.h>

#include "conf/limits.h"
#include "controller/decide.h"

static struct uuid new_acl_id(struct decision *d)
{
        struct uuid u;

        do {
                store_be64(u.b, random_source_next(d->random));
                store_be64(u.b + 8, random_source_next(d->random));
        } while (pmap_get(&decision_image(d)->acls_by_id, &u));
        return u;
}

void decide_create_acl(struct decision *d, struct controller_create_acl *a)
{
        const struct meta_image *image = decision_image(d);
        const char *wrong = acl_check(&a->entry);
        struct meta_record r;

        a->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        if (wrong) {
                decision_refuse(d, &a->result, CONTROLLER_E_INVALID, "%s", wrong);
                return;
        }
        if (!decision_has_level(d, &a->result, CONTROLLER_LEVEL_SECURITY, "Rules of access"))
                return;
        if (pmap_get(&image->acls, &a->entry))
                return; /* what is said already need not be said again */
        if (image->acls.count >= LIMIT_ACLS) {
                decision_refuse(d, &a->result, CONTROLLER_E_TOO_LARGE,
                                "There are %d rules of access already; one with a prefix can take the place of many.",
                                LIMIT_ACLS);
                return;
        }
        meta_record_init(&r, META_ACL);
        r.acl.id = new_acl_id(d);
        r.acl.resource_type = a->entry.resource_type;
        r.acl.pattern_type = a->entry.pattern_type;
        r.acl.resource_name = a->entry.resource_name;
        r.acl.principal = a->entry.principal;
        r.acl.host = a->entry.host;
        r.acl.operation = a->entry.operation;
        r.acl.permission = a->entry.permission;
        decision_emit(d, &r);
}

static bool copy_text(struct decision *d, struct str *s)
{
        s->p = arena_memdup(d->mem, s->p, s->len);
        return s->p;
}

/* What goes, with texts that outlive it; collected before anything goes, because the map must not change while it is read. */
static bool collect(struct decision *d, struct controller_delete_acls *a, struct meta_acl_entry **ret_entries,
                    struct uuid **ret_ids, int32_t *ret_count)
{
        const struct pmap *acls = &decision_image(d)->acls;
        struct meta_acl_entry *entries;
        const struct meta_acl *acl;
        struct uuid *ids;
        int32_t count = 0;

        pmap_for_each (counting, acl, acls)
                count += acl_filter_matches(&a->filter, &acl->entry);
        if (count > LIMIT_ACLS_PER_DELETE) {
                decision_refuse(d, &a->result, CONTROLLER_E_INVALID,
                                "The filter means %d rules; at most %d are deleted at once.", count,
                                LIMIT_ACLS_PER_DELETE);
                return false;
        }
        entries = ARENA_NEW_ARRAY(d->mem, struct meta_acl_entry, count);
        ids = ARENA_NEW_ARRAY(d->mem, struct uuid, count);
        if (!entries || !ids) {
                d->failed = -ENOMEM;
                return false;
        }
        count = 0;
        pmap_for_each (it, acl, acls) {
                struct meta_acl_entry *e = &entries[count];

                if (!acl_filter_matches(&a->filter, &acl->entry))
                        continue;
                *e = acl->entry;
                ids[count++] = acl->id;
                if (!copy_text(d, &e->resource_name) || !copy_text(d, &e->principal) || !copy_text(d, &e->host)) {
                        d->failed = -ENOMEM;
                        return false;
                }
        }
        *ret_entries = entries;
        *ret_ids = ids;
        *ret_count = count;
        return true;
}

void decide_delete_acls(struct decision *d, struct controller_delete_acls *a)
{
        const char *wrong = acl_filter_check(&a->filter);
        struct meta_acl_entry *entries;
        struct meta_record r;
        struct uuid *ids;
        int32_t count;

        a->result = (struct controller_result){ CONTROLLER_OK, STR_NULL };
        a->deleted = NULL;
        a->deleted_count = 0;
        if (wrong) {
                decision_refuse(d, &a->result, CONTROLLER_E_INVALID, "%s", wrong);
                return;
        }
        if (!collect(d, a, &entries, &ids, &count))
                return;
        for (int32_t i = 0; i < count; i++) {
                meta_record_init(&r, META_ACL_REMOVE);
                r.acl_remove.id = ids[i];
                decision_emit(d, &r);
        }
        a->deleted = entries;
        a->deleted_count = count;
}
