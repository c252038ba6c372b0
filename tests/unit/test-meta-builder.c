/* Goal: an image is exactly the fold of its records, whichever way they come: applied one by one, as bytes of entries, or read
 * back from the store; and images that were handed out never change.
 * Method: random operations beside a naive model of arrays; the seed is printed on a failure. */
#include <stdio.h>
#include <unistd.h>

#include "meta/builder.h"
#include "meta/delta.h"
#include "meta/store.h"
#include "sys/file.h"
#include "unit.h"

#define TOPICS 40
#define PARTS 70
#define BROKERS 6
#define ACLS 20

struct model_part {
        int32_t leader, leader_epoch, partition_epoch;
        int isr_count;
};
struct model_topic {
        bool there;
        uint32_t incarnation; /* part of the id */
        int parts_count;
        struct model_part parts[PARTS];
        int config; /* -1: none */
};
struct model {
        struct model_topic topics[TOPICS];
        int64_t brokers[BROKERS]; /* epoch, 0: not there */
        bool fenced[BROKERS];
        int64_t next_id;
        int level;
        bool acls[ACLS];
};

static uint64_t rng_state;

static unsigned rng(unsigned below)
{
        rng_state = rng_state * 6364136223846793005u + 1442695040888963407u;
        return (unsigned)(rng_state >> 33) % below;
}

static struct str topic_name(int t, char buf[16])
{
        snprintf(buf, 16, "topic-%d", t);
        return str_of(buf);
}

static struct uuid topic_id(const struct model *m, int t)
{
        struct uuid u = UUID_ZERO;

        /* Scattered, so that order by id is not order by name. */
        u.b[0] = (uint8_t)(t * 37);
        u.b[1] = (uint8_t)t;
        store_be32(u.b + 4, m->topics[t].incarnation);
        return u;
}

/* One random step of the model as a record. Return: false when nothing fits. */
static bool step_topic(struct model *m, int t, struct meta_record *r, char name[16])
{
        struct model_topic *mt = &m->topics[t];
        static int32_t replicas[] = { 1, 2, 3 };
        static struct uuid dirs[3];
        unsigned what = rng(20);

        if (!mt->there) {
                mt->there = true;
                mt->incarnation++;
                mt->parts_count = 0;
                mt->config = -1;
                meta_record_init(r, META_TOPIC);
                r->topic.name = topic_name(t, name);
                r->topic.topic_id = topic_id(m, t);
        } else if (what == 0) {
                mt->there = false;
                meta_record_init(r, META_TOPIC_REMOVE);
                r->topic_remove.topic_id = topic_id(m, t);
        } else if (what < 4) {
                mt->config = rng(3) ? (int)rng(100) : -1;
                meta_record_init(r, META_CONFIG);
                r->config.resource_type = META_RESOURCE_TOPIC;
                r->config.resource_name = topic_name(t, name);
                r->config.name = STR_LIT("retention.ms");
                if (mt->config >= 0)
                        r->config.value =
                                (struct str){ "0123456789012345678901234567890123456789012345678901234567890123456789"
                                              "012345678901234567890123456789",
                                              (size_t)mt->config };
        } else if (what < 12 && mt->parts_count < PARTS) {
                struct model_part *p = &mt->parts[mt->parts_count];

                *p = (struct model_part){ .leader = 1, .isr_count = 3 };
                meta_record_init(r, META_PARTITION);
                r->partition = (struct rec_partition){ .topic_id = topic_id(m, t),
                                                       .partition = mt->parts_count++,
                                                       .leader = 1,
                                                       .replicas = replicas,
                                                       .replicas_count = 3,
                                                       .isr = replicas,
                                                       .isr_count = 3,
                                                       .directories = dirs,
                                                       .directories_count = 3 };
        } else if (mt->parts_count) {
                int32_t index = (int32_t)rng((unsigned)mt->parts_count);
                struct model_part *p = &mt->parts[index];

                meta_record_init(r, META_PARTITION_CHANGE);
                r->partition_change.topic_id = topic_id(m, t);
                r->partition_change.partition = index;
                p->partition_epoch++;
                if (rng(2)) {
                        p->leader = (int32_t)rng(4) - 1;
                        p->leader_epoch++;
                        r->partition_change.leader = p->leader;
                }
                if (rng(2)) {
                        p->isr_count = (int)rng(4);
                        r->partition_change.isr = replicas;
                        r->partition_change.isr_count = p->isr_count;
                }
        } else {
                return false;
        }
        return true;
}

