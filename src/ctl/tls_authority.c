/* The authority of a cluster, as files, and tls rotate-ca: another one in its place, in two steps with a time between them in which the nodes
 * accept both.
 *
 *    ca.pem: old          ca.key: old                        --rotate-ca-->
 *    ca.pem: old and new  ca.key: old  ca-next.key: new      --rotate-ca --finish-->
 *    ca.pem: new          ca.key: new
 *
 * Each file changes at once, and which certificate of ca.pem is whose is told by the key. So wherever this is stopped, the same command goes on. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ctl/tls_job.h"
#include "sys/file.h"

enum { BACKDATED_S = 24 * 3600, DAY_S = 24 * 3600 };

int tls_authority_make(struct tls_job *job, struct tls_pair *ret)
{
        struct tls_subject s = { .name = "Chronik cluster authority",
                                 .authority = true,
                                 .from_s = -BACKDATED_S,
                                 .to_s = (int64_t)(job->days + TLS_AUTHORITY_DAYS) * DAY_S };
        int r = tls_issue(&s, NULL, ret);

        return r ? tls_failed("cannot make an authority: %s", strerror(-r)) : CTL_OK;
}

int tls_authority_read(struct tls_job *job)
{
        char *cert = tls_path(job, "ca.pem"), *key = tls_path(job, "ca-next.key");
        size_t len;
        int r;

        if (!tls_is_there(key))
                key = tls_path(job, "ca.key");
        r = file_read_whole(cert, TLS_PEM_LEN_MAX, &job->authority.certificate, &len);
        if (r)
                return tls_failed(
                        "%s: %s; both files of the authority are needed to add nodes, or none for a new cluster", cert,
                        strerror(-r));
        r = file_read_whole(key, TLS_PEM_LEN_MAX, &job->authority.key, &len);
        if (r)
                return tls_failed(
                        "%s: %s; put the authority's key back for as long as this takes, or use another folder for a "
                        "new cluster",
                        key, strerror(-r));
        return CTL_OK;
}

/* ---- the first step ---- */

/* The certificate of ca.pem that belongs to the key that will be used, free() it; NULL: it has none. */
static char *own_certificate(const struct tls_job *job)
{
        char *ret = NULL;

        return tls_pair_certificate(&job->authority, &ret) ? NULL : ret;
}

static int begin(struct tls_job *job)
{
        char *cert = tls_path(job, "ca.pem"), *next = tls_path(job, "ca-next.key"), *both;
        struct tls_pair new = { 0 };
        int r = tls_authority_make(job, &new);

        if (r)
                return r;
        if (asprintf(&both, "%s%s", job->authority.certificate, new.certificate) < 0)
                abort();
        r = tls_file_put(next, new.key, true);
        if (!r)
                r = tls_file_put(cert, both, false);
        tls_pair_fini(&new);
        free(both);
        if (r)
                return tls_failed("%s: %s; nothing has changed for the nodes: do this again", cert, strerror(-r));
        printf("%s has the authority that there is and the one that comes. In this order:\n\n"
               "1. Give it to every node as cluster.tls_ca, and have them read it (chronik-ctl tls reload, or wait).\n"
               "2. chronik-ctl tls renew %s --nodes ID,ID,...   gives every node a certificate of the new authority;\n"
               "   put each in its place.\n"
               "3. chronik-ctl tls rotate-ca %s --finish        and give ca.pem to every node again.\n",
               cert, job->dir, job->dir);
        return CTL_OK;
}

/* ---- the second ---- */

struct check {
        const struct tls_job *job;
        const char *authority;
        char *first; /* certificate that the new authority did not issue; NULL: none */
};

static int check_one(void *arg, const char *name)
{
        struct check *c = arg;
        size_t len = strlen(name), pem_len;
        CLEANUP(freep) char *pem = NULL;
        char *path;
        int r;

        if (len < 4 || strcmp(name + len - 4, ".pem") != 0 || !strcmp(name, "ca.pem") ||
            (strncmp(name, "node-", 5) != 0 && strcmp(name, "admin.pem") != 0))
                return 0;
        if (asprintf(&path, "%s/%s", c->job->dir, name) < 0)
                abort();
        r = file_read_whole(path, TLS_PEM_LEN_MAX, &pem, &pem_len);
        if (r)
                return r;
        if (!tls_is_issued_by(pem, c->authority)) {
                c->first = path;
                return 1;
        }
        free(path);
        return 0;
}

static int finish(struct tls_job *job, const char *own)
{
        char *cert = tls_path(job, "ca.pem"), *key = tls_path(job, "ca.key"), *next = tls_path(job, "ca-next.key");
        struct check c = { .job = job, .authority = own };
        int r = file_list(job->dir, check_one, &c);

        if (r > 0)
                return tls_failed("%s is of the authority that would go, and its node would be refused by all others: "
                                  "`chronik-ctl tls renew` first",
                                  c.first);
        if (!r && tls_is_there(next))
                r = file_rename(next, key);
        if (!r)
                r = tls_file_put(cert, own, false);
        if (r)
                return tls_failed("%s: %s; do this again", cert, strerror(-r));
        printf("%s has the new authority alone. Give it to every node as cluster.tls_ca: from then on certificates of "
               "the one "
               "before are refused.\n",
               cert);
        return CTL_OK;
}

static int rotate(struct tls_job *job, const char *own, bool finishes)
{
        bool is_going_on = own && tls_certificates_count(job->authority.certificate) > 1;

        if (!own && !tls_is_there(tls_path(job, "ca-next.key")))
                return tls_failed("%s/ca.pem and %s/ca.key are no authority's certificate and its key", job->dir,
                                  job->dir);
        if (finishes && !is_going_on)
                return tls_failed(
                        "%s/ca.pem has one authority, so there is nothing to finish: `chronik-ctl tls rotate-ca %s` "
                        "begins",
                        job->dir, job->dir);
        if (!finishes && is_going_on)
                return tls_failed(
                        "%s/ca.pem has two authorities: a rotation is going on. Renew the nodes' certificates, then "
                        "`chronik-ctl tls rotate-ca %s --finish`",
                        job->dir, job->dir);
        return finishes ? finish(job, own) : begin(job);
}

int tls_rotate_ca(struct ctl *c, const char *dir)
{
        static struct tls_job job;
        char *own;
        int status;

        job.dir = dir;
        job.days = c->days ? c->days : TLS_DAYS;
        status = tls_authority_read(&job);
        if (status)
                return status;
        own = own_certificate(&job);
        status = rotate(&job, own, c->finish);
        tls_pair_fini(&job.authority);
        free(own);
        return status;
}
