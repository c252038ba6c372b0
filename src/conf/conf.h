/* The configuration of a node: typed, checked, immutable once made.
 *
 * Every field is a row of params.def: conf->server.num_io_threads is `server.num_io_threads`. int64_t for numbers
 * (sizes in bytes, times in milliseconds), bool, double, int for one word of a list, unsigned for a set of words, const
 * char * (never NULL), struct conf_addr. A change at run time makes a new struct conf; who reads one holds a reference
 * and sees the same values for as long as it holds it. */
#pragma once

#include "base/arena.h"
#include "base/strbuf.h"
#include "conf/listener.h"
#include "conf/row.h"

/* One id per row: PARAM_server_node_id. */
enum conf_param {
#define SECTION(s, text)
#define END(s)
#define P_INT(s, k, ...) PARAM_##s##_##k,
#define P_SIZE(s, k, ...) PARAM_##s##_##k,
#define P_TIME(s, k, ...) PARAM_##s##_##k,
#define P_RATIO(s, k, ...) PARAM_##s##_##k,
#define P_BOOL(s, k, ...) PARAM_##s##_##k,
#define P_ENUM(s, k, ...) PARAM_##s##_##k,
#define P_SET(s, k, ...) PARAM_##s##_##k,
#define P_STR(s, k, ...) PARAM_##s##_##k,
#define P_ADDR(s, k, ...) PARAM_##s##_##k,
#include "conf/params.def"
        PARAM_COUNT
};

/* Words of the table, as values. Their order is the order of the words in the row; a unit test holds both together. */
enum { CONF_ROLE_CONTROLLER = 1 << 0, CONF_ROLE_INGEST = 1 << 1 };
enum { CONF_CLEANUP_DELETE = 1 << 0, CONF_CLEANUP_COMPACT = 1 << 1 };
enum { CONF_TIMESTAMP_CREATE, CONF_TIMESTAMP_LOG_APPEND };
/* The first five are numbered as the codec bits of a record batch. */
enum {
        CONF_COMPRESSION_UNCOMPRESSED,
        CONF_COMPRESSION_GZIP,
        CONF_COMPRESSION_SNAPPY,
        CONF_COMPRESSION_LZ4,
        CONF_COMPRESSION_ZSTD,
        CONF_COMPRESSION_PRODUCER,
};
/* Which way a group may change its type while it has members. */
enum { CONF_MIGRATION_BOTH, CONF_MIGRATION_UPGRADE, CONF_MIGRATION_DOWNGRADE, CONF_MIGRATION_NONE };
/* The levels of sys/diag.h, counted from its first: DIAG_ERROR + conf->diag.level. */
enum { CONF_AUTHORIZER_NONE, CONF_AUTHORIZER_STANDARD };
enum { CONF_GRANTS_NONE, CONF_GRANTS_ADMIN, CONF_GRANTS_ALL };
enum { CONF_ON_FULL_BLOCK, CONF_ON_FULL_DROP };
enum { CONF_DIAG_ERROR, CONF_DIAG_WARNING, CONF_DIAG_NOTICE, CONF_DIAG_INFO, CONF_DIAG_DEBUG };

enum { CONF_OPEN_NONE = 1 << 0, CONF_OPEN_HEALTH = 1 << 1, CONF_OPEN_METRICS = 1 << 2 };

/* Where a value came from, least important last. Numbered as DescribeConfigs numbers them. */
enum conf_source {
        CONF_SOURCE_TOPIC = 1,          /* set on the topic */
        CONF_SOURCE_BROKER = 2,         /* set at run time for one broker */
        CONF_SOURCE_BROKER_DEFAULT = 3, /* set at run time for all brokers */
        CONF_SOURCE_STATIC = 4,         /* the file or --set */
        CONF_SOURCE_DEFAULT = 5,
        CONF_SOURCE_CLIENT_METRICS = 7, /* set on a subscription to client metrics; nothing is above or below it */
        CONF_SOURCE_GROUP = 8,          /* set on a group */
};

