/* The table of APIs that are served, and the life of the handler. */
#include <errno.h>

#include "conf/limits.h"
#include "handler/authorize.h"
#include "handler/client_conn.h"
#include "handler/internal.h"
#include "handler/quota.h"
#include "handler/telemetry.h"
#include "share/shares.h"

#define API_ROW(NAME, min, max, advertised, function) \
        { .key = KAPI_##NAME, \
          .version_min = min, \
          .version_max = max, \
          .advertised_min = advertised, \
          .name = #NAME, \
          .fn = handler_##function },
static struct handler_api apis[] = { HANDLER_APIS(API_ROW) };

/* Where each key's row is, counted from 1: every request is looked up. */
#define API_PLACE(NAME, ...) API_PLACE_##NAME,
enum { API_PLACE_NONE, HANDLER_APIS(API_PLACE) };
#define API_PLACE_OF(NAME, ...) [KAPI_##NAME] = API_PLACE_##NAME,
static const uint8_t places[] = { HANDLER_APIS(API_PLACE_OF) };

const struct handler_api *handler_api_find(int16_t key)
{
        bool known = key >= 0 && (size_t)key < ARRAY_LEN(places) && places[key];

        return known ? &apis[places[key] - 1] : NULL;
}

const struct handler_api *handler_apis(unsigned *ret_count)
{
        *ret_count = ARRAY_LEN(apis);
        return apis;
}

int handler_new(const struct handler_deps *deps, struct handler **ret_handler)
{
        struct handler *h = calloc(1, sizeof *h);
        int r;

        if (!h)
                return -ENOMEM;
        h->deps = *deps;
        budget_init(&h->decode_budget,
                    MAX2((size_t)deps->conf->performance.buffer_memory * LIMIT_DECODED_PER_BUFFER_BYTE,
                         (size_t)LIMIT_DECODED_TOTAL_BYTES_MIN));
        pthread_mutex_init(&h->ids_lock, NULL);
        r = stats_init(h, deps->reactors_count);
        if (!r)
                r = quotas_new(&h->quotas);
        if (!r)
                r = telemetry_new(&h->telemetry);
        if (!r)
                r = handler_images_init(h);
        if (!r)
                r = authorization_new(deps->conf, deps->reactors_count, &h->authorization);
        if (!r)
                r = audit_doors_init(h, deps->reactors_count);
        if (r) {
                handler_free(h);
                return r;
        }
        for (unsigned i = 0; i < ARRAY_LEN(apis); i++) {
                apis[i].wire = wire_api_find(apis[i].key);
                apis[i].number = i;
                assert(apis[i].wire);
        }
        r = fetch_sessions_new((unsigned)deps->conf->fetch.session_cache, 1000000, &h->sessions);
        if (r) {
                handler_free(h);
                return r;
        }
        *ret_handler = h;
        return 0;
}

struct handler *handler_free(struct handler *h)
{
        if (!h)
                return NULL;
        fetch_sessions_free(h->sessions);
        quotas_free(h->quotas);
        telemetry_free(h->telemetry);
        authorization_free(h->authorization);
        audit_doors_fini(h);
        handler_images_fini(h);
        stats_fini(h);
        pthread_mutex_destroy(&h->ids_lock);
        free(h);
        return NULL;
}

static int wake(void *arg, struct partition *p)
{
        (void)arg;
        partition_wake(p);
        return 0;
}

void handler_drain(struct handler *h)
{
        atomic_store(&h->stopping, true);
        (void)partition_table_visit(h->deps.partitions, wake,
                                    NULL); /* when memory is out they wait to their time's end */
}

void handler_set_coord(struct handler *h, struct coord *groups, struct coord *txns, struct txn_link *link)
{
        h->deps.coord = groups;
        h->deps.txns = txns;
        h->deps.txn_link = link;
}

void handler_set_shares(struct handler *h, struct shares *shares)
{
        h->deps.shares = shares;
}

static void connection_closed(void *owner, struct net_conn *c, const char *reason)
{
        const struct handler *h = owner;

        shares_connection_closed(h->deps.shares, net_conn_id(c));
        client_conn_close(owner, c, reason);
}

static int64_t connection_delay(void *owner, unsigned reactor, const char *host)
{
        return quota_connection(owner, reactor, host);
}

struct net_ops handler_net_ops(void)
{
        return (struct net_ops){
                .request_size = sizeof(struct rq),
                .request = handler_request,
                .can_overlap = handler_can_overlap,
                .open = client_conn_open,
                .close = connection_closed,
                .delay = connection_delay,
        };
}
