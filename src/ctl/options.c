/* The options of chronik-ctl: one row each, from which they are read and explained. */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"

int ctl_usage(const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        fputs("chronik-ctl: ", stderr);
        vfprintf(stderr, fmt, ap);
        fputs("\nTry 'chronik-ctl --help'.\n", stderr);
        va_end(ap);
        return CTL_USAGE;
}

/* ---- values ---- */

bool number_read(const char *text, long long min, long long max, long long *ret)
{
        char *end;
        long long v;

        errno = 0;
        v = strtoll(text, &end, 10);
        if (errno || !(isdigit((unsigned char)*text) || *text == '-') || *end || v < min || v > max)
                return false;
        *ret = v;
        return true;
}

static bool int_read(const char *text, int min, int max, int *ret)
{
        long long v;

        if (!number_read(text, min, max, &v))
                return false;
        *ret = (int)v;
        return true;
}

/* A number with the first letter of a unit behind it; @units are factors for the letters of @letters. */
static bool unit_read(const char *text, const char *letters, const long long *units, long long *ret)
{
        const char *at;
        char *end;
        long long v;

        errno = 0;
        v = strtoll(text, &end, 10);
        if (errno || end == text || v < 1)
                return false;
        at = *end ? strchr(letters, *end) : NULL;
        if (*end && (!at || end[1] || v > INT64_MAX / units[at - letters]))
                return false;
        *ret = at ? v * units[at - letters] : v;
        return true;
}

/* "50M": a number of bytes, with K, M or G for multiples of 1024. */
static bool bytes_read(const char *text, long long *ret)
{
        static const long long units[] = { 1LL << 10, 1LL << 20, 1LL << 30 };

        return unit_read(text, "KMG", units, ret);
}

/* "10m": a time in milliseconds. Without a unit it could be anything. */
static bool time_read(const char *text, long long *ret)
{
        static const long long units[] = { 1000, 60000, 3600000, 86400000 };

        return *text && isalpha((unsigned char)text[strlen(text) - 1]) && unit_read(text, "smhd", units, ret);
}

json_t *ids_read(const char *text)
{
        json_t *list = json_array();
        char *copy = strdup(text), *at = copy, *one;
        long long id;

        while (list && (one = strsep(&at, ","))) {
                if (!number_read(one, 0, INT32_MAX, &id)) {
                        json_decref(list);
                        list = NULL;
                        break;
                }
                json_array_append_new(list, json_integer(id));
        }
        free(copy);
        return list;
}

/* HOST:PORT, or HOST for the usual port. NULL: something else, such as a URL. */
static char *server_read(const char *text)
{
        const char *colon = strrchr(text, ':'), *bracket = strrchr(text, ']');
        char *whole;

        if (!*text || strpbrk(text, "/?#@ ") || (colon && !colon[1]))
                return NULL;
        if (asprintf(&whole, colon && (!bracket || bracket < colon) ? "%s" : "%s:9644", text) < 0)
                abort();
        return whole;
}

static bool take_server(struct ctl *c, const char *text)
{
        static const char https[] = "https://";
        char *copy = strdup(text), *at = copy, *one;

        c->tls |= !strncmp(text, https, sizeof https - 1);
        c->servers_count = 0;
        while (copy && (one = strsep(&at, ","))) {
                if (c->servers_count == ARRAY_LEN(c->servers))
                        return false;
                if (c->tls && !strncmp(one, https, sizeof https - 1))
                        one += sizeof https - 1;
                c->servers[c->servers_count] = server_read(one);
                if (!c->servers[c->servers_count++])
                        return false;
        }
        free(copy);
        return c->servers_count > 0;
}

static bool take_config(struct ctl *c, const char *text)
{
        const char *at = strchr(text, '=');
        char *name = at && at != text ? strndup(text, (size_t)(at - text)) : NULL;

        if (!name)
                return false;
        json_object_set_new(c->configs, name, json_string(at + 1));
        free(name);
        return true;
}

static bool take_replicas(struct ctl *c, const char *text)
{
        c->replicas = ids_read(text);
        return c->replicas && json_array_size(c->replicas);
}

