/* The configurations of a topic: judging what is set on one, what a partition's log works with, and what
 * DescribeConfigs tells. Names, ranges and texts are in topics.def. */
#pragma once

#include "conf/entry.h"

/* What a partition's log works with: every value resolved. Plain data, copied freely. Sizes in bytes, times in
 * milliseconds; words are the constants of conf.h. */
struct topic_conf {
#define T_INT(f, ...) int64_t f;
#define T_RATIO(f, ...) double f;
#define T_BOOL(f, ...) bool f;
#define T_ENUM(f, ...) int f;
#define T_SET(f, ...) unsigned f;
#define T_LIST(...)
#include "conf/topics.def"
};

/* What a topic has that sets nothing, on a broker that runs with @conf (broker_conf_derive()). Costs some dozen texts
 * read: keep the result and copy it for each topic. Return: 0, -ENOMEM. */
int topic_conf_defaults(const struct conf *conf, struct topic_conf *ret_topic);

/* Lay what is set on a topic over @defaults. Pairs that this version does not know or refuses are left out; they were
 * judged when they were set. Return: how many were left out. */
unsigned topic_conf_resolve(const struct topic_conf *defaults, struct conf_pairs set, struct topic_conf *ret_topic);

/* Whether a topic may have @name set to @value.
 * @why  gets what is wrong, a sentence that begins with the name.
 * Return: 0; CONF_E_UNKNOWN; CONF_E_INVALID; -ENOMEM. */
int topic_conf_validate(struct str name, struct str value, struct strbuf *why);

/* The same for all that is set on a topic, and for what several values must have to do with each other, given @defaults
 * for what is not set. Used by CreateTopics and after an alteration. Return: as topic_conf_validate(). */
int topic_conf_validate_set(const struct topic_conf *defaults, struct conf_pairs set, struct strbuf *why);

/* The value of a list after APPEND or SUBTRACT, starting from what is set or else from the broker's value; judged.
 * Return: as topic_conf_validate(). */
int topic_conf_edit(const struct conf_layers *layers, struct conf_pairs set, struct str name, enum conf_edit edit,
                    struct str operand, struct arena *mem, struct str *ret_value, struct strbuf *why);

/* Every configuration of a topic, or those in @names. @mem: the result and its text live there. Return: 0, -ENOMEM. */
int topic_conf_describe(const struct conf_layers *layers, struct conf_pairs set, const struct str *names,
                        size_t name_count, struct arena *mem, struct conf_entries *ret_entries);

/* Level for recompressing to topic->compression_type, in zlib's, LZ4's or zstd's numbers; 0 for codecs without levels.
 */
int topic_conf_level(const struct topic_conf *topic);

/* The table, for the documents. row->kafka is the broker configuration that a topic falls back to. */
extern const struct conf_row topic_conf_rows[];
extern const size_t topic_conf_row_count;
