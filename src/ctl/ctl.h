/* What the files of chronik-ctl share. One thread; memory lives until the process ends unless said otherwise. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/macros.h"
#include "base/span.h"

/* Exit statuses. */
enum {
        CTL_OK = 0,
        CTL_FAILED = 1,
        CTL_USAGE = 2,
        CTL_UNREACHABLE = 3,
        CTL_DAMAGED = 4,
        CTL_UNSAFE = 5,
        CTL_DENIED = 6
};

/* What a command may be given beside its words; --server and --json go with all. */
enum {
        WITH_DETAILED = 1 << 0,
        WITH_TOPIC = 1 << 1,
        WITH_VERIFY = 1 << 2,
        WITH_WAIT = 1 << 3,
        WITH_DISRUPTION = 1 << 4, /* whom, why, how long */
        WITH_AS = 1 << 5,
        WITH_REPLICAS = 1 << 6,
        WITH_FILE = 1 << 7,
        WITH_UNCLEAN = 1 << 8,
        WITH_DIRECTORY = 1 << 9,
        WITH_TLS = 1 << 10,
        WITH_ENTITY = 1 << 11, /* whose quota */
        WITH_RULE = 1 << 12,   /* who may do what */
        WITH_KEY = 1 << 13,
        WITH_HOST = 1 << 14, /* which machine, and what it ought to be like */
        WITH_DATA_DIR = 1 << 15,
        WITH_ROTATION = 1 << 16,
        WITH_FINISH = 1 << 17,
        WITH_DAYS = 1 << 18,
        WITH_TOKENS = 1 << 19,
};

struct ctl {
        const char *servers[16]; /* HOST:PORT; the first that answers is asked */
        bool tls;                /* all of them by HTTPS */
        unsigned servers_count;
        bool json; /* print the answer as it came */
        bool detailed, wait, unclean;
        int partitions, replication_factor; /* -1: the node's default */
        json_t *configs;
        const char *second;         /* the word behind the first argument; NULL: none */
        const char *data_dir, *dir; /* of a node that does not run; NULL */
        long long bytes_per_second; /* 0: no limit */
        long long timeout_ms;       /* of --wait; 0: none */
        long long ttl_ms;           /* 0: not given */
        int node;                   /* -1: not given */
        const char *who, *reason, *file, *directory;
        json_t *replicas;                                                  /* array of numbers; NULL */
        const char *nodes;                                                 /* ids with commas; NULL */
        const char *token_file, *ca, *cert, *key;                          /* paths; NULL */
        int days;                                                          /* 0: the usual */
        const char *user, *client_id, *ip;                                 /* NULL: not given */
        const char *principal, *host, *operation, *topic, *group, *txn_id; /* NULL: not given */
        const char *sysctl, *root;                                         /* folders; NULL: the usual ones */
        const char *public_key;                                            /* NULL: not given */
        bool cluster, deny, prefixed;
        bool finish, generate;
        const char *admin;       /* names of an admin listener; NULL */
        const char *tokens_file; /* of nodes; NULL */
        long long overlap_ms;    /* 0: not given */
        unsigned defaults;       /* 1 << 0: of users, 1: of client ids, 2: of addresses */
};

/* ---- options.c ---- */

/* Read the options and leave the words at the end of @argv, as getopt does. @ret_given: of WITH_..., @ret_help, @ret_version: what
 * was on the line. Return: CTL_OK or CTL_USAGE, told. */
int options_read(struct ctl *c, int argc, char **argv, unsigned *ret_given, bool *ret_help, bool *ret_version);
/* The first option on the line that is among WITH_... @mask, as "--node"; NULL: none. */
const char *options_given(unsigned mask);
/* One line of help for each option that goes with some of @mask: @print is called with "--node ID", its text and whom it goes
 * with. */
void options_help(unsigned mask, void (*print)(void *arg, const char *words, const char *text, unsigned with),
                  void *arg);
