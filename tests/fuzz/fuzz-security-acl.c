/* A rule of access as a client may ask for it, and a filter: numbers and texts as they come. A rule that can be is matched by the filter
 * that says the same and by the one that says nothing, and is the same after its record. */
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "meta/record.h"
#include "security/acl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
        if (!ok)
                abort();
}

static uint8_t take_byte(struct span *in)
{
        uint8_t b = 0;

        if (in->len) {
                b = in->data[0];
                *in = span_of(in->data + 1, in->len - 1);
        }
        return b;
}

static struct str take_text(struct span *in)
{
        size_t len = MIN2((size_t)take_byte(in), in->len);
        struct str s = { (const char *)in->data, len };

        *in = span_of(in->data + len, in->len - len);
        return s;
}

static void check_rule(const struct meta_acl_entry *e)
{
        const struct acl_filter same = { e->resource_type, e->pattern_type, e->operation, e->permission,
                                         e->resource_name, e->principal,    e->host };
        const struct acl_filter any = { ACL_RESOURCE_ANY, ACL_PATTERN_ANY, ACL_OPERATION_ANY, ACL_PERMISSION_ANY,
                                        STR_NULL,         STR_NULL,        STR_NULL };
        struct rec_acl r;
        CLEANUP(meta_acl_unrefp) struct meta_acl *made = NULL;

        must(!acl_filter_check(&same) && acl_filter_matches(&same, e));
        must(!acl_filter_check(&any) && acl_filter_matches(&any, e));
        must(acl_resource_of(str_of(acl_resource_name(e->resource_type))) == e->resource_type);
        must(acl_operation_of(str_of(acl_operation_name(e->operation))) == e->operation);
        rec_acl_init(&r);
        r.resource_type = e->resource_type;
        r.pattern_type = e->pattern_type;
        r.operation = e->operation;
        r.permission = e->permission;
        r.resource_name = e->resource_name;
        r.principal = e->principal;
        r.host = e->host;
        made = meta_acl_new(&r);
        must(!made || !meta_acl_compare(&made->entry, e));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct span in = span_of(data, size);
        struct meta_acl_entry e = { 0 };
        struct acl_filter f = { 0 };
        uint8_t nulls;

        e.resource_type = (int8_t)take_byte(&in);
        e.pattern_type = (int8_t)take_byte(&in);
        e.operation = (int8_t)take_byte(&in);
        e.permission = (int8_t)take_byte(&in);
        e.resource_name = take_text(&in);
        e.principal = take_text(&in);
        e.host = take_text(&in);
        nulls = take_byte(&in);
        f.resource_type = (int8_t)take_byte(&in);
        f.pattern_type = (int8_t)take_byte(&in);
        f.operation = (int8_t)take_byte(&in);
        f.permission = (int8_t)take_byte(&in);
        f.resource_name = nulls & 1 ? STR_NULL : take_text(&in);
        f.principal = nulls & 2 ? STR_NULL : take_text(&in);
        f.host = nulls & 4 ? STR_NULL : take_text(&in);
        if (acl_check(&e))
                return 0;
        check_rule(&e);
        if (!acl_filter_check(&f))
                (void)acl_filter_matches(&f, &e); /* that it ends is enough */
        return 0;
}
