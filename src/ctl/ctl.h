/* What the files of chronik-ctl share. One thread; memory lives until the process ends unless said otherwise. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/macros.h"

/* Exit statuses. */
enum { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_UNREACHABLE = 3, CTL_DAMAGED = 4 };

struct ctl {
        const char *server; /* HOST:PORT */
        bool json;          /* print the answer as it came */
        bool detailed;
        int partitions, replication_factor; /* -1: the node's default */
        json_t *configs;
        const char *second;         /* the word behind the first argument; NULL: none */
        const char *data_dir, *dir; /* of a node that does not run; NULL */
        long long bytes_per_second; /* 0: no limit */
        const char *nodes;          /* ids with commas; NULL */
        int days;                   /* 0: the usual */
};

/* ---- client.c ---- */

/* Ask the node. @body: NULL, or an object whose reference is taken over. @ret: the answer, a new reference.
 * Return: CTL_OK; otherwise the reason has been written to standard error. */
int ctl_ask(const struct ctl *c, const char *method, const char *path, json_t *body, json_t **ret);
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

/* ---- commands.c ---- */

/* A member of an answer for printing, cleaned, "-" for none; lives as long as the process. */
const char *text_of(const json_t *object, const char *key);
json_int_t number_of(const json_t *object, const char *key);
/* The next cell: a number that may be absent. */
void cell_number(struct table *t, const json_t *object, const char *key);
void print_json(json_t *value);
/* Damaged ranges of one partition as rows of a table; see damage_table(). */
void damage_rows(struct table *t, const char *topic, json_int_t partition, json_t *ranges);
struct table *damage_table(void);

/* ---- the commands; each gets what follows its words ---- */

int cluster_info(struct ctl *c, const char *arg);
int topic_list(struct ctl *c, const char *arg);
int topic_get(struct ctl *c, const char *arg);
int topic_create(struct ctl *c, const char *arg);
int topic_delete(struct ctl *c, const char *arg);
int group_list(struct ctl *c, const char *arg);
int group_get(struct ctl *c, const char *arg);
/* verify.c; @topic may be NULL */
int log_verify(struct ctl *c, const char *topic);
/* tls.c */
int tls_init(struct ctl *c, const char *dir);

/* ---- verify_folder.c ---- */

/* Check what lies in c->data_dir or c->dir, of @topic and @partition (-1: all) when not NULL. @progress gets bytes read and in
 * all. @ret: the answer as a node's GET /v1/verify gives it at its end. Return: as ctl_ask(). */
int folder_verify(const struct ctl *c, const char *topic, long partition,
                  void (*progress)(const char *what, json_int_t bytes, json_int_t bytes_all), json_t **ret);