static bool step_broker(struct model *m, struct meta_record *r, int64_t index)
{
        static struct rec_broker_endpoint endpoint = { { "PLAIN", 5 }, { "host", 4 }, 9092, 0 };
        int b = (int)rng(BROKERS);

        if (!m->brokers[b] || rng(4) == 0) {
                m->brokers[b] = index;
                m->fenced[b] = true;
                meta_record_init(r, META_BROKER);
                r->broker.broker_id = b;
                r->broker.endpoints = &endpoint;
                r->broker.endpoints_count = 1;
        } else if (rng(5) == 0) {
                meta_record_init(r, META_BROKER_REMOVE);
                r->broker_remove.broker_id = b;
                r->broker_remove.epoch = m->brokers[b];
                m->brokers[b] = 0;
        } else {
                m->fenced[b] = rng(2);
                meta_record_init(r, META_BROKER_CHANGE);
                r->broker_change.broker_id = b;
                r->broker_change.epoch = m->brokers[b];
                r->broker_change.fenced = m->fenced[b];
        }
        return true;
}

static struct uuid acl_id(int a)
{
        struct uuid u = UUID_ZERO;

        u.b[0] = (uint8_t)(a * 41);
        u.b[15] = (uint8_t)a;
        return u;
}

static void acl_record(int a, char name[16], struct rec_acl *ret)
{
        ret->id = acl_id(a);
        ret->resource_type = (int8_t)(2 + a % 2);
        ret->pattern_type = (int8_t)(3 + a / 2 % 2);
        ret->resource_name = topic_name(a % ACLS / 4, name);
        ret->principal = STR_LIT("User:alice");
        ret->host = STR_LIT("*");
        ret->operation = 3;
        ret->permission = 3;
}

static bool step_acl(struct model *m, struct meta_record *r, char name[16])
{
        int a = (int)rng(ACLS);

        if (m->acls[a]) {
                meta_record_init(r, META_ACL_REMOVE);
                r->acl_remove.id = acl_id(a);
        } else {
                meta_record_init(r, META_ACL);
                acl_record(a, name, &r->acl);
        }
        m->acls[a] = !m->acls[a];
        return true;
}

static bool acls_match(const struct model *m, const struct meta_image *i)
{
        unsigned count = 0;

        for (int a = 0; a < ACLS; a++) {
                struct uuid id = acl_id(a);
                const struct meta_acl *is = pmap_get(&i->acls_by_id, &id);
                struct rec_acl want;
                char name[16];

                if (!is != !m->acls[a])
                        return false;
                if (!is)
                        continue;
                count++;
                acl_record(a, name, &want);
                if (pmap_get(&i->acls, &is->entry) != is || !str_equal(is->entry.resource_name, want.resource_name) ||
                    is->entry.pattern_type != want.pattern_type || !str_equal(is->entry.host, want.host))
                        return false;
        }
        return count == i->acls.count && count == i->acls_by_id.count && pmap_is_sound(&i->acls);
}

static bool step(struct model *m, struct meta_record *r, char name[16], int64_t index)
{
        unsigned what = rng(100);

        if (what < 10)
                return step_acl(m, r, name);
        if (what < 80)
                return step_topic(m, (int)rng(TOPICS), r, name);
        if (what < 95)
                return step_broker(m, r, index);
        if (what < 98) {
                m->next_id += 1000;
                meta_record_init(r, META_PRODUCER_IDS);
                r->producer_ids.next_producer_id = m->next_id;
        } else {
                m->level = (int)rng(5);
                meta_record_init(r, META_FEATURE);
                r->feature.name = STR_LIT("metadata.version");
                r->feature.level = (int16_t)m->level;
        }
        return true;
}

