/* tls init: a private authority and the certificates of nodes and of admin listeners, as files. Nothing that is there is overwritten; with the
 * authority's files in place, further nodes get certificates of the same one. tls renew: others in the place of those that are there. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/tls_job.h"
#include "sys/clock.h"

enum {
        BACKDATED_S = 24 * 3600, /* the clock of a node may be behind */
        DAY_S = 24 * 3600,
};

/* "1,2,3": ids, each once. */
static bool nodes_read(struct tls_job *in, const char *text)
{
        const char *at = text;

        for (;;) {
                long long id;
                char *end;

                errno = 0;
                id = strtoll(at, &end, 10);
                if (errno || end == at || *at < '0' || *at > '9' || id > INT32_MAX || (*end && *end != ',') ||
                    in->nodes_count == TLS_NODES_MAX)
                        return false;
                for (unsigned i = 0; i < in->nodes_count; i++)
                        if (in->nodes[i] == id)
                                return false;
                in->nodes[in->nodes_count++] = (int32_t)id;
                if (!*end)
                        return true;
                at = end + 1;
        }
}

/* The authority that is in the folder, or a new one. */
static int authority_get(struct tls_job *in)
{
        char *cert = tls_path(in, "ca.pem"), *key = tls_path(in, "ca.key");
        int status;

        in->authority_is_new = !in->replace && !tls_is_there(cert) && !tls_is_there(key);
        if (!in->authority_is_new)
                return tls_authority_read(in);
        status = tls_authority_make(in, &in->authority);
        if (status)
                return status;
        tls_file_add(in, cert, in->authority.certificate, false);
        tls_file_add(in, key, in->authority.key, true);
        return CTL_OK;
}

/* @what: "node 3". @name: of its files, "node-3". */
static int pair_make(struct tls_job *in, const struct tls_subject *subject, const char *what, const char *name,
                     struct tls_pair *ret)
{
        char *cert = tls_path(in, "%s.pem", name), *key = tls_path(in, "%s.key", name);
        int r;

        if (!in->replace && (tls_is_there(cert) || tls_is_there(key)))
                return tls_failed(
                        "%s: %s has files there already, and nothing is overwritten; move them away first, or "
                        "`chronik-ctl tls renew`",
                        tls_is_there(cert) ? cert : key, what);
        if (in->replace && !tls_is_there(cert))
                return tls_failed(
                        "%s: %s has no certificate there that could be renewed; `chronik-ctl tls init` makes one", cert,
                        what);
        r = tls_issue(subject, &in->authority, ret);
        if (r == -EINVAL)
                return tls_failed(
                        "%s/ca.pem and its key are no authority's certificate and its key, or a name is impossible",
                        in->dir);
        if (r)
                return tls_failed("cannot make a certificate for %s: %s", what, strerror(-r));
        tls_file_add(in, cert, ret->certificate, false);
        tls_file_add(in, key, ret->key, true);
        return CTL_OK;
}

static int node_make(struct tls_job *in, unsigned i)
{
        char name[64], uri[64], what[32], file[32];
        struct tls_subject s = { .name = name, .uri = uri, .from_s = -BACKDATED_S, .to_s = (int64_t)in->days * DAY_S };

        snprintf(name, sizeof name, "Chronik node %d", in->nodes[i]);
        snprintf(uri, sizeof uri, "chronik://node/%d", in->nodes[i]);
        snprintf(what, sizeof what, "node %d", in->nodes[i]);
        snprintf(file, sizeof file, "node-%d", in->nodes[i]);
        return pair_make(in, &s, what, file, &in->pairs[i]);
}

/* Of admin listeners: by names, and only as a server. */
static int admin_make(struct tls_job *in, const char *names)
{
        struct tls_subject s = { .name = "Chronik admin listener",
                                 .hosts = names,
                                 .from_s = -BACKDATED_S,
                                 .to_s = (int64_t)in->days * DAY_S };

        return pair_make(in, &s, "the admin listener", "admin", &in->admin);
}

