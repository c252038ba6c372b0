/* What DescribeConfigs tells about one configuration, and the layers it is found in. The shape is Kafka's; the numbers
 * are those of the protocol, so that a handler passes them on. */
#pragma once

#include "conf/conf.h"

enum conf_kafka_type {
        CONF_KAFKA_BOOLEAN = 1,
        CONF_KAFKA_STRING = 2,
        CONF_KAFKA_INT = 3,
        CONF_KAFKA_LONG = 5,
        CONF_KAFKA_DOUBLE = 6,
        CONF_KAFKA_LIST = 7,
};

/* A configuration set at run time, as it was given. Text borrowed. */
struct conf_pair {
        struct str name;
        struct str value;
};

struct conf_pairs {
        const struct conf_pair *at;
        size_t count;
};

/* What a broker runs with: what it started with, over that what was set for all brokers, over that what was set for it.
 */
struct conf_layers {
        const struct conf *start; /* from conf_load() */
        const struct conf *now;   /* what broker_conf_derive() made of all three; NULL where that is being done */
        struct conf_pairs all_brokers;
        struct conf_pairs this_broker;
};

struct conf_synonym {
        struct str name;
        struct str value;
        enum conf_source source;
};

#define CONF_SYNONYMS_MAX 5 /* topic, this broker, all brokers, start, default */

struct conf_entry {
        struct str name;
        struct str value; /* null: nothing is configured (broker.rack) */
        enum conf_source source;
        enum conf_kafka_type type;
        bool read_only;
        struct str text;
        struct conf_synonym synonyms[CONF_SYNONYMS_MAX]; /* most important first; the first is the value itself */
        unsigned synonym_count;
};

struct conf_entries {
        struct conf_entry *at;
        size_t count;
};

/* How IncrementalAlterConfigs changes a list. */
enum conf_edit { CONF_EDIT_APPEND, CONF_EDIT_SUBTRACT };

/* The pair called @name, NULL when there is none. */
const struct conf_pair *conf_pairs_find(struct conf_pairs pairs, struct str name);

/* Whether @name is among @names; an empty list means all. */
bool conf_names_contain(const struct str *names, size_t count, struct str name);

/* Kafka's type of what a row holds. */
enum conf_kafka_type conf_row_kafka_type(const struct conf_row *row);

/* Cut the next word, without its blanks, off a list of words between commas. False at the end; an empty list has one empty word, a
 * null one none. */
bool conf_list_next(struct str *list, struct str *ret_word);

/* @current (words between commas) with the words of @operand added where they are missing, or taken away. Return: 0, or
 * -ENOMEM; the result lives in @mem. */
int conf_list_edit(struct str current, enum conf_edit edit, struct str operand, struct arena *mem,
                   struct str *ret_value);