static bool topic_matches(const struct model *m, const struct meta_image *i, int t)
{
        const struct model_topic *want = &m->topics[t];
        char name[16];
        const struct meta_topic *is = meta_image_topic(i, topic_name(t, name));
        const struct meta_configs *c = meta_image_configs(i, META_RESOURCE_TOPIC, topic_name(t, name));

        if (!want->there)
                return !is && !c;
        if (!is || is != meta_image_topic_by_id(i, topic_id(m, t)) || (int)is->partitions_count != want->parts_count)
                return false;
        if (want->config < 0 ? c != NULL : (int)meta_configs_get(c, STR_LIT("retention.ms")).len != want->config)
                return false;
        for (int32_t k = 0; k < want->parts_count; k++) {
                const struct meta_partition *p = meta_topic_partition(is, k);

                if (!p || p->index != k || p->leader != want->parts[k].leader ||
                    p->leader_epoch != want->parts[k].leader_epoch ||
                    p->partition_epoch != want->parts[k].partition_epoch || p->isr_count != want->parts[k].isr_count ||
                    p->replicas_count != 3)
                        return false;
        }
        return !meta_topic_partition(is, want->parts_count) && !meta_topic_partition(is, -1);
}

static bool matches(const struct model *m, const struct meta_image *i)
{
        unsigned topics = 0;
        int64_t parts = 0;

        for (int t = 0; t < TOPICS; t++) {
                topics += m->topics[t].there;
                parts += m->topics[t].there ? m->topics[t].parts_count : 0;
                if (!topic_matches(m, i, t))
                        return false;
        }
        for (int b = 0; b < BROKERS; b++) {
                const struct meta_broker *is = meta_image_broker(i, b);

                if (!is != !m->brokers[b] || (is && (is->epoch != m->brokers[b] || is->fenced != m->fenced[b])))
                        return false;
        }
        return topics == i->topics_by_name.count && topics == i->topics_by_id.count && parts == i->partitions_count &&
               i->next_producer_id == m->next_id &&
               meta_image_feature_level(i, STR_LIT("metadata.version")) == m->level &&
               pmap_is_sound(&i->topics_by_name) && pmap_is_sound(&i->topics_by_id) && acls_match(m, i);
}

/* What a delta says must be what differs. */
static bool delta_is_right(const struct model *a, const struct model *b, struct meta_image *ia, struct meta_image *ib)
{
        CLEANUP(meta_delta_unrefp) struct meta_delta *d = NULL;
        unsigned created = 0, removed = 0, want_created = 0, want_removed = 0;

        if (meta_delta_new(ia, ib, &d))
                return false;
        for (uint32_t i = 0; i < d->topics_count; i++) {
                created += !d->topics[i].before;
                removed += !d->topics[i].after;
        }
        for (int t = 0; t < TOPICS; t++) {
                bool same = a->topics[t].there && b->topics[t].there &&
                            a->topics[t].incarnation == b->topics[t].incarnation;

                want_created += b->topics[t].there && !same;
                want_removed += a->topics[t].there && !same;
        }
        return created == want_created && removed == want_removed;
}