/* Say what is wrong with the command line, and where help is. Return: CTL_USAGE. */
int ctl_usage(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* A number from @min to @max; false: it is none. */
bool number_read(const char *text, long long min, long long max, long long *ret);
/* "1,2,3": a new array of node numbers; NULL: it is none. */
json_t *ids_read(const char *text);

/* ---- file_put.c ---- */

/* A file in the place of another one, or new; a crash leaves the one or the other. Return: 0 or negative errno. */
int ctl_file_put(const char *path, struct span content, unsigned mode);

/* ---- client.c ---- */

/* Ask the node. @body: NULL, or an object whose reference is taken over. @ret: the answer, a new reference.
 * Return: CTL_OK; otherwise the reason has been written to standard error. */
int ctl_ask(const struct ctl *c, const char *method, const char *path, json_t *body, json_t **ret);
/* Look at what may be gone meanwhile: then CTL_OK, *@ret_gone is true and *@ret NULL. */
int ctl_ask_gone(const struct ctl *c, const char *path, json_t **ret, bool *ret_gone);
/* @name made fit for a path; free it. NULL when memory is out. */
char *ctl_escape(const char *name);

/* ---- table.c ---- */

/* @text with a question mark in place of each control character: groups and clients choose their names themselves, and
 * must not move the operator's cursor. Returns @text. */
char *text_clean(char *text);

/* Rows of text in aligned columns; those whose title ends in '>' (not shown) are aligned to the right. */
struct table;
struct table *table_new(const char *const *titles, unsigned columns_count);
/* The next cell, row by row. */
void table_cell(struct table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Print and free. */
void table_print(struct table *t);
/* The same with an empty line before it; one without rows is freed only. */
void table_print_rows(struct table *t);
/* 1234567 -> "1.2 MiB". */
const char *table_bytes(json_int_t bytes, char text[32]);
/* A length of time: 90000 -> "90 s", 600000 -> "10 min". */
const char *table_span(json_int_t ms, char text[32]);
/* A time of the wall clock, as UTC. */
const char *table_time(json_int_t ms, char text[32]);

/* ---- commands.c ---- */

/* A member of an answer for printing, cleaned, "-" for none; lives as long as the process. */
const char *text_of(const json_t *object, const char *key);
json_int_t number_of(const json_t *object, const char *key);
/* The next cell: a number that may be absent. */
void cell_number(struct table *t, const json_t *object, const char *key);
void print_json(json_t *value);
/* An array of numbers as "1,2,3"; "-" for none. Lives as long as the process. */
const char *ids_of(const json_t *object, const char *key);
bool is_true(const json_t *object, const char *key);
/* Ask for @path (with @name behind it, made fit for a path, when not NULL). True when there is something to show in words: then
 * @ret is the answer, a new reference; otherwise *@ret_status is how it ended, and with --json the answer has been printed. */
bool ask(struct ctl *c, const char *method, const char *path, const char *name, json_t *body, json_t **ret,
         int *ret_status);
/* Damaged ranges of one partition as rows of a table; see damage_table(). */
void damage_rows(struct table *t, const char *topic, json_int_t partition, json_t *ranges);
struct table *damage_table(void);

/* ---- the commands; each gets what follows its words ---- */

int topic_list(struct ctl *c, const char *arg);
int topic_get(struct ctl *c, const char *arg);
int topic_create(struct ctl *c, const char *arg);
int topic_delete(struct ctl *c, const char *arg);
int group_list(struct ctl *c, const char *arg);
int group_get(struct ctl *c, const char *arg);
/* quota.c; @key may be NULL where it is in brackets */
int quota_list(struct ctl *c, const char *arg);
int quota_set(struct ctl *c, const char *key);
int quota_unset(struct ctl *c, const char *key);
/* acl.c */
int acl_list(struct ctl *c, const char *arg);
int acl_add(struct ctl *c, const char *arg);
int acl_remove(struct ctl *c, const char *arg);
/* audit.c; @path may be NULL: ask a node */
int audit_list(struct ctl *c, const char *path);
int audit_rotate_key(struct ctl *c, const char *arg);
int audit_verify(struct ctl *c, const char *path);
/* user.c */
int user_list(struct ctl *c, const char *arg);
int user_add(struct ctl *c, const char *name);
int user_rotate(struct ctl *c, const char *name);
int user_remove(struct ctl *c, const char *name);
/* txn.c */
int txn_list(struct ctl *c, const char *arg);
int txn_describe(struct ctl *c, const char *id);
int txn_abort(struct ctl *c, const char *id);
/* verify.c; @topic may be NULL */
int log_verify(struct ctl *c, const char *topic);
/* tls.c */
int tls_renew(struct ctl *c, const char *dir);
int tls_rotate_ca(struct ctl *c, const char *dir);
int tls_init(struct ctl *c, const char *dir);
/* token.c */
int admin_token_rotate(struct ctl *c, const char *name);
int admin_token_new(struct ctl *c, const char *name);

/* token_secret.c */
int token_secret_add(struct ctl *c, const char *file);
int token_secret_switch(struct ctl *c, const char *file);
int token_secret_finish(struct ctl *c, const char *file);
/* cluster.c */
int cluster_info(struct ctl *c, const char *arg);
int disruption_show(struct ctl *c, const char *arg);
int disruption_acquire(struct ctl *c, const char *arg);
int disruption_release(struct ctl *c, const char *arg);
int disruption_override(struct ctl *c, const char *arg);
/* node.c */
int node_list(struct ctl *c, const char *arg);
int node_get(struct ctl *c, const char *id);
int node_drain(struct ctl *c, const char *id);
int node_undrain(struct ctl *c, const char *id);
int node_decommission(struct ctl *c, const char *id);
int node_may_stop(struct ctl *c, const char *id);
/* doctor.c */
int doctor(struct ctl *c, const char *arg);
/* guard.c */
int node_guard(struct ctl *c, const char *arg);
/* health.c */
int node_health(struct ctl *c, const char *arg);
/* Rows of nodes, as in the answers of /v1/nodes and /v1/cluster. */
void node_table(json_t *nodes);
/* controller.c */
int controller_list(struct ctl *c, const char *arg);
int controller_add(struct ctl *c, const char *at);
int controller_remove(struct ctl *c, const char *id);
int controller_transfer(struct ctl *c, const char *id);
/* partition.c; @topic may be NULL */
int reassign_list(struct ctl *c, const char *topic);
int reassign_set(struct ctl *c, const char *topic);
int reassign_cancel(struct ctl *c, const char *topic);
int topic_elect(struct ctl *c, const char *topic);

/* ---- verify_folder.c ---- */

/* Check what lies in c->data_dir or c->dir, of @topic and @partition (-1: all) when not NULL. @progress gets bytes read and in
 * all. @ret: the answer as a node's GET /v1/verify gives it at its end. Return: as ctl_ask(). */
int folder_verify(const struct ctl *c, const char *topic, long partition,
                  void (*progress)(const char *what, json_int_t bytes, json_int_t bytes_all), json_t **ret);
