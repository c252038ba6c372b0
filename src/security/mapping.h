/* From the subject of a client's certificate to a name: rules in the order in which they are written, the first that matches counts.
 * Pure. Source: KIP-371, KIP-492; what a rule does is what Java's replaceAll() does. Expressions are those of PCRE2, which are
 * those of Java as far as certificates go. */
#pragma once

#include "base/macros.h"
#include "base/span.h"
#include "base/strbuf.h"

struct mapping;

enum { MAPPING_RULES_MAX = 64, MAPPING_WHY_SIZE = 256 };

/* @rules: "RULE:PATTERN/REPLACEMENT/[LU]" and "DEFAULT" with commas between them, a '/' in them as "\/".
 * Return: 0; -EINVAL with @why for people; -ENOMEM. */
int mapping_new(struct str rules, struct mapping **ret_mapping, char why[MAPPING_WHY_SIZE]);
/* NULL is fine. Returns NULL. */
struct mapping *mapping_free(struct mapping *m);
DEFINE_FREEP(struct mapping, mapping_free)

/* Append what @name is mapped to. Any thread, also several at a time.
 * Return: 0; -ENOENT: no rule matches, or it took too long to find out; -ENOMEM. */
int mapping_apply(const struct mapping *m, struct str name, struct strbuf *out);