/* "user,client-id": the kinds whose default is meant. */
static bool take_default(struct ctl *c, const char *text)
{
        static const char *const kinds[] = { "user", "client-id", "ip" };
        char *copy = strdup(text), *at = copy, *one;
        bool ok = copy;

        while (ok && (one = strsep(&at, ","))) {
                size_t i = 0;

                while (i < ARRAY_LEN(kinds) && strcmp(one, kinds[i]) != 0)
                        i++;
                ok = i < ARRAY_LEN(kinds);
                if (ok)
                        c->defaults |= 1u << i;
        }
        free(copy);
        return ok;
}

#define TAKE(name, statement) \
        static bool take_##name(struct ctl *c, const char *text) \
        { \
                (void)text; \
                return statement; \
        }
TAKE(json, c->json = true)
TAKE(detailed, c->detailed = true)
TAKE(wait, c->wait = true)
TAKE(unclean, c->unclean = true)
TAKE(partitions, int_read(text, 1, 10000, &c->partitions))
TAKE(factor, int_read(text, 1, 32, &c->replication_factor))
TAKE(rate, bytes_read(text, &c->bytes_per_second))
TAKE(data_dir, (c->data_dir = text))
TAKE(dir, (c->dir = text))
TAKE(nodes, (c->nodes = text))
TAKE(days, int_read(text, 1, 36500, &c->days))
TAKE(token_file, *(c->token_file = text))
TAKE(ca, (c->tls = *(c->ca = text)))
TAKE(cert, (c->tls = *(c->cert = text)))
TAKE(key, *(c->key = text))
TAKE(timeout, time_read(text, &c->timeout_ms))
TAKE(ttl, time_read(text, &c->ttl_ms))
TAKE(node, int_read(text, 0, INT32_MAX, &c->node))
TAKE(who, *(c->who = text))
TAKE(reason, *(c->reason = text))
TAKE(file, *(c->file = text))
TAKE(directory, *(c->directory = text))
TAKE(user, *(c->user = text))
TAKE(client_id, *(c->client_id = text))
TAKE(ip, *(c->ip = text))
TAKE(principal, *(c->principal = text))
TAKE(host, *(c->host = text))
TAKE(operation, *(c->operation = text))
TAKE(topic, *(c->topic = text))
TAKE(group, *(c->group = text))
TAKE(txn_id, *(c->txn_id = text))
TAKE(sysctl, *(c->sysctl = text))
TAKE(root, *(c->root = text))
TAKE(public_key, *(c->public_key = text))
TAKE(cluster, c->cluster = true)
TAKE(deny, c->deny = true)
TAKE(admin, *(c->admin = text))
TAKE(tokens_file, *(c->tokens_file = text))
TAKE(finish, c->finish = true)
TAKE(generate, c->generate = true)
TAKE(overlap, time_read(text, &c->overlap_ms))
TAKE(prefixed, c->prefixed = true)
#undef TAKE

/* ---- the rows ---- */

struct row {
        const char *name, *value; /* NULL: it has none */
        unsigned with;            /* of WITH_...; 0: all commands */
        bool (*take)(struct ctl *c, const char *text);
        const char *needs; /* what the value must be */
        const char *text;
};