static void print_words(const struct tls_job *in, const char *until)
{
        static const char *const titles[] = { "FILE", "GOES TO" };
        struct table *t = table_new(titles, 2);

        if (in->authority_is_new) {
                table_cell(t, "%s/ca.pem", in->dir);
                table_cell(t, "every node, as cluster.tls_ca");
                table_cell(t, "%s/ca.key", in->dir);
                table_cell(t, "a safe place that is no node; whoever has it can add nodes");
        }
        for (unsigned i = 0; i < in->nodes_count; i++) {
                table_cell(t, "%s/node-%d.pem", in->dir, in->nodes[i]);
                table_cell(t, "node %d, as cluster.tls_certificate", in->nodes[i]);
                table_cell(t, "%s/node-%d.key", in->dir, in->nodes[i]);
                table_cell(t, "node %d alone, as cluster.tls_key, readable by the service only", in->nodes[i]);
        }
        if (in->admin.certificate) {
                table_cell(t, "%s/admin.pem", in->dir);
                table_cell(t, "nodes, as admin.tls_certificate; operators believe ca.pem (--ca)");
                table_cell(t, "%s/admin.key", in->dir);
                table_cell(t, "nodes, as admin.tls_key, readable by the service only");
        }
        table_print(t);
        printf("\nThe certificates are valid until %s.\n", until);
        if (!in->authority_is_new && !in->replace)
                printf("The authority is the one that was there; it stays in cluster.tls_ca.\n");
}

static void print_object(const struct tls_job *in, const char *until)
{
        json_t *o = json_object(), *nodes = json_array();

        for (unsigned i = 0; i < in->nodes_count; i++) {
                char *cert = tls_path(in, "node-%d.pem", in->nodes[i]),
                     *key = tls_path(in, "node-%d.key", in->nodes[i]);

                json_array_append_new(
                        nodes, json_pack("{s:i, s:s, s:s}", "node", in->nodes[i], "certificate", cert, "key", key));
        }
        json_object_set_new(o, "ca", json_string(tls_path(in, "ca.pem")));
        json_object_set_new(o, "ca_key", json_string(tls_path(in, "ca.key")));
        json_object_set_new(o, "ca_is_new", json_boolean(in->authority_is_new));
        json_object_set_new(o, "nodes", nodes);
        if (in->admin.certificate)
                json_object_set_new(o, "admin",
                                    json_pack("{s:s, s:s}", "certificate", tls_path(in, "admin.pem"), "key",
                                              tls_path(in, "admin.key")));
        json_object_set_new(o, "valid_until", json_string(until));
        print_json(o);
}

static int usage(struct tls_job *in, const struct ctl *c)
{
        if (!c->nodes && !c->admin)
                return tls_failed(
                               "--nodes is needed: the ids of the nodes that get certificates, such as --nodes 1,2,3"),
                       CTL_USAGE;
        if (c->nodes && !nodes_read(in, c->nodes))
                return tls_failed("--nodes %s: ids from 0 to 2147483647 with commas between them are needed, each "
                                  "once, at "
                                  "most %d",
                                  c->nodes, TLS_NODES_MAX),
                       CTL_USAGE;
        return CTL_OK;
}

static int make(struct ctl *c, const char *dir, bool replace)
{
        static struct tls_job in;
        time_t end_s;
        struct tm tm;
        char until[32];
        int status;

        in.dir = dir;
        in.replace = replace;
        in.days = c->days ? c->days : TLS_DAYS;
        status = usage(&in, c);
        if (!status)
                status = authority_get(&in);
        for (unsigned i = 0; i < in.nodes_count && !status; i++)
                status = node_make(&in, i);
        if (!status && c->admin)
                status = admin_make(&in, c->admin);
        end_s = (time_t)(clock_wall_ms() / 1000 + (int64_t)in.days * DAY_S);
        if (!status)
                status = tls_write_all(&in);
        if (status)
                return status;
        strftime(until, sizeof until, "%Y-%m-%d", gmtime_r(&end_s, &tm));
        if (c->json)
                print_object(&in, until);
        else
                print_words(&in, until);
        for (unsigned i = 0; i < in.nodes_count; i++)
                tls_pair_fini(&in.pairs[i]);
        tls_pair_fini(&in.admin);
        tls_pair_fini(&in.authority);
        return CTL_OK;
}

int tls_init(struct ctl *c, const char *dir)
{
        return make(c, dir, false);
}

int tls_renew(struct ctl *c, const char *dir)
{
        return make(c, dir, true);
}
