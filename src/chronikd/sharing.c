#include "chronikd/sharing.h"

#include <stdlib.h>

#include "chronikd/metrics.h"
#include "chronikd/node.h"
#include "conf/group_settings.h"
#include "share/share_link.h"
#include "sys/clock.h"

enum { CELLS_MAX = 100000 }; /* partitions, each as one group consumes it, on one loop */

static void ask(void *arg, struct share_call *c)
{
        struct node *n = arg;

        share_link_ask(&n->txn_link, c);
}

static struct group_settings settings_of(struct node *n, struct str group)
{
        struct meta_image *image = controller_image(n->controller);
        const struct meta_configs *set = meta_image_configs(image, META_RESOURCE_GROUP, group);
        struct group_settings s = n->groups_conf.rules.unset;

        for (uint32_t i = 0; set && i < set->count; i++)
                group_settings_put(&n->groups_conf.rules, set->items[i].name, set->items[i].value, &s);
        meta_image_unref(image);
        return s;
}

static struct share_settings settings(void *arg, struct str group)
{
        static const enum share_reset resets[] = { [CONF_OFFSET_RESET_LATEST] = SHARE_RESET_LATEST,
                                                   [CONF_OFFSET_RESET_EARLIEST] = SHARE_RESET_EARLIEST,
                                                   [CONF_OFFSET_RESET_BY_DURATION] = SHARE_RESET_BY_TIME };
        struct group_settings s = settings_of(arg, group);

        return (struct share_settings){
                .part = { .deliveries_max = (uint16_t)s.share_delivery_count_limit,
                          .records_max = (uint32_t)s.share_partition_max_record_locks,
                          .lock_ms = s.share_record_lock_duration_ms },
                .reset = resets[s.share_auto_offset_reset.kind],
                .reset_back_ms = s.share_auto_offset_reset.duration_ms,
                .read_committed = s.share_isolation_level == GROUP_ISOLATION_READ_COMMITTED,
                .may_renew = s.share_renew_acknowledge_enable,
        };
}

static int known(void *arg, const struct share_place *place)
{
        struct node *n = arg;
        struct meta_image *image = controller_image(n->controller);
        const struct meta_topic *t = meta_image_topic_by_id(image, place->topic_id);
        int r = SHARES_OK;

        if (!t)
                r = SHARES_E_UNKNOWN_TOPIC;
        else if (!meta_topic_partition(t, place->index))
                r = SHARES_E_UNKNOWN_PARTITION;
        meta_image_unref(image);
        return r;
}

int sharing_join(struct node *n)
{
        return share_link_register(&n->txn_link);
}

int sharing_open(struct node *n)
{
        const struct shares_config cfg = { .loops = n->reactors,
                                           .loops_count = net_server_reactors_count(n->net),
                                           .pool = n->pool,
                                           .table = n->table,
                                           .sessions_max = (unsigned)n->conf->groups.share_max_share_sessions,
                                           .cells_max = CELLS_MAX,
                                           .hash_seed = random_u64(),
                                           .ask = ask,
                                           .settings = settings,
                                           .known = known,
                                           .arg = n };
        int r = shares_new(&cfg, &n->shares);

        if (!r)
                handler_set_shares(n->handler, n->shares);
        return r;
}

void sharing_metrics(struct node *n, struct strbuf *out)
{
        struct shares_stats s;

        shares_stats(n->shares, &s);
        metrics_gauge(out, "chronik_share_sessions", "Sessions of members of share groups with this node.",
                      (double)s.sessions);
        metrics_gauge(out, "chronik_share_partitions",
                      "Partitions that this node leads, each as one share group consumes it.", (double)s.cells);
        metrics_counter(out, "chronik_share_acquired_total", "Records that were given to members of share groups.",
                        (double)s.acquired);
        metrics_counter(out, "chronik_share_accepted_total", "Records that they have done.", (double)s.acknowledged);
        metrics_counter(out, "chronik_share_released_total", "Records that they gave back.", (double)s.released);
        metrics_counter(out, "chronik_share_rejected_total", "Records that they refused.", (double)s.rejected);
        metrics_counter(out, "chronik_share_timeouts_total",
                        "Runs of records that were given back because the time for them was up.", (double)s.timed_out);
        metrics_counter(out, "chronik_share_writes_total",
                        "Times that the state of a share group was sent to its coordinator.", (double)s.writes);
        metrics_counter(out, "chronik_share_writes_failed_total", "Times that the coordinator did not take it.",
                        (double)s.writes_failed);
}
