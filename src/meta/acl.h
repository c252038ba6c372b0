/* Rules of access in the metadata: who may do what to which resource, from where. What they mean is security/'s; here they are
 * texts and the protocol's numbers. Counted, and never written once made; any thread may read. Source: KIP-11, KIP-290. */
#pragma once

#include "meta/pmap.h"
#include "meta/record.h"

/* What a rule says. Two rules that say the same are one. */
struct meta_acl_entry {
        int8_t resource_type;
        int8_t pattern_type;
        int8_t operation;
        int8_t permission;
        struct str resource_name;
        struct str principal;
        struct str host;
};

struct meta_acl {
        atomic_uint refs;
        struct uuid id;
        struct meta_acl_entry entry;
        char text[];
};

/* By resource type, pattern type, name, principal, host, operation, permission, so that the rules of one pattern for one principal are
 * neighbours. Returns as memcmp(). */
int meta_acl_compare(const struct meta_acl_entry *a, const struct meta_acl_entry *b);

/* One reference, with copies of the texts; NULL when memory is out. */
struct meta_acl *meta_acl_new(const struct rec_acl *r);
struct meta_acl *meta_acl_ref(struct meta_acl *a);
/* NULL is fine. Returns NULL. */
struct meta_acl *meta_acl_unref(struct meta_acl *a);
DEFINE_FREEP(struct meta_acl, meta_acl_unref)

/* The way back; texts are borrowed from @a. */
void meta_acl_to_record(const struct meta_acl *a, struct rec_acl *ret);

/* How the maps of an image order and count them. Keys: struct meta_acl_entry *, struct uuid *. */
extern const struct pmap_ops meta_acls_ops;
extern const struct pmap_ops meta_acls_by_id_ops;