static void run_seed(uint64_t seed, const char *dir)
{
        CLEANUP(meta_image_unrefp) struct meta_image *image = meta_image_new_empty(), *folded = meta_image_new_empty();
        CLEANUP(meta_image_unrefp) struct meta_image *kept = NULL, *stored = NULL;
        CLEANUP(meta_store_closep) struct meta_store *store = NULL;
        static struct model model, kept_model, before;
        char why[256];
        bool ok = true;

        rng_state = seed;
        memset(&model, 0, sizeof model);
        kept_model = model;
        kept = meta_image_ref(image);
        file_remove_tree(dir);
        ok = !meta_store_open(&(struct meta_store_config){ .dir = dir, .map_len_initial = 32 << 10 }, &store, &stored,
                              why, sizeof why);
        for (int64_t index = 1; index <= 150 && ok; index++) {
                struct meta_batch batch = { 0 };
                struct meta_builder b, from_bytes;
                struct meta_image *next;

                before = model;
                ok &= !meta_builder_init(&b, image);
                for (unsigned n = 1 + rng(20); n && ok; n--) {
                        struct meta_record r;
                        char name[16];

                        if (!step(&model, &r, name, index))
                                continue;
                        ok &= !meta_builder_apply(&b, &r, index) && !meta_batch_add(&batch, &r);
                }
                next = meta_builder_finish(&b, index, 1);
                ok &= delta_is_right(&before, &model, image, next);
                meta_image_unref(image);
                image = next;
                if (batch.count) {
                        ok &= !meta_builder_init(&from_bytes, folded);
                        ok &= !meta_builder_apply_entry(&from_bytes, meta_batch_payload(&batch), index);
                        meta_image_unref(folded);
                        folded = meta_builder_finish(&from_bytes, index, 1);
                }
                meta_batch_fini(&batch);
                ok &= matches(&model, image) && meta_image_equal(image, folded);
                ok &= matches(&kept_model, kept); /* untouched by all that came after */
                if (rng(20) == 0) {
                        meta_image_unref(kept);
                        kept = meta_image_ref(image);
                        kept_model = model;
                }
                if (rng(15) == 0)
                        ok &= !meta_store_commit(store, image);
                if (rng(30) == 0) {
                        int64_t at = meta_store_index(store);

                        ok &= !meta_store_commit(store, image) && meta_store_index(store) >= at;
                        store = meta_store_close(store);
                        stored = meta_image_unref(stored);
                        ok &= !meta_store_open(&(struct meta_store_config){ .dir = dir }, &store, &stored, why,
                                               sizeof why);
                        ok = ok && meta_image_equal(stored, image) && stored->index == index && stored->term == 1;
                }
        }
        if (!ok)
                printf("seed %llu ", (unsigned long long)seed);
        CU_ASSERT(ok);
}

static void test_random(void)
{
        char dir[64];

        snprintf(dir, sizeof dir, "/tmp/chronik-test-fold-%d", (int)getpid());
        for (uint64_t seed = 1; seed <= 12; seed++)
                run_seed(seed, dir);
        file_remove_tree(dir);
}

/* What does not fit is refused and said, and leaves the image it started from alone. */
static void test_conflicts(void)
{
        CLEANUP(meta_image_unrefp) struct meta_image *empty = meta_image_new_empty();
        struct uuid id = { { 1 } };
        struct meta_record r;

#define REFUSED(init, set) \
        do { \
                struct meta_builder b; \
                meta_builder_init(&b, empty); \
                meta_record_init(&r, init); \
                set; \
                CU_ASSERT_EQUAL(meta_builder_apply(&b, &r, 1), META_E_CONFLICT); \
                CU_ASSERT(b.why[0] != 0); \
                meta_builder_fini(&b); \
        } while (0)
        REFUSED(META_TOPIC, r.topic.topic_id = id);
        REFUSED(META_TOPIC_REMOVE, r.topic_remove.topic_id = id);
        REFUSED(META_PARTITION, r.partition.topic_id = id);
        REFUSED(META_PARTITION_CHANGE, r.partition_change.topic_id = id);
        REFUSED(META_CONFIG, r.config.resource_type = 2);
        REFUSED(META_BROKER, r.broker.broker_id = -1);
        REFUSED(META_BROKER_CHANGE, r.broker_change.broker_id = 1);
        REFUSED(META_BROKER_REMOVE, r.broker_remove.broker_id = 1);
        REFUSED(META_PRODUCER_IDS, r.producer_ids.next_producer_id = -1);
        REFUSED(META_FEATURE, r.feature.level = 1);
        REFUSED(META_CLUSTER, r.cluster.cluster_id = STR_LIT(""));
        REFUSED(META_ACL, r.acl.id = id);
        REFUSED(META_ACL_REMOVE, r.acl_remove.id = id);
#undef REFUSED
        CU_ASSERT_EQUAL(empty->topics_by_id.count, 0);
}

