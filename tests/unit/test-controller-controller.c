/* Goal: the controller's host answers after commit and publication, keeps everything over restarts clean and unclean, and
 * refuses folders that are not its own. Method: a real controller on a real folder; answers are waited for. */
#include "controller-host.h"
#include "unit.h"

static struct host h;
static char why[512];

static const struct meta_partition *partition(const struct meta_image *i, const char *topic, int32_t index)
{
        const struct meta_topic *t = meta_image_topic(i, str_of(topic));

        return t ? meta_topic_partition(t, index) : NULL;
}

static void test_life_of_a_topic(void)
{
        CLEANUP(meta_image_unrefp) struct meta_image *first = NULL, *second = NULL, *third = NULL;
        struct controller_delete_topic del = { .name = STR_LIT("orders") };
        struct controller_request rq = { .op = CONTROLLER_DELETE_TOPICS, .delete_topics = &del };

        host_dir(&h, "life");
        CU_ASSERT_EQUAL_FATAL(host_open(&h, (struct quorum_config){ 0 }, why, sizeof why), 0);
        host_add_broker(&h, 1, -1);
        CU_ASSERT_EQUAL(host_create_topic(&h, "orders", 3), CONTROLLER_OK);
        first = controller_image(h.c);
        CU_ASSERT_PTR_NOT_NULL_FATAL(partition(first, "orders", 2));
        CU_ASSERT_EQUAL(partition(first, "orders", 2)->leader, 1);
        CU_ASSERT_EQUAL(partition(first, "orders", 2)->leader_epoch, 0);
        CU_ASSERT_PTR_NULL(partition(first, "orders", 3));
        CU_ASSERT_EQUAL(host_create_topic(&h, "orders", 3), CONTROLLER_E_TOPIC_EXISTS);
        CU_ASSERT_EQUAL(host_create_topic(&h, "or ders", 3), CONTROLLER_E_TOPIC_NAME);
        second = controller_image(h.c);
        CU_ASSERT_EQUAL(first, second); /* refusals change nothing */
        CU_ASSERT_EQUAL(host_ask(&h, &rq), CONTROLLER_OK);
        CU_ASSERT_EQUAL(del.result.outcome, CONTROLLER_OK);
        third = controller_image(h.c);
        CU_ASSERT_PTR_NULL(meta_image_topic(third, STR_LIT("orders")));
        CU_ASSERT_PTR_NOT_NULL(meta_image_topic(first, STR_LIT("orders"))); /* who holds an image keeps it */
        host_close(&h);
        file_remove_tree(h.dir);
}

static void test_restart_keeps_everything(void)
{
        CLEANUP(meta_image_unrefp) struct meta_image *before = NULL, *after = NULL, *unclean = NULL;
        int64_t epoch;

        host_dir(&h, "restart");
        CU_ASSERT_EQUAL_FATAL(host_open(&h, (struct quorum_config){ 0 }, why, sizeof why), 0);
        epoch = host_add_broker(&h, 1, -1);
        for (int i = 0; i < 20; i++) {
                char name[16];

                snprintf(name, sizeof name, "t%d", i);
                CU_ASSERT_EQUAL(host_create_topic(&h, name, 1 + i), CONTROLLER_OK);
        }
        before = controller_image(h.c);
        host_close(&h);
        CU_ASSERT_EQUAL_FATAL(host_open(&h, (struct quorum_config){ 0 }, why, sizeof why), 0);
        after = controller_image(h.c);
        CU_ASSERT(meta_image_equal(before, after)); /* from the store alone: the stop was clean */
        meta_image_unref(after);
        CU_ASSERT(host_add_broker(&h, 1, epoch) > epoch);
        after = controller_image(h.c);
        CU_ASSERT_EQUAL(partition(after, "t3", 1)->leader, 1);
        CU_ASSERT_EQUAL(partition(after, "t3", 1)->leader_epoch, 0); /* a clean restart keeps the epoch */
        CU_ASSERT(after->term > before->term);
        host_close(&h);
        CU_ASSERT_EQUAL_FATAL(host_open(&h, (struct quorum_config){ 0 }, why, sizeof why), 0);
        host_add_broker(&h, 1, -1);
        unclean = controller_image(h.c);
        CU_ASSERT_EQUAL(partition(unclean, "t3", 1)->leader, 1);
        CU_ASSERT_EQUAL(partition(unclean, "t3", 1)->leader_epoch, 1); /* an unclean one does not */
        host_close(&h);
        file_remove_tree(h.dir);
}

struct follower {
        struct meta_subscriber sub;
        struct host *host;
        atomic_int topics;
        atomic_bool may_ack;
        int64_t index;
};

static void follow(struct meta_subscriber *s, struct meta_delta *d)
{
        struct follower *f = s->arg;

        for (uint32_t i = 0; i < d->topics_count; i++)
                f->topics += !d->topics[i].before - !d->topics[i].after;
        f->index = d->after->index;
        if (f->may_ack)
                meta_subscriber_ack(s, d->after->index);
}

static void late_answer(struct controller_request *rq)
{
        *(atomic_bool *)rq->arg = true;
}

