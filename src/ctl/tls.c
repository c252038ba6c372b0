/* tls init: a private authority and the certificates of nodes, as files. Nothing that is there is overwritten; with the authority's
 * files in place, further nodes get certificates of the same one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/ctl.h"
#include "net/tls_issue.h"
#include "sys/clock.h"
#include "sys/file.h"

enum {
        NODES_MAX = 1000,
        DAYS = 1825,             /* five years: a certificate that runs out takes its node out of the cluster */
        AUTHORITY_DAYS = 3650,   /* that the authority lasts longer, for nodes that come later */
        BACKDATED_S = 24 * 3600, /* the clock of a node may be behind */
        DAY_S = 24 * 3600,
        PEM_LEN_MAX = 64 * 1024,
};

struct made {
        char *path;
        const char *content;
        bool key;
};

struct init {
        const char *dir;
        int days;
        int32_t nodes[NODES_MAX];
        unsigned nodes_count;
        struct tls_pair authority, pairs[NODES_MAX];
        bool authority_is_new;
        struct made files[2 * NODES_MAX + 2];
        unsigned files_count, written_count;
};

static int failed(const char *fmt, ...) PRINTF_LIKE(1, 2);
static int failed(const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        fputs("chronik-ctl: ", stderr);
        vfprintf(stderr, fmt, ap);
        fputc('\n', stderr);
        va_end(ap);
        return CTL_FAILED;
}

static char *path_of(const struct init *in, const char *fmt, ...) PRINTF_LIKE(2, 3);
static char *path_of(const struct init *in, const char *fmt, ...)
{
        char name[64], *path;
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(name, sizeof name, fmt, ap);
        va_end(ap);
        if (asprintf(&path, "%s/%s", in->dir, name) < 0)
                abort();
        return path;
}

static bool is_there(const char *path)
{
        struct file_info info;

        return file_info(path, &info) != -ENOENT;
}

