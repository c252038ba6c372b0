/* The checks that concern several values at once. Each names the value that has to change, at its place. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/reader.h"

/* Whether both values were read well. */
static bool usable(const struct conf_reader *rd, enum conf_param a, enum conf_param b)
{
        return !rd->bad[a] && !rd->bad[b];
}

/* Report at the place of @at; a value that stands nowhere is a default. */
static void complain(struct conf_reader *rd, enum conf_param at, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void complain(struct conf_reader *rd, enum conf_param at, const char *fmt, ...)
{
        char text[512];
        va_list ap;

        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        conf_reader_error(rd, rd->from_set[at] ? LINE_SET : rd->line[at], "%s.%s: %s", conf_params[at].section,
                          conf_params[at].key, text);
}

/* @low must not be above @high; both are numbers. The message stands at the one that was given. */
static void check_order(struct conf_reader *rd, enum conf_param low, enum conf_param high)
{
        const struct conf_row *l = &conf_params[low], *h = &conf_params[high];
        int64_t a, b;

        if (!usable(rd, low, high))
                return;
        a = conf_value_get(l, rd->conf).i;
        b = conf_value_get(h, rd->conf).i;
        if (a <= b)
                return;
        if (rd->conf->source[low] == CONF_SOURCE_STATIC)
                complain(rd, low, "is %lld, more than %s.%s, which is %lld; give at most that, or raise the other",
                         (long long)a, h->section, h->key, (long long)b);
        else
                complain(rd, high, "is %lld, less than %s.%s, which is %lld; give at least that, or lower the other",
                         (long long)b, l->section, l->key, (long long)a);
}

static void check_buffer(struct conf_reader *rd, enum conf_param id)
{
        int64_t v = conf_value_get(&conf_params[id], rd->conf).i;

        if (!rd->bad[id] && v >= 0 && v < 1024)
                complain(rd, id, "is %lld; give at least 1024, or -1 to leave it to the kernel", (long long)v);
}

static void check_addresses(struct conf_reader *rd)
{
        const struct conf *c = rd->conf;
        const struct conf_addr *k = &c->server.kafka, *a = &c->server.admin, *adv = &c->server.advertised;

        if (usable(rd, PARAM_server_kafka, PARAM_server_admin) && k->port && k->port == a->port &&
            (!strcmp(k->host, a->host) || conf_host_is_wildcard(k->host) || conf_host_is_wildcard(a->host)))
                complain(rd,
                         c->source[PARAM_server_admin] == CONF_SOURCE_STATIC ? PARAM_server_admin : PARAM_server_kafka,
                         "port %u is wanted by server.kafka and by server.admin; give them different ports", k->port);
        if (rd->bad[PARAM_server_advertised] || c->source[PARAM_server_advertised] == CONF_SOURCE_DEFAULT)
                return;
        if (adv->host[0] && conf_host_is_wildcard(adv->host))
                complain(rd, PARAM_server_advertised,
                         "is %s, to which no client can connect; give a host name or address of this node, or leave it "
                         "out",
                         adv->host);
        else if (adv->host[0] && !adv->port && !rd->bad[PARAM_server_kafka] && k->port)
                complain(rd, PARAM_server_advertised,
                         "has port 0; give the port that clients reach, %u for server.kafka", k->port);
}

/* What only makes sense together. */
static void check_cluster(struct conf_reader *rd)
{
        static const enum conf_param tls[] = { PARAM_cluster_tls_certificate, PARAM_cluster_tls_key,
                                               PARAM_cluster_tls_ca };
        const struct conf *c = rd->conf;
        int64_t beat = c->cluster.heartbeat_interval_ms, session = c->cluster.session_timeout_ms;
        bool alone = !c->cluster.listen.host[0] && !rd->bad[PARAM_cluster_listen];
        unsigned given = 0;

        if (usable(rd, PARAM_cluster_heartbeat_interval_ms, PARAM_cluster_session_timeout_ms) && beat * 3 > session)
                complain(rd,
                         c->source[PARAM_cluster_heartbeat_interval_ms] == CONF_SOURCE_STATIC
                                 ? PARAM_cluster_heartbeat_interval_ms
                                 : PARAM_cluster_session_timeout_ms,
                         "heartbeats come every %lld ms and a node is given up after %lld ms; a third of that or less "
                         "lets one be lost",
                         (long long)beat, (long long)session);
        if (alone) {
                if (c->cluster.controllers[0])
                        complain(rd, PARAM_cluster_controllers,
                                 "names other nodes, but this one does not listen for them; set cluster.listen, for "
                                 "example to 0.0.0.0:9093");
                if (!(c->server.roles & CONF_ROLE_CONTROLLER))
                        complain(rd, PARAM_server_roles,
                                 "leaves out controller, but without cluster.listen this node is alone; set "
                                 "cluster.listen and cluster.controllers, or add the role");
                return;
        }
        if (!c->cluster.controllers[0] && !rd->bad[PARAM_cluster_controllers])
                complain(rd, PARAM_cluster_controllers,
                         "is empty, so nodes cannot find each other; give ID@HOST:PORT of each controller");
        for (size_t i = 0; i < ARRAY_LEN(tls); i++)
                given += !!conf_value_get(&conf_params[tls[i]], c).s[0];
        if (c->cluster.plaintext && given)
                complain(rd, PARAM_cluster_plaintext, "is true beside certificates; leave one of them out");
        for (size_t i = 0; i < ARRAY_LEN(tls) && !c->cluster.plaintext; i++)
                if (!rd->bad[tls[i]] && !conf_value_get(&conf_params[tls[i]], c).s[0])
                        complain(rd, tls[i],
                                 "is empty, and nodes talk with TLS; give the file (`chronik-ctl tls init` makes all "
                                 "three), or set cluster.plaintext for a network that nobody else can reach");
}

static void check_admin(struct conf_reader *rd)
{
        const struct conf *c = rd->conf;
        bool wants_ca = c->admin.client_auth != CONF_CLIENT_AUTH_NONE, tls = c->admin.tls_certificate[0];

        if (tls && !c->admin.tls_key[0])
                complain(rd, PARAM_admin_tls_key,
                         "is empty beside admin.tls_certificate; give the PEM file of its key");
        if (!tls && c->admin.tls_key[0])
                complain(rd, PARAM_admin_tls_certificate, "is empty beside admin.tls_key; give the PEM file");
        if (!tls && wants_ca)
                complain(rd, PARAM_admin_client_auth, "needs TLS; give admin.tls_certificate and admin.tls_key");
        if (wants_ca && !c->admin.tls_ca[0])
                complain(rd, PARAM_admin_tls_ca,
                         "is empty, but client_auth asks operators for certificates; give the PEM file of their "
                         "authorities");
        if (!wants_ca && c->admin.tls_ca[0])
                complain(rd, PARAM_admin_tls_ca,
                         "is given, but operators are not asked for certificates; set admin.client_auth to required or "
                         "requested");
        if (wants_ca && !c->admin.role_mapping_rules[0] && !c->admin.tokens_file[0])
                complain(
                        rd, PARAM_admin_role_mapping_rules,
                        "is empty, so that no certificate gives a role; give rules such as RULE:^CN=ops,.*$/admin/, or "
                        "admin.tokens_file");
        if (!wants_ca && c->admin.role_mapping_rules[0])
                complain(rd, PARAM_admin_role_mapping_rules,
                         "is given, but operators are not asked for certificates; set admin.client_auth to required or "
                         "requested");
        if (c->admin.open & CONF_OPEN_NONE && c->admin.open != CONF_OPEN_NONE)
                complain(rd, PARAM_admin_open, "says none beside other words; leave either out");
}

static void check_level(struct conf_reader *rd)
{
        static const struct {
                int64_t min, max;
        } levels[] = {
                [CONF_COMPRESSION_GZIP] = { 1, 9 },
                [CONF_COMPRESSION_LZ4] = { 1, 17 },
                [CONF_COMPRESSION_ZSTD] = { -131072, 22 },
                [CONF_COMPRESSION_PRODUCER] = { 0, 0 },
        };
        const struct conf *c = rd->conf;
        int64_t level = c->storage.compression_level;
        struct str word;

        if (!usable(rd, PARAM_storage_compression_type, PARAM_storage_compression_level) || !level)
                return;
        assert((size_t)c->storage.compression_type < ARRAY_LEN(levels));
        word = conf_values_at(conf_params[PARAM_storage_compression_type].values, c->storage.compression_type);
        if (!levels[c->storage.compression_type].max)
                complain(rd, PARAM_storage_compression_level,
                         "is %lld, but compression_type %.*s has no levels; leave it out, or choose gzip, lz4 or zstd",
                         (long long)level, STR_FMT(word));
        else if (level < levels[c->storage.compression_type].min || level > levels[c->storage.compression_type].max)
                complain(rd, PARAM_storage_compression_level,
                         "is %lld; give %lld to %lld for %.*s, or 0 for its default", (long long)level,
                         (long long)levels[c->storage.compression_type].min,
                         (long long)levels[c->storage.compression_type].max, STR_FMT(word));
}

/* @low <= @at <= @high. */
static void check_between(struct conf_reader *rd, enum conf_param low, enum conf_param at, enum conf_param high)
{
        check_order(rd, low, high);
        check_order(rd, low, at);
        check_order(rd, at, high);
}

/* A member that is to send a heartbeat as late as it is given up would be given up. */
static void check_heartbeat(struct conf_reader *rd, enum conf_param heartbeat, enum conf_param session)
{
        int64_t ms = conf_value_get(&conf_params[heartbeat], rd->conf).i;

        check_order(rd, heartbeat, session);
        if (usable(rd, heartbeat, session) && ms == conf_value_get(&conf_params[session], rd->conf).i)
                complain(rd, heartbeat, "is %lld, as much as %s.%s; give less", (long long)ms,
                         conf_params[session].section, conf_params[session].key);
}

static void check_groups(struct conf_reader *rd)
{
#define CHECK(kind, what) \
        check_between(rd, PARAM_groups_##kind##_min_##what, PARAM_groups_##kind##_##what, \
                      PARAM_groups_##kind##_max_##what)
        check_order(rd, PARAM_groups_min_session_timeout_ms, PARAM_groups_max_session_timeout_ms);
        CHECK(consumer, session_timeout_ms);
        CHECK(consumer, heartbeat_interval_ms);
        CHECK(share, session_timeout_ms);
        CHECK(share, heartbeat_interval_ms);
        CHECK(share, record_lock_duration_ms);
        CHECK(share, delivery_count_limit);
        CHECK(share, partition_max_record_locks);
        check_heartbeat(rd, PARAM_groups_consumer_heartbeat_interval_ms, PARAM_groups_consumer_session_timeout_ms);
        check_heartbeat(rd, PARAM_groups_share_heartbeat_interval_ms, PARAM_groups_share_session_timeout_ms);
#undef CHECK
}

/* Who names super users means that others are held back. */
static void check_security(struct conf_reader *rd)
{
        const struct conf *c = rd->conf;

        if (usable(rd, PARAM_security_authorizer, PARAM_security_super_users) && c->security.super_users[0] &&
            c->security.authorizer == CONF_AUTHORIZER_NONE)
                complain(rd, PARAM_security_super_users,
                         "is set, but security.authorizer is none, and everybody may do everything; set that to "
                         "standard, or leave this out");
}

void conf_check(struct conf_reader *rd)
{
        check_order(rd, PARAM_replication_min_insync_replicas, PARAM_replication_factor);
        check_groups(rd);
        check_order(rd, PARAM_storage_min_compaction_lag_ms, PARAM_storage_max_compaction_lag_ms);
        check_order(rd, PARAM_storage_segment_jitter_ms, PARAM_storage_segment_ms);
        check_order(rd, PARAM_storage_max_message_bytes, PARAM_server_max_request_bytes);
        check_order(rd, PARAM_performance_batch_size, PARAM_performance_buffer_memory);
        check_buffer(rd, PARAM_server_socket_send_buffer_bytes);
        check_buffer(rd, PARAM_server_socket_receive_buffer_bytes);
        check_addresses(rd);
        check_cluster(rd);
        check_admin(rd);
        check_level(rd);
        check_security(rd);
        if (!rd->bad[PARAM_server_data_dir] && !rd->conf->server.data_dir[0])
                complain(rd, PARAM_server_data_dir, "is empty; give a directory");
}
