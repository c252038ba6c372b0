/* The configurations of a broker under Kafka's names: what DescribeConfigs tells about a broker, and what may be
 * changed at run time. A name is a parameter (params.def), a parameter in another form, or a fixed truth (brokers.def).
 */
#pragma once

#include "conf/entry.h"

/* Every configuration of a broker, or those in @names.
 * @mem  the result and its text live there. Return: 0, -ENOMEM. */
int broker_conf_describe(const struct conf_layers *layers, const struct str *names, size_t name_count,
                         struct arena *mem, struct conf_entries *ret_entries);

/* Whether @name may be set to @value at run time, for one broker or for all.
 * @why  gets what is wrong, a sentence that begins with the name.
 * Return: 0; CONF_E_UNKNOWN; CONF_E_READ_ONLY; CONF_E_INVALID; -ENOMEM. */
int broker_conf_validate(struct str name, struct str value, struct strbuf *why);

/* The value of a list after APPEND or SUBTRACT, judged like broker_conf_validate().
 * @per_broker  whether the change is for this broker; else for all brokers, and what is set for this one does not
 * count. Return: as broker_conf_validate(). */
int broker_conf_edit(const struct conf_layers *layers, bool per_broker, struct str name, enum conf_edit edit,
                     struct str operand, struct arena *mem, struct str *ret_value, struct strbuf *why);

/* What the broker runs with: a new conf, one reference. Pairs that this version refuses are left out; @skipped, when
 * not NULL, gets a line for each. Return: 0, -ENOMEM. */
int broker_conf_derive(const struct conf_layers *layers, struct conf **ret_conf, struct strbuf *skipped);

/* For conf/topic: the value of the broker configuration @name under @conf, as text appended to @out, and the places it
 * comes from, most important first (at most 4), their text in @mem. */
void broker_conf_value(const struct conf *conf, const char *name, struct strbuf *out);
int broker_conf_synonyms(const struct conf_layers *layers, const char *name, struct arena *mem,
                         struct conf_synonym ret_synonyms[4], unsigned *ret_count);
/* Whether there is such a name at all. */
bool broker_conf_exists(const char *name);

/* For the documents: every name in turn. Return: false past the end. */
struct broker_conf_info {
        const char *name;
        enum conf_kafka_type type;
        const struct conf_row *param; /* NULL: fixed */
        const char *fixed;            /* NULL: not fixed */
        const char *text;
        bool dynamic;
};
bool broker_conf_at(size_t place, struct broker_conf_info *ret_info);