static void test_wait_for_subscriber(void)
{
        struct follower f = { .host = &h, .may_ack = true };
        struct controller_create_topic t = { .name = STR_LIT("late"), .partitions_count = 1, .replication_factor = 1 };
        atomic_bool answered = false;
        struct controller_request rq = { .op = CONTROLLER_CREATE_TOPICS,
                                         .create_topics = &t,
                                         .items_count = 1,
                                         .wait_applied = true,
                                         .done = late_answer,
                                         .arg = &answered,
                                         .mem = &h.mem };

        host_dir(&h, "wait");
        CU_ASSERT_EQUAL_FATAL(host_open(&h, (struct quorum_config){ 0 }, why, sizeof why), 0);
        host_add_broker(&h, 1, -1);
        f.sub = (struct meta_subscriber){ .loop = h.loop, .fn = follow, .arg = &f, .acks = true };
        CU_ASSERT_EQUAL(meta_subscribe(controller_publisher(h.c), &f.sub), 0);
        CU_ASSERT_EQUAL(host_create_topic(&h, "early", 1), CONTROLLER_OK);
        f.may_ack = false;
        rq.reply_loop = h.loop;
        controller_submit(h.c, &rq);
        for (int i = 0; i < 200 && f.topics < 2; i++)
                usleep(10000);
        usleep(20000);
        CU_ASSERT_EQUAL(f.topics, 2); /* published ... */
        CU_ASSERT_FALSE(answered);    /* ... but not yet taken up */
        f.may_ack = true;
        meta_subscriber_ack(&f.sub, f.index);
        for (int i = 0; i < 200 && !answered; i++)
                usleep(10000);
        CU_ASSERT(answered);
        CU_ASSERT_EQUAL(t.result.outcome, CONTROLLER_OK);
        host_close(&h);
        file_remove_tree(h.dir);
        meta_image_unref(f.sub.image);
}

static void test_second_process(void)
{
        struct host other = { 0 };

        host_dir(&h, "second");
        snprintf(other.dir, sizeof other.dir, "%s", h.dir);
        CU_ASSERT_EQUAL_FATAL(host_open(&h, (struct quorum_config){ 0 }, why, sizeof why), 0);
        CU_ASSERT_EQUAL(host_open(&other, (struct quorum_config){ 0 }, why, sizeof why), QUORUM_E_REFUSED);
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "another process"));
        host_close(&other);
        host_close(&h);
        file_remove_tree(h.dir);
}

static void test_producer_ids_are_never_repeated(void)
{
        int64_t last = -1;

        host_dir(&h, "ids");
        for (int run = 0; run < 4; run++) {
                struct controller_allocate_ids a = { .broker_id = 1 };
                struct controller_request rq = { .op = CONTROLLER_ALLOCATE_IDS, .allocate_ids = &a };

                CU_ASSERT_EQUAL_FATAL(host_open(&h, (struct quorum_config){ 0 }, why, sizeof why), 0);
                a.broker_epoch = host_add_broker(&h, 1, -1);
                for (int i = 0; i < 5; i++) {
                        CU_ASSERT_EQUAL(host_ask(&h, &rq), CONTROLLER_OK);
                        CU_ASSERT_EQUAL(a.result.outcome, CONTROLLER_OK);
                        CU_ASSERT(a.first > last);
                        last = a.first + a.count - 1;
                }
                a.broker_epoch--;
                CU_ASSERT_EQUAL(host_ask(&h, &rq), CONTROLLER_OK);
                CU_ASSERT_EQUAL(a.result.outcome, CONTROLLER_E_BROKER_EPOCH);
                host_close(&h);
        }
        file_remove_tree(h.dir);
        CU_ASSERT_EQUAL(last, 4 * 5 * 1000 - 1);
}

static void test_ten_thousand_partitions(void)
{
        CLEANUP(meta_image_unrefp) struct meta_image *i = NULL;
        int64_t start;

        host_dir(&h, "many");
        CU_ASSERT_EQUAL_FATAL(host_open(&h, (struct quorum_config){ 0 }, why, sizeof why), 0);
        host_add_broker(&h, 1, -1);
        start = clock_mono_ms();
        CU_ASSERT_EQUAL(host_create_topic(&h, "wide", 10000), CONTROLLER_OK);
        printf("10,000 partitions of one topic in %lld ms; ", (long long)(clock_mono_ms() - start));
        i = controller_image(h.c);
        CU_ASSERT_EQUAL(i->partitions_count, 10000);
        printf("%zu bytes each ", meta_image_bytes(i) / 10000);
        CU_ASSERT(meta_image_bytes(i) / 10000 < 120);
        host_close(&h);
        start = clock_mono_ms();
        CU_ASSERT_EQUAL_FATAL(host_open(&h, (struct quorum_config){ 0 }, why, sizeof why), 0);
        printf("reopened in %lld ms ", (long long)(clock_mono_ms() - start));
        host_close(&h);
        file_remove_tree(h.dir);
}

static const struct unit_case cases[] = {
        { "a topic is created, refused twice, deleted", test_life_of_a_topic },
        { "restarts keep everything, epochs as promised", test_restart_keeps_everything },
        { "an answer waits for subscribers that ack", test_wait_for_subscriber },
        { "a second process is refused", test_second_process },
        { "producer ids are never given twice", test_producer_ids_are_never_repeated },
        { "ten thousand partitions", test_ten_thousand_partitions },
};
UNIT_MAIN("controller", cases)
