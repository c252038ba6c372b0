/* Goal: a decision that runs out of memory changes nothing and says so, wherever it happens, and is made whole afterwards.
 * Method: for each kind of decision the n-th allocation fails, for n from 0 until none does. */
#include <errno.h>
#include <stdlib.h>

#include "controller-stage.h"

static int allocations_left = -1; /* -1: all succeed */

static bool fails(void)
{
        if (allocations_left < 0)
                return false;
        return allocations_left == 0 || allocations_left-- == 0; /* and from then on all of them */
}

#include "nomem.h"

static int expire(struct decision *d)
{
        int64_t next;

        return decision_expire_leases(d, &next);
}

static int balance(struct decision *d)
{
        bool more;

        return decision_balance(d, &more);
}

/* Make the decision of @rq, or of @own. Every failure leaves what was known as it was. */
static void try_all(const char *what, struct controller_request *rq, int (*own)(struct decision *d))
{
        int tries = 0, r;

        do {
                CLEANUP(meta_image_unrefp) struct meta_image *before = meta_image_ref(image);
                struct decision d;

                settings_fini(&memory.settings); /* so that it is made anew too */
                start(&d);
                allocations_left = tries++;
                r = own ? own(&d) : decision_run(&d, rq);
                allocations_left = -1;
                if (r) {
                        CU_ASSERT_EQUAL(r, -ENOMEM);
                        CU_ASSERT(own || rq->result.outcome == CONTROLLER_E_NO_MEMORY);
                        decision_fini(&d);
                        CU_ASSERT(meta_image_equal(before, image));
                } else {
                        commit(&d);
                }
                arena_fini(&mem);
        } while (r && tries < 100000);
        if (tries < 3)
                printf("%s needed no memory? ", what);
        CU_ASSERT(tries >= 3 && tries < 100000);
        CU_ASSERT(emitted > 0);
}

static void try(const char *what, enum controller_op op, void *item)
{
        struct controller_request rq = { .op = op, .items = item, .items_count = 1 };

        try_all(what, &rq, NULL);
}

static const struct controller_config_change min_isr = { STR_LIT("min.insync.replicas"), CONTROLLER_CONFIG_SET,
                                                         STR_LIT("2") };

static void test_decisions(void)
{
        struct controller_create_topic t = { .name = STR_LIT("t"), .partitions_count = 6, .replication_factor = 3 };
        struct controller_alter_configs configs = {
                .type = META_RESOURCE_TOPIC, .name = STR_LIT("t"), .changes = &min_isr, .changes_count = 1
        };
        struct controller_heartbeat h = { .broker_id = 1, .want_fence = true };
        struct controller_register_broker r;
        struct controller_reassign move = { .topic = STR_LIT("t"),
                                            .replicas = (int32_t[]){ 2, 4 },
                                            .replicas_count = 2 };
        struct controller_broker_duty drain = { .broker_id = 3 };
        struct controller_disruption token = { .who = STR_LIT("me"), .node_id = 9, .ttl_ms = 5000 };
        struct controller_isr_member members[] = { { 1, -1 }, { 2, -1 }, { 3, -1 }, { 4, -1 } };
        struct controller_alter_partition a = { .isr = members };

        struct controller_create_acl acl = { .entry = { ACL_TOPIC, ACL_PREFIXED, ACL_READ, ACL_ALLOW, STR_LIT("t"),
                                                        STR_LIT("User:a"), STR_LIT("*") } };
        struct controller_delete_acls no_acl = { .filter = { ACL_RESOURCE_ANY, ACL_PATTERN_ANY, ACL_OPERATION_ANY,
                                                             ACL_PERMISSION_ANY, STR_NULL, STR_NULL, STR_NULL } };

        setup_at(CONTROLLER_LEVEL_SECURITY);
        rules.part_len = 64;
        brokers(4);
        try("create", CONTROLLER_CREATE_TOPICS, &t);
        try("configs", CONTROLLER_ALTER_CONFIGS, &configs);
        try("acl", CONTROLLER_CREATE_ACLS, &acl);
        try("no acl", CONTROLLER_DELETE_ACLS, &no_acl);
        h.broker_epoch = meta_image_broker(image, 1)->epoch;
        try("fence", CONTROLLER_HEARTBEAT, &h);
        h.want_fence = false;
        h.applied_index = image->index;
        try("unfence", CONTROLLER_HEARTBEAT, &h);
        try("reassign", CONTROLLER_ALTER_REASSIGNMENTS, &move);
        a.topic_id = meta_image_topic(image, STR_LIT("t"))->id;
        a.broker_id = part("t", 0)->leader;
        a.broker_epoch = meta_image_broker(image, a.broker_id)->epoch;
        a.leader_epoch = part("t", 0)->leader_epoch;
        a.partition_epoch = part("t", 0)->partition_epoch;
        for (uint32_t i = 0; i < part("t", 0)->replicas_count; i++)
                members[a.isr_count++].broker_id = meta_partition_replicas(part("t", 0))[i];
        try("alter partition", CONTROLLER_ALTER_PARTITION, &a);
        try("token", CONTROLLER_DISRUPTION, &token);
        try("drain", CONTROLLER_DRAIN_BROKER, &drain);
        try("undrain", CONTROLLER_UNDRAIN_BROKER, &drain);
        try_all("balance", NULL, balance);
        r = registration(2, 8, NULL);
        now_ms += 9001;
        h.applied_index = image->index;
        try("register", CONTROLLER_REGISTER_BROKER, &r);
        try_all("expire", NULL, expire);
        teardown();
}

static const struct unit_case cases[] = { { "decisions without memory", test_decisions } };
UNIT_MAIN("controller, no memory", cases)
