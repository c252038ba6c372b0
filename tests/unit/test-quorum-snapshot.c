/* Goal: a snapshot gives back the image and the members it was made of, whole or not at all; so does the file of members.
 * Method: an image with every kind of object and several chunks is written, read, sent chunk by chunk; every byte of a small
 * one is turned over, and it is cut at every length. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "meta/builder.h"
#include "quorum/snapshot.h"
#include "quorum/voters.h"
#include "sys/diag.h"
#include "sys/file.h"
#include "unit.h"

static char dir[64], why[300];

static void fresh(const char *name)
{
        diag_set_level(DIAG_WARN);
        snprintf(dir, sizeof dir, "/tmp/chronik-test-snap-%s-%d", name, (int)getpid());
        file_remove_tree(dir);
}

static void add(struct meta_builder *b, const struct meta_record *rec)
{
        CU_ASSERT_EQUAL_FATAL(meta_builder_apply(b, rec, 7), 0);
}

static void add_topic(struct meta_builder *b, int i)
{
        int32_t replicas[] = { 1, 2, 3 };
        struct uuid directories[] = { { { 1 } }, { { 2 } }, { { 3 } } };
        struct meta_record rec;
        char name[32];

        snprintf(name, sizeof name, "topic-%d", i);
        meta_record_init(&rec, META_TOPIC);
        rec.topic.topic_id = (struct uuid){ { 1, (uint8_t)(i >> 8), (uint8_t)i } };
        rec.topic.name = str_of(name);
        add(b, &rec);
        for (int p = 0; p < 3; p++) {
                meta_record_init(&rec, META_PARTITION);
                rec.partition.topic_id = (struct uuid){ { 1, (uint8_t)(i >> 8), (uint8_t)i } };
                rec.partition.partition = p;
                rec.partition.leader = 1 + p;
                rec.partition.replicas = rec.partition.isr = replicas;
                rec.partition.replicas_count = rec.partition.isr_count = 3;
                rec.partition.directories = directories;
                rec.partition.directories_count = 3;
                add(b, &rec);
        }
}

static struct meta_image *image_of(int topics)
{
        CLEANUP(meta_image_unrefp) struct meta_image *empty = meta_image_new_empty();
        struct rec_broker_endpoint endpoint = { STR_LIT("PLAIN"), STR_LIT("host"), 9092, 0 };
        struct meta_builder b;
        struct meta_record rec;

        CU_ASSERT_EQUAL_FATAL(meta_builder_init(&b, empty), 0);
        meta_record_init(&rec, META_CLUSTER);
        rec.cluster.cluster_id = STR_LIT("the-cluster");
        add(&b, &rec);
        meta_record_init(&rec, META_FEATURE);
        rec.feature.name = STR_LIT("metadata.version");
        rec.feature.level = 3;
        add(&b, &rec);
        meta_record_init(&rec, META_BROKER);
        rec.broker.broker_id = 1;
        rec.broker.endpoints = &endpoint;
        rec.broker.endpoints_count = 1;
        add(&b, &rec);
        meta_record_init(&rec, META_PRODUCER_IDS);
        rec.producer_ids.next_producer_id = 4000;
        add(&b, &rec);
        for (int i = 0; i < topics; i++)
                add_topic(&b, i);
        if (topics) {
                meta_record_init(&rec, META_CONFIG);
                rec.config.resource_type = META_RESOURCE_TOPIC;
                rec.config.resource_name = STR_LIT("topic-0");
                rec.config.name = STR_LIT("retention.ms");
                rec.config.value = STR_LIT("1000");
                add(&b, &rec);
        }
        return meta_builder_finish(&b, 1234, 5);
}

static const struct snapshot_voters voters = { 1000, { (const uint8_t *)"who", 3 } };
static const struct snapshot_id id = { 1234, 5 };

static bool loads(const char *from, struct meta_image *want)
{
        CLEANUP(meta_image_unrefp) struct meta_image *got = NULL;
        CLEANUP(freep) uint8_t *mem = NULL;
        struct snapshot_voters v;
        int r = snapshot_load(from, id, &got, &v, &mem, why, sizeof why);

        if (r) {
                printf("%s ", why);
                return false;
        }
        return meta_image_equal(got, want) && got->index == 1234 && got->term == 5 && got->next_producer_id == 4000 &&
               str_equal_c(got->cluster_id, "the-cluster") && v.index == 1000 && span_equal(v.payload, voters.payload);
}

static int count_one(void *arg, struct snapshot_id found, int64_t bytes)
{
        *(int *)arg += snapshot_id_equal(found, id) && bytes > 0;
        return 0;
}

static void test_round_trip(void)
{
        CLEANUP(meta_image_unrefp) struct meta_image *image = image_of(12000);
        static uint8_t chunk[SNAPSHOT_CHUNK_LEN];
        char other[80], path[SNAPSHOT_PATH_SIZE];
        bool is_last = false;
        uint32_t number = 0;
        int64_t bytes;
        int count = 0;

        fresh("trip");
        snprintf(other, sizeof other, "%s/other", dir);
        CU_ASSERT_EQUAL_FATAL(snapshot_write(dir, image, &voters, &bytes), 0);
        CU_ASSERT(bytes > 2 * SNAPSHOT_CHUNK_LEN);
        CU_ASSERT(loads(dir, image));
        /* As another node gets it. */
        while (!is_last) {
                ssize_t n = snapshot_chunk_read(dir, id, number, chunk);

                CU_ASSERT_FATAL(n > 0);
                CU_ASSERT_EQUAL(snapshot_chunk_check(span_of(chunk, (size_t)n), number + 1, &is_last),
                                SNAPSHOT_E_DAMAGED);
                CU_ASSERT_EQUAL_FATAL(snapshot_chunk_check(span_of(chunk, (size_t)n), number, &is_last), 0);
                CU_ASSERT_EQUAL(snapshot_part_write(other, id, number, span_of(chunk, (size_t)n)), 0);
                number++;
        }
        CU_ASSERT_EQUAL(snapshot_chunk_read(dir, id, number, chunk), 0);
        CU_ASSERT_EQUAL(snapshot_part_end(other, id), 0);
        CU_ASSERT(loads(other, image));
        /* What is half there is cleaned up, what is not ours stays. */
        CU_ASSERT_EQUAL(snapshot_part_write(other, (struct snapshot_id){ 9999, 9 }, 0, span_of(chunk, 100)), 0);
        snprintf(path, sizeof path, "%s/notes.txt", other);
        CU_ASSERT_EQUAL(file_replace(path, span_of("x", 1)), 0);
        CU_ASSERT_EQUAL(snapshot_list(other, count_one, &count), 0);
        CU_ASSERT_EQUAL(count, 1);
        snapshot_path(other, (struct snapshot_id){ 9999, 9 }, true, path);
        CU_ASSERT(file_open(path, O_RDONLY) < 0);
        CU_ASSERT_EQUAL(snapshot_remove(other, id), 0);
        CU_ASSERT_EQUAL(snapshot_chunk_read(other, id, 0, chunk), -ENOENT);
        file_remove_tree(dir);
}