static const struct row rows[] = {
        { "server", "HOST:PORT", 0, take_server, "HOST:PORT is needed, such as 127.0.0.1:9644",
          "a node's admin address, or several with commas: the first that answers is asked (default 127.0.0.1:9644, or "
          "CHRONIK_SERVER)" },
        { "token-file", "FILE", 0, take_token_file, "a file is needed",
          "says who you are, where the node asks (default: CHRONIK_TOKEN_FILE)" },
        { "ca", "FILE", 0, take_ca, "a PEM file is needed",
          "speak TLS, and believe these authorities; with --server https://HOST:PORT alone: those of the system" },
        { "cert", "FILE", 0, take_cert, "a PEM file is needed", "speak TLS, and show this certificate" },
        { "key", "FILE", 0, take_key, "a PEM file is needed", "its private key" },
        { "json", NULL, 0, take_json, NULL, "print the answer as JSON" },
        { "detailed", NULL, WITH_DETAILED, take_detailed, NULL, "every partition" },
        { "partitions", "N", WITH_TOPIC, take_partitions, "a number from 1 to 10000 is needed",
          "how many (default: the node's topics.num_partitions)" },
        { "replication-factor", "N", WITH_TOPIC, take_factor, "a number from 1 to 32 is needed",
          "copies of each (default: the node's replication.factor)" },
        { "config", "NAME=VALUE", WITH_TOPIC, take_config, "NAME=VALUE is needed",
          "a configuration under Kafka's name; may be repeated" },
        { "replicas", "ID,ID,...", WITH_REPLICAS, take_replicas, "numbers of nodes are needed, such as 1,2,3",
          "where copies are to be; the first is preferred to lead. Of a whole topic the list is turned by one from "
          "partition "
          "to partition" },
        { "file", "FILE", WITH_FILE, take_file, "a file is needed",
          "partitions in JSON, as kafka-reassign-partitions has them" },
        { "unclean", NULL, WITH_UNCLEAN, take_unclean, NULL,
          "where there is no leader: take one that may miss acknowledged records, which are lost then" },
        { "wait", NULL, WITH_WAIT, take_wait, NULL, "come back when it is so, and show how far it is meanwhile" },
        { "timeout", "TIME", WITH_WAIT, take_timeout, "a time is needed, such as 90s, 10m or 2h",
          "with --wait: give up after so long (default: never)" },
        { "node", "ID", WITH_DISRUPTION, take_node, "a node's number is needed", "the node that is to be disturbed" },
        { "reason", "TEXT", WITH_DISRUPTION, take_reason, "a reason is needed", "why; others are told" },
        { "ttl", "TIME", WITH_DISRUPTION, take_ttl, "a time is needed, such as 90s, 10m or 2h",
          "the token is free by itself after so long (default 30m)" },
        { "as", "NAME", WITH_AS, take_who, "a name is needed",
          "who you are (default: your user's name, @ and this host's)" },
        { "directory", "ID", WITH_DIRECTORY, take_directory, "the identity of a metadata folder is needed",
          "only with that metadata folder ('controller list' shows it; default: whichever it has)" },
        { "user", "NAME", WITH_ENTITY, take_user, "a name is needed", "whose quota it is: who connects as NAME" },
        { "client-id", "NAME", WITH_ENTITY, take_client_id, "a name is needed",
          "clients that call themselves NAME; with --user: those of that user" },
        { "ip", "ADDRESS", WITH_ENTITY, take_ip, "an address is needed", "connections from ADDRESS" },
        { "default", "KIND,...", WITH_ENTITY, take_default, "user, client-id or ip is needed",
          "all users, client ids or addresses (ip) that have none of their own" },
        { "principal", "TYPE:NAME", WITH_RULE, take_principal, "a principal is needed, such as User:alice",
          "whom the rule is for; User:* is everybody" },
        { "operation", "NAME", WITH_RULE, take_operation, "an operation is needed, such as read",
          "what it is about: read, write, create, delete, alter, describe, ... or all" },
        { "topic", "NAME", WITH_RULE, take_topic, "a name is needed", "of which topic; '*' is every one" },
        { "group", "NAME", WITH_RULE, take_group, "a name is needed", "of which group" },
        { "txn-id", "NAME", WITH_RULE, take_txn_id, "a name is needed", "of which transactional id" },
        { "cluster", NULL, WITH_RULE, take_cluster, NULL, "of the cluster itself" },
        { "prefixed", NULL, WITH_RULE, take_prefixed, NULL, "the name is what names begin with" },
        { "host", "ADDRESS", WITH_RULE, take_host, "an address is needed", "only from there (default: anywhere)" },
        { "deny", NULL, WITH_RULE, take_deny, NULL, "the rule denies" },
        { "public-key", "KEY", WITH_KEY, take_public_key, "a key is needed, 64 digits",
          "the only one whose signatures count, as GET /v1/audit tells it; after a change of keys all of them, with "
          "commas, oldest "
          "first (default: the one of the first checkpoint, and whom it hands over to)" },
        { "overlap", "TIME", WITH_ROTATION, take_overlap, "a time is needed, such as 90s, 10m, 2h or 7d",
          "how long the earlier password counts as well (default 24h, at most 31d)" },
        { "generate", NULL, WITH_ROTATION, take_generate, NULL, "make the password and print it, once" },
        { "finish", NULL, WITH_FINISH, take_finish, NULL, "the end of what was begun: the earlier one goes now" },
        { "rate", "BYTES", WITH_VERIFY, take_rate, "a number of bytes is needed, such as 50M",
          "read at most so much in a second; K, M and G are understood (default: no limit)" },
        { "data-dir", "DIR", WITH_DATA_DIR, take_data_dir, NULL,
          "the folder of a node, its server.data_dir; 'log verify': of one that does not run" },
        { "dir", "DIR", WITH_VERIFY, take_dir, NULL, "likewise: one log, a folder such as DATA_DIR/log/orders-3" },
        { "nodes", "ID,ID,...", WITH_TLS, take_nodes, NULL, "that get certificates; more can be added later" },
        { "sysctl", "DIR", WITH_HOST, take_sysctl, "a folder is needed",
          "files with the settings of the kernel that ought to be (default: what is installed in /etc/sysctl.d)" },
        { "root", "DIR", WITH_HOST, take_root, "a folder is needed",
          "look at /proc, /sys and /etc below DIR, such as a copy of another machine's" },
        { "admin", "NAME,...", WITH_TLS, take_admin, "names or addresses are needed",
          "by which operators reach admin listeners: a certificate for those as well" },
        { "tokens-file", "FILE", WITH_TOKENS, take_tokens_file, "a file is needed",
          "with the lines that nodes have as admin.tokens_file" },
        { "days", "N", WITH_DAYS, take_days, "a number from 1 to 36500 is needed",
          "how long they are valid (default: 1825, five years; an authority: ten more years)" },
        { "version", NULL, 0, NULL, NULL, "print the version" },
        { "help", NULL, 0, NULL, NULL, "print this; behind some words, what is known of those" },
};

