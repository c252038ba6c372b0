/* Certificates for tests: an authority and what it issues, in a folder of their own. Everything here is static: a test
 * program includes it once. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "net/tls.h"
#include "net/tls_issue.h"
#include "sys/file.h"
#include "unit.h"

#pragma GCC diagnostic ignored "-Wunused-function" /* no test needs all of it */

enum { HOUR_S = 3600 };

static char tls_dir[64];

static void tls_dir_begin(void)
{
        snprintf(tls_dir, sizeof tls_dir, "/tmp/chronik-test-tls-XXXXXX");
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(tls_dir));
}

static void tls_dir_end(void)
{
        CU_ASSERT_EQUAL(file_remove_tree(tls_dir), 0);
}

static const char *tls_path(const char *name)
{
        static char paths[8][128];
        static unsigned next;
        char *path = paths[next++ % 8];

        snprintf(path, sizeof paths[0], "%s/%s", tls_dir, name);
        return path;
}

static void tls_write(const char *name, const char *text)
{
        CU_ASSERT_EQUAL_FATAL(file_replace(tls_path(name), span_of(text, strlen(text))), 0);
}

static struct tls_pair tls_authority(const char *name)
{
        struct tls_subject s = { .name = name, .authority = true, .from_s = -HOUR_S, .to_s = HOUR_S };
        struct tls_pair p;

        CU_ASSERT_EQUAL_FATAL(tls_issue(&s, NULL, &p), 0);
        return p;
}

/* NAME.pem and NAME.key for @uri, valid from @from_s to @to_s. */
static void tls_issue_files(const char *name, const char *uri, const struct tls_pair *ca, int64_t from_s, int64_t to_s)
{
        struct tls_subject s = { .name = name, .uri = uri, .from_s = from_s, .to_s = to_s };
        struct tls_pair p;
        char file[64];

        CU_ASSERT_EQUAL_FATAL(tls_issue(&s, ca, &p), 0);
        snprintf(file, sizeof file, "%s.pem", name);
        tls_write(file, p.certificate);
        snprintf(file, sizeof file, "%s.key", name);
        tls_write(file, p.key);
        tls_pair_fini(&p);
}

/* The context of NAME.pem and NAME.key under @ca_name. */
static int tls_load(const char *name, const char *ca_name, bool peers, struct tls_context **ret, char why[TLS_WHY_SIZE])
{
        char cert[64], key[64];
        struct tls_files f = { .peers = peers };

        snprintf(cert, sizeof cert, "%s.pem", name);
        snprintf(key, sizeof key, "%s.key", name);
        f.certificate = tls_path(cert);
        f.key = tls_path(key);
        f.ca = ca_name ? tls_path(ca_name) : NULL;
        return tls_context_load(&f, ret, why);
}

static struct tls_slot *tls_slot_of(const char *name, const char *ca_name, bool peers)
{
        struct tls_context *x = NULL;
        char why[TLS_WHY_SIZE] = "";
        int r = tls_load(name, ca_name, peers, &x, why);

        if (r)
                fprintf(stderr, "%s\n", why);
        CU_ASSERT_EQUAL_FATAL(r, 0);
        return tls_slot_new(x);
}
