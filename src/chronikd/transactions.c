#include "chronikd/transactions.h"

#include "chronikd/node.h"
#include "sys/clock.h"

enum { COMMIT_MS = 5000 }; /* an answer waits so long for its write */

static bool find(void *arg, struct str topic, int32_t partition, struct txn_place *ret)
{
        struct node *n = arg;
        struct meta_image *image = controller_image(n->controller);
        const struct meta_topic *t = meta_image_topic(image, topic);
        const struct meta_partition *p = t ? meta_topic_partition(t, partition) : NULL;

        if (p)
                *ret = (struct txn_place){ t->id, meta_image_leader(image, p) };
        meta_image_unref(image);
        return p;
}

static bool exists(void *arg, struct str topic, int32_t partition)
{
        struct txn_place place;

        return find(arg, topic, partition, &place);
}

int transactions_join(struct node *n)
{
        return txn_link_register(&n->txn_link);
}

void transactions_init(struct node *n)
{
        n->txn_link.node_id = n->led.node_id;
        n->txn_link.table = n->table;
        n->txn_link.find = find;
        n->txn_link.arg = n;
        txn_link_init(&n->txn_link);
}

int transactions_open(struct node *n)
{
        struct coord_config cfg = { .loops = n->reactors,
                                    .loops_count = net_server_reactors_count(n->net),
                                    .pool = n->pool,
                                    .ops = &txns_ops,
                                    .machine_arg = &n->txns_conf,
                                    .commit_timeout_ms = COMMIT_MS,
                                    .send = txn_link_send,
                                    .send_arg = &n->txn_link };
        int r;

        txns_conf_init(&n->txns_conf);
        n->txns_conf.hash_seed = random_u64();
        n->txns_conf.expiry_ms = n->conf->transactions.id_expiration_ms;
        n->txns_conf.partition_exists = exists;
        n->txns_conf.partitions_arg = n;
        r = coord_new(&cfg, &n->txns);
        if (!r)
                txn_link_start(&n->txn_link, n->coord, n->txns);
        return r;
}