/* What the defaults need to know of the machine. */
struct conf_machine {
        unsigned cpus;        /* processors this process may use, at least 1 */
        const char *hostname; /* borrowed for the call; the conf keeps a copy */
};

struct conf {
#define SECTION(s, text) struct {
#define END(s) \
        } \
        s;
#define P_INT(s, k, ...) int64_t k;
#define P_SIZE(s, k, ...) int64_t k;
#define P_TIME(s, k, ...) int64_t k;
#define P_RATIO(s, k, ...) double k;
#define P_BOOL(s, k, ...) bool k;
#define P_ENUM(s, k, ...) int k;
#define P_SET(s, k, ...) unsigned k;
#define P_STR(s, k, ...) const char *k;
#define P_ADDR(s, k, ...) struct conf_addr k;
#include "conf/params.def"
        struct conf_listener listeners[CONF_LISTENERS_MAX]; /* for clients, the short form (server.kafka) first */
        unsigned listeners_count;
        const char *hostname; /* of the machine; what a derived advertised address uses */
        unsigned cpus;
        uint8_t source[PARAM_COUNT]; /* enum conf_source of each value */
        struct arena mem;            /* owns the text values */
        unsigned refs;
};

/* The table itself, in the order of params.def, and the sections in their order. */
extern const struct conf_row conf_params[PARAM_COUNT];
struct conf_section {
        const char *name;
        const char *text;
};
extern const struct conf_section conf_sections[];
extern const size_t conf_section_count;

/* The row of section.key, or -1. */
int conf_param_find(struct str section, struct str key);

/* The default of a row on a machine, as text that stays valid as long as @scratch does. */
const char *conf_param_default(const struct conf_row *row, const struct conf_machine *machine, char scratch[24]);

/* Read the configuration of a node: defaults, then the file, then --set, then the checks that concern several values.
 * @path       YAML file; NULL: no file.
 * @sets       @set_count texts `section.key=value`; of two for one key the later one counts.
 * @machine    NULL: this one.
 * @ret_conf   one reference, to be given back with conf_unref().
 * @errors     gets one line per mistake, at most LIMIT_CONF_ERRORS, each `WHERE: section.key: what was wrong; what
 * would be right`, WHERE being FILE:LINE or --set. Not touched on success. Return: 0; CONF_E_INVALID (see @errors);
 * negative errno when memory is out. A file that cannot be read is CONF_E_INVALID too: the remedy is the operator's.
 * Thread: any; not for a loop, it reads a file. */
int conf_load(const char *path, const char *const *sets, size_t set_count, const struct conf_machine *machine,
              struct conf **ret_conf, struct strbuf *errors);

/* The same from @text, called @name in messages; pure. @text may be null: no file. @machine is needed here. */
int conf_parse(const char *name, struct str text, const char *const *sets, size_t set_count,
               const struct conf_machine *machine, struct conf **ret_conf, struct strbuf *errors);

/* References; any thread. The last unref frees. Return: @c, and NULL. */
struct conf *conf_ref(struct conf *c);
struct conf *conf_unref(struct conf *c);
DEFINE_FREEP(struct conf, conf_unref)

/* A new conf with one reference: @base with the given values in place of its own. Used for changes at run time.
 * @ids, @values, @sources  @count of each; the values' text is copied. Return: 0 or -ENOMEM. */
int conf_derive(const struct conf *base, size_t count, const enum conf_param *ids, const struct conf_value *values,
                const enum conf_source *sources, struct conf **ret_conf);

/* Where clients of a listener of @c are to connect: what it advertises, else what is derived from its address.
 * @bound_port  the port that was really bound; stands in where the configuration says 0.
 * The host is borrowed from @c and is never a wildcard. */
struct conf_addr conf_advertised(const struct conf *c, const struct conf_listener *l, uint16_t bound_port);
/* Where other nodes are to connect: likewise from cluster.advertised and cluster.listen. */
struct conf_addr conf_cluster_advertised(const struct conf *c, uint16_t bound_port);
