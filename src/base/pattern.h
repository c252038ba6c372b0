/* Regular expressions that clients send (KIP-848, KIP-1152). Kafka's are RE2's: what both know means the same here; lookaround and
 * back references, which RE2 does not have, are refused. Matching is bounded, whatever the expression. */
#pragma once

#include "base/span.h"

struct pattern;

enum { PATTERN_LEN_MAX = 4096, PATTERN_WHY_SIZE = 160 };

/* Return: 0; -EINVAL with @why for people; -ENOMEM. */
int pattern_new(struct str text, struct pattern **ret_pattern, char why[PATTERN_WHY_SIZE]);
/* NULL is fine. Returns NULL. */
struct pattern *pattern_free(struct pattern *p);
/* Does the whole of @s match? False also when that took too long to find out. Any thread, one at a time. */
bool pattern_matches(struct pattern *p, struct str s);