/* "1,2,3": ids, each once. */
static bool nodes_read(struct init *in, const char *text)
{
        const char *at = text;

        for (;;) {
                long long id;
                char *end;

                errno = 0;
                id = strtoll(at, &end, 10);
                if (errno || end == at || *at < '0' || *at > '9' || id > INT32_MAX || (*end && *end != ',') ||
                    in->nodes_count == NODES_MAX)
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

static void file_add(struct init *in, char *path, const char *content, bool key)
{
        in->files[in->files_count++] = (struct made){ path, content, key };
}

/* The authority that is in the folder, or a new one. */
static int authority_get(struct init *in)
{
        struct tls_subject s = { .name = "Chronik cluster authority",
                                 .authority = true,
                                 .from_s = -BACKDATED_S,
                                 .to_s = (int64_t)(in->days + AUTHORITY_DAYS) * DAY_S };
        char *cert = path_of(in, "ca.pem"), *key = path_of(in, "ca.key");
        size_t len;
        int r;

        in->authority_is_new = !is_there(cert) && !is_there(key);
        if (in->authority_is_new) {
                r = tls_issue(&s, NULL, &in->authority);
                if (r)
                        return failed("cannot make an authority: %s", strerror(-r));
                file_add(in, cert, in->authority.certificate, false);
                file_add(in, key, in->authority.key, true);
                return CTL_OK;
        }
        r = file_read_whole(cert, PEM_LEN_MAX, &in->authority.certificate, &len);
        if (r)
                return failed("%s: %s; both files of the authority are needed to add nodes, or none for a new cluster",
                              cert, strerror(-r));
        r = file_read_whole(key, PEM_LEN_MAX, &in->authority.key, &len);
        if (r)
                return failed(
                        "%s: %s; put the authority's key back for as long as this takes, or use another folder for a "
                        "new cluster",
                        key, strerror(-r));
        return CTL_OK;
}

static int node_make(struct init *in, unsigned i)
{
        char name[64], uri[64], *cert = path_of(in, "node-%d.pem", in->nodes[i]),
                                *key = path_of(in, "node-%d.key", in->nodes[i]);
        struct tls_subject s = { .name = name, .uri = uri, .from_s = -BACKDATED_S, .to_s = (int64_t)in->days * DAY_S };
        int r;

        if (is_there(cert) || is_there(key))
                return failed("%s: node %d has files there already, and nothing is overwritten; move them away first",
                              is_there(cert) ? cert : key, in->nodes[i]);
        snprintf(name, sizeof name, "Chronik node %d", in->nodes[i]);
        snprintf(uri, sizeof uri, "chronik://node/%d", in->nodes[i]);
        r = tls_issue(&s, &in->authority, &in->pairs[i]);
        if (r == -EINVAL)
                return failed("%s/ca.pem and %s/ca.key are no authority's certificate and its key", in->dir, in->dir);
        if (r)
                return failed("cannot make a certificate for node %d: %s", in->nodes[i], strerror(-r));
        file_add(in, cert, in->pairs[i].certificate, false);
        file_add(in, key, in->pairs[i].key, true);
        return CTL_OK;
}

/* All files or none. */
static int write_all(struct init *in)
{
        int r = file_mkdirs(in->dir);

        if (r)
                return failed("%s: %s", in->dir, strerror(-r));
        for (unsigned i = 0; i < in->files_count; i++) {
                const struct made *f = &in->files[i];

                r = file_create_new(f->path, f->key ? 0600 : 0644, span_of(f->content, strlen(f->content)));
                if (!r) {
                        in->written_count++;
                        continue;
                }
                while (in->written_count)
                        file_unlink(in->files[--in->written_count].path);
                return failed("%s: %s; nothing was left there", f->path, strerror(-r));
        }
        file_sync_dir(in->dir);
        return CTL_OK;
}

static void print_words(const struct init *in, const char *until)
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
        table_print(t);
        printf("\nThe nodes' certificates are valid until %s.\n", until);
        if (!in->authority_is_new)
                printf("The authority is the one that was there; it stays in cluster.tls_ca.\n");
}

static void print_object(const struct init *in, const char *until)
{
        json_t *o = json_object(), *nodes = json_array();

        for (unsigned i = 0; i < in->nodes_count; i++) {
                char *cert = path_of(in, "node-%d.pem", in->nodes[i]), *key = path_of(in, "node-%d.key", in->nodes[i]);

                json_array_append_new(
                        nodes, json_pack("{s:i, s:s, s:s}", "node", in->nodes[i], "certificate", cert, "key", key));
        }
        json_object_set_new(o, "ca", json_string(path_of(in, "ca.pem")));
        json_object_set_new(o, "ca_key", json_string(path_of(in, "ca.key")));
        json_object_set_new(o, "ca_is_new", json_boolean(in->authority_is_new));
        json_object_set_new(o, "nodes", nodes);
        json_object_set_new(o, "valid_until", json_string(until));
        print_json(o);
}

int tls_init(struct ctl *c, const char *dir)
{
        static struct init in;
        time_t end_s;
        struct tm tm;
        char until[32];
        int status;

        in.dir = dir;
        in.days = c->days ? c->days : DAYS;
        if (!c->nodes)
                return failed("--nodes is needed: the ids of the nodes that get certificates, such as --nodes 1,2,3"),
                       CTL_USAGE;
        if (!nodes_read(&in, c->nodes))
                return failed("--nodes %s: ids from 0 to 2147483647 with commas between them are needed, each once, at "
                              "most %d",
                              c->nodes, NODES_MAX),
                       CTL_USAGE;
        status = authority_get(&in);
        for (unsigned i = 0; i < in.nodes_count && !status; i++)
                status = node_make(&in, i);
        end_s = (time_t)(clock_wall_ms() / 1000 + (int64_t)in.days * DAY_S);
        if (!status)
                status = write_all(&in);
        if (status)
                return status;
        strftime(until, sizeof until, "%Y-%m-%d", gmtime_r(&end_s, &tm));
        if (c->json)
                print_object(&in, until);
        else
                print_words(&in, until);
        return CTL_OK;
}