static int decode(const uint8_t *bytes, size_t len, struct snapshot_id as)
{
        CLEANUP(meta_image_unrefp) struct meta_image *got = NULL;
        CLEANUP(freep) uint8_t *mem = NULL;
        struct snapshot_voters v;

        return snapshot_decode(span_of(bytes, len), as, &got, &v, &mem, why, sizeof why);
}

static void test_damage(void)
{
        CLEANUP(meta_image_unrefp) struct meta_image *image = image_of(2);
        CLEANUP(freep) char *data = NULL;
        char path[SNAPSHOT_PATH_SIZE];
        int64_t bytes;
        size_t len;

        fresh("damage");
        CU_ASSERT_EQUAL_FATAL(snapshot_write(dir, image, &voters, &bytes), 0);
        snapshot_path(dir, id, false, path);
        CU_ASSERT_EQUAL_FATAL(file_read_whole(path, 1 << 20, &data, &len), 0);
        CU_ASSERT_EQUAL((int64_t)len, bytes);
        CU_ASSERT_EQUAL(decode((uint8_t *)data, len, id), 0);
        for (size_t i = 0; i < len; i++) {
                data[i] ^= 0x20;
                CU_ASSERT(decode((uint8_t *)data, len, id) > 0);
                data[i] ^= 0x20;
                CU_ASSERT(decode((uint8_t *)data, i, id) > 0);
        }
        CU_ASSERT(decode((uint8_t *)data, len, (struct snapshot_id){ 1234, 6 }) > 0);
        CU_ASSERT(decode((uint8_t *)data, len, (struct snapshot_id){ 1233, 5 }) > 0);
        file_remove_tree(dir);
}

