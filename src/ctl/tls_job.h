/* What the tls commands share: certificates that are made in memory, and the files that they become. */
#pragma once

#include "ctl/ctl.h"
#include "net/tls_issue.h"

enum {
        TLS_NODES_MAX = 1000,
        TLS_PEM_LEN_MAX = 64 * 1024,
        TLS_DAYS = 1825,           /* five years: a certificate that runs out takes its node out of the cluster */
        TLS_AUTHORITY_DAYS = 3650, /* that the authority lasts longer, for nodes that come later */
};

struct tls_made {
        char *path;
        const char *content;
        bool key;
};

struct tls_job {
        const char *dir;
        int days;
        bool replace; /* files that are there, and only those */
        int32_t nodes[TLS_NODES_MAX];
        unsigned nodes_count;
        struct tls_pair authority, admin, pairs[TLS_NODES_MAX];
        bool authority_is_new;
        struct tls_made files[2 * TLS_NODES_MAX + 4];
        unsigned files_count, written_count;
};

/* Say what went wrong. Return: CTL_FAILED. */
int tls_failed(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* A path in the folder; lives as long as the process. */
char *tls_path(const struct tls_job *job, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool tls_is_there(const char *path);
/* A file to be written by tls_write_all(); borrows its content. */
void tls_file_add(struct tls_job *job, char *path, const char *content, bool key);
/* All files or none; with @replace each by itself in the place of the one that is there. Return: CTL_OK; otherwise why not has been told. */
int tls_write_all(struct tls_job *job);
/* ctl_file_put() with the mode of a secret, or of what is none. */
int tls_file_put(const char *path, const char *content, bool key);

/* ---- tls_authority.c ---- */

/* A new authority, in memory. Return: CTL_OK; otherwise why not has been told. */
int tls_authority_make(struct tls_job *job, struct tls_pair *ret);
/* The authority that is in the folder: while one takes the place of another, the one that comes. Return: likewise. */
int tls_authority_read(struct tls_job *job);