static bool on_line[ARRAY_LEN(rows)];

void options_help(unsigned mask, void (*print)(void *arg, const char *words, const char *text, unsigned with),
                  void *arg)
{
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
                char words[64];

                snprintf(words, sizeof words, "--%s%s%s", rows[i].name, rows[i].value ? " " : "",
                         rows[i].value ? rows[i].value : "");
                if (!rows[i].with || rows[i].with & mask)
                        print(arg, words, rows[i].text, rows[i].with);
        }
}

const char *options_given(unsigned mask)
{
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                if (on_line[i] && rows[i].with & mask) {
                        char *name;

                        if (asprintf(&name, "--%s", rows[i].name) < 0)
                                abort();
                        return name;
                }
        return NULL;
}

static int take(struct ctl *c, const struct row *row, const char *value)
{
        if (row->take(c, value))
                return CTL_OK;
        return ctl_usage("--%s %s: %s", row->name, value, row->needs);
}

int options_read(struct ctl *c, int argc, char **argv, unsigned *ret_given, bool *ret_help, bool *ret_version)
{
        struct option options[ARRAY_LEN(rows) + 1] = { 0 };
        const char *server = getenv("CHRONIK_SERVER"), *token_file = getenv("CHRONIK_TOKEN_FILE");
        int opt, status = CTL_OK;

        *ret_given = 0;
        *ret_help = *ret_version = false;
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
                options[i] = (struct option){ rows[i].name, rows[i].value ? required_argument : no_argument, NULL,
                                              (int)i + 1 };
        while (!status && (opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
                const struct row *row;

                if (opt == '?') /* getopt has said why */
                        return fputs("Try 'chronik-ctl --help'.\n", stderr), CTL_USAGE;
                row = &rows[opt - 1];
                on_line[opt - 1] = true;
                *ret_given |= row->with;
                if (row->take)
                        status = take(c, row, optarg);
                else if (!strcmp(row->name, "help"))
                        *ret_help = true;
                else
                        *ret_version = true;
        }
        if (!status && !on_line[0] && !*ret_help && !*ret_version)
                status = take(c, &rows[0], server && *server ? server : "127.0.0.1:9644");
        if (!c->token_file && token_file && *token_file)
                c->token_file = token_file;
        if (!status && !c->cert != !c->key)
                return ctl_usage("--cert and --key go together; give both");
        return status;
}