/* Unknown kinds and versions are told apart from damage: the remedy differs. */
static void test_frames(void)
{
        static const struct {
                const char *bytes;
                size_t len;
                int want;
        } frames[] = {
                { "", 0, META_E_MALFORMED },
                { "\x00", 1, META_OK },
                { "\x01", 1, META_E_UNKNOWN },
                { "\x00\x00\x0a\x00\x00\x00\x00\x00\x00", 9, META_E_MALFORMED },
                { "\x00\x00\x63\x00\x00\x00\x00\x00\x00", 9, META_E_UNKNOWN },
                { "\x00\x00\x0a\x00\x63\x00\x00\x00\x00", 9, META_E_UNKNOWN },
                { "\x00\x00\x0a\x00\x00\xff\xff\xff\xff", 9, META_E_MALFORMED },
                { "\x00\x00\x0a\x00\x00\x00\x00\x00\x05\x02x\x00\x01\x00", 14, META_OK },
                { "\x00\x00\x0a\x00\x00\x00\x00\x00\x06\x02x\x00\x01\x00\x00", 15,
                  META_E_MALFORMED }, /* a byte too many */
                { "\x00\x00\x0a\x00\x00\x00\x00\x00\x08\x02x\x00\x01\x01\x07\x01\x55", 17,
                  META_OK }, /* a field of later */
        };
        CLEANUP(meta_image_unrefp) struct meta_image *empty = meta_image_new_empty();

        for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
                struct meta_builder b;

                meta_builder_init(&b, empty);
                CU_ASSERT_EQUAL(meta_builder_apply_entry(&b, span_of(frames[i].bytes, frames[i].len), 1),
                                frames[i].want);
                meta_builder_fini(&b);
        }
}

/* 10,000 topics of one partition, and one topic of 10,000. */
static void test_memory(void)
{
        CLEANUP(meta_image_unrefp) struct meta_image *image = meta_image_new_empty();
        struct uuid dir = { { 1 } };
        int32_t replica = 1;
        struct meta_builder b;

        meta_builder_init(&b, image);
        for (int t = 0; t < 10000; t++) {
                struct meta_record r;
                char name[32];

                snprintf(name, sizeof name, "some-topic-name-%d", t);
                meta_record_init(&r, META_TOPIC);
                store_be32(r.topic.topic_id.b, (uint32_t)t * 2654435761u);
                r.topic.name = str_of(name);
                CU_ASSERT_EQUAL_FATAL(meta_builder_apply(&b, &r, 1), 0);
                struct uuid id = r.topic.topic_id;
                meta_record_init(&r, META_PARTITION);
                r.partition = (struct rec_partition){ .topic_id = id,
                                                      .replicas = &replica,
                                                      .replicas_count = 1,
                                                      .isr = &replica,
                                                      .isr_count = 1,
                                                      .directories = &dir,
                                                      .directories_count = 1 };
                CU_ASSERT_EQUAL_FATAL(meta_builder_apply(&b, &r, 1), 0);
        }
        meta_image_unref(image);
        image = meta_builder_finish(&b, 1, 1);
        printf("%zu bytes for a topic of one partition ", meta_image_bytes(image) / 10000);
        CU_ASSERT(meta_image_bytes(image) / 10000 < 400);
}

static const struct unit_case cases[] = {
        { "an image is the fold of its records", test_random },
        { "records that do not fit are refused", test_conflicts },
        { "frames of damage and of the future", test_frames },
        { "memory of many topics", test_memory },
};
UNIT_MAIN("builder", cases)