static void test_voters(void)
{
        CLEANUP(freep) uint8_t *payload = NULL;
        CLEANUP(freep) char *data = NULL;
        struct voters v = { .count = 2, .expected_count = 1, .expected = { 3 } }, got, next;
        struct raft_members members;
        char path[100];
        int64_t index;
        size_t len, file_len;

        fresh("voters");
        v.at[0] = (struct voters_member){ { { 1, { { 1 } } }, true }, "one:9093" };
        v.at[1] = (struct voters_member){ { { 2, { { 2 } } }, false }, "two:9093" };
        CU_ASSERT_EQUAL_FATAL(voters_encode(&v, &payload, &len), 0);
        for (size_t i = 0; i < len; i++)
                CU_ASSERT(voters_decode(span_of(payload, i), &got) > 0);
        CU_ASSERT_EQUAL_FATAL(voters_decode(span_of(payload, len), &got), 0);
        CU_ASSERT(got.count == 2 && got.at[0].raft.is_voter && !got.at[1].raft.is_voter);
        CU_ASSERT_STRING_EQUAL(got.at[1].address, "two:9093");
        CU_ASSERT(voters_expect(&got, 3) && !voters_expect(&got, 2) && !voters_find(&got, 3));
        /* The third comes: it is not expected any more; the second goes, and its address with it. */
        voters_members(&got, &members);
        members.at[1] = (struct raft_member){ { 3, { { 3 } } }, false };
        voters_next(&got, &members, 3, "three:9093", &next);
        CU_ASSERT(next.count == 2 && next.expected_count == 0 && !voters_find(&next, 2));
        CU_ASSERT_STRING_EQUAL(voters_find(&next, 3)->address, "three:9093");
        CU_ASSERT_STRING_EQUAL(voters_find(&next, 1)->address, "one:9093");
        /* The same node twice. */
        v.at[1].raft.id.node = 1;
        free(TAKE_PTR(payload));
        CU_ASSERT_EQUAL_FATAL(voters_encode(&v, &payload, &len), 0);
        CU_ASSERT(voters_decode(span_of(payload, len), &got) > 0);
        v.at[1].raft.id.node = 2;
        free(TAKE_PTR(payload));
        CU_ASSERT_EQUAL_FATAL(voters_encode(&v, &payload, &len), 0);
        /* The file. */
        CU_ASSERT_EQUAL(file_mkdirs(dir), 0);
        snprintf(path, sizeof path, "%s/voters", dir);
        CU_ASSERT_EQUAL(voters_read(path, &index, &got), VOTERS_E_MISSING);
        CU_ASSERT_EQUAL(voters_write(path, 77, span_of(payload, len)), 0);
        CU_ASSERT_EQUAL_FATAL(voters_read(path, &index, &got), 0);
        CU_ASSERT(index == 77 && got.count == 2);
        CU_ASSERT_EQUAL_FATAL(file_read_whole(path, 1 << 20, &data, &file_len), 0);
        for (size_t i = 0; i < file_len; i++) {
                data[i] ^= 1;
                CU_ASSERT(voters_file_decode(span_of(data, file_len), &index, &got) == VOTERS_E_DAMAGED);
                data[i] ^= 1;
        }
        file_remove_tree(dir);
}

static const struct unit_case cases[] = {
        { "there and back", test_round_trip },
        { "damage", test_damage },
        { "members", test_voters },
};
UNIT_MAIN("quorum-snapshot", cases)
