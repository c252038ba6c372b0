/* The configurations of a group: judging what is set on one, what a coordinator works with, and what DescribeConfigs tells. Names and
 * texts are in groups.def; defaults and bounds are the node's (params.def, section groups). Sources: KIP-848, KIP-932, KIP-1106. Pure. */
#pragma once

#include "conf/entry.h"
#include "conf/offset_reset.h"

/* Words of the table, in their order there. */
enum { GROUP_ISOLATION_READ_UNCOMMITTED, GROUP_ISOLATION_READ_COMMITTED };

/* What a group works with: every value resolved. Plain data, copied freely. Times in milliseconds; they and counts are 1 to INT32_MAX. */
struct group_settings {
#define G_INT(kind, what, ...) int64_t kind##_##what;
#define G_ENUM(f, ...) int f;
#define G_BOOL(f, ...) bool f;
#define G_RESET(f, ...) struct conf_offset_reset f;
#include "conf/groups.def"
};

/* What a node has to say about all groups. Plain data, copied freely. */
struct group_rules {
        struct group_settings unset;       /* of a group that sets nothing */
        struct group_settings least, most; /* what a group may set; of numbers only, the rest is 0 */
};

/* The rules of a node that runs with @conf; NULL: of one that is configured with nothing. */
void group_rules_init(struct group_rules *rules, const struct conf *conf);

/* What a group has that sets @set. Pairs that this version does not know or cannot read are left out, as if they were not set; a
 * number out of the node's bounds counts as the nearest one within: they were judged when they were set, by a node that
 * may have been configured otherwise. Cannot fail. */
struct group_settings group_settings_read(const struct group_rules *rules, struct conf_pairs set);

/* The same for one pair, laid over @settings. */
void group_settings_put(const struct group_rules *rules, struct str name, struct str value,
                        struct group_settings *settings);

/* Whether a group may have @name set to @value.
 * @why  gets what is wrong, a sentence that begins with the name.
 * Return: 0; CONF_E_UNKNOWN; CONF_E_INVALID; -ENOMEM. */
int group_settings_validate(const struct group_rules *rules, struct str name, struct str value, struct strbuf *why);

/* The same for all that is set on a group, and for what several values must have to do with each other: a session lasts longer than the
 * time between two heartbeats. Used after an alteration. Return: as group_settings_validate(). */
int group_settings_validate_set(const struct group_rules *rules, struct conf_pairs set, struct strbuf *why);

/* Every configuration of a group, or those in @names, each with where its value comes from.
 * @mem: the result and its text live there. Return: 0, -ENOMEM. */
int group_settings_describe(const struct conf_layers *layers, struct conf_pairs set, const struct str *names,
                            size_t name_count, struct arena *mem, struct conf_entries *ret_entries);

/* The table, for the documents. row->kafka is the broker configuration that a group falls back to. */
extern const struct conf_row group_settings_rows[];
extern const size_t group_settings_row_count;
