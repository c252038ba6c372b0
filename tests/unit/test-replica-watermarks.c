/* Goal: watermarks survive a start, are never more than the log holds, and a file that is not right is as none. Method:
 * partitions on a real log, the file saved, read, and spoilt byte by byte. */
#include <errno.h>

#include "replica-scene.h"
#include "replica/watermarks.h"

static void test_save_and_load(void)
{
        struct partition_table *t;
        struct watermarks *w;
        struct scene s;
        char path[500];
        char *bytes;
        size_t len;

        scene_init(&s);
        snprintf(path, sizeof path, "%s/high-watermarks", s.f.dir);
        CU_ASSERT_EQUAL_FATAL(partition_table_new(&t), 0);
        CU_ASSERT_EQUAL_FATAL(watermarks_load(path, &w), 0); /* there is none */
        CU_ASSERT_EQUAL(watermarks_count(w), 0);
        CU_ASSERT_EQUAL(watermarks_find(w, topic_id, 0), 0);
        watermarks_free(w);
        CU_ASSERT_EQUAL(watermarks_save(path, t), 0);
        CU_ASSERT_EQUAL_FATAL(watermarks_load(path, &w), 0);
        CU_ASSERT_EQUAL(watermarks_count(w), 0);
        watermarks_free(w);
        append_two(s.p);
        append_two(s.p);
        wait_durable(s.log);
        for (int i = 0; i < 5000; i++) { /* the partition hears of it a moment later */
                struct partition_view view;

                partition_view(s.p, &view);
                if (view.high_watermark == 4)
                        break;
                usleep(1000);
        }
        CU_ASSERT_EQUAL(partition_table_put(t, partition_ref(s.p)), 0);
        CU_ASSERT_EQUAL(watermarks_save(path, t), 0);
        CU_ASSERT_EQUAL_FATAL(watermarks_load(path, &w), 0);
        CU_ASSERT_EQUAL(watermarks_count(w), 1);
        CU_ASSERT_EQUAL(watermarks_find(w, topic_id, 0), 4);
        CU_ASSERT_EQUAL(watermarks_find(w, topic_id, 1), 0);
        CU_ASSERT_EQUAL(watermarks_find(NULL, topic_id, 0), 0);
        watermarks_free(w);
        /* One byte less, and any byte changed: as if there was none. */
        CU_ASSERT_EQUAL_FATAL(file_read_whole(path, 1000, &bytes, &len), 0);
        CU_ASSERT_EQUAL(len, 48);
        CU_ASSERT_EQUAL(watermarks_decode(span_of(bytes, len - 1), &w), -EUCLEAN);
        CU_ASSERT_EQUAL(watermarks_decode(span_of(bytes, 15), &w), -EUCLEAN);
        for (size_t i = 0; i < len; i++) {
                bytes[i] ^= 1;
                CU_ASSERT_EQUAL(watermarks_decode(span_of(bytes, len), &w), -EUCLEAN);
                CU_ASSERT_EQUAL(file_replace(path, span_of(bytes, len)), 0);
                CU_ASSERT_EQUAL_FATAL(watermarks_load(path, &w), 0);
                CU_ASSERT_EQUAL(watermarks_count(w), 0);
                watermarks_free(w);
                bytes[i] ^= 1;
        }
        free(bytes);
        partition_unref(partition_table_take(t, topic_id, 0));
        partition_table_free(t);
        scene_fini(&s);
}

/* What was remembered is shown to readers at once, as far as the log reaches. */
static void test_opened_with(void)
{
        static const struct {
                int64_t remembered, shown;
        } t[] = { { 0, 0 }, { 3, 3 }, { 4, 4 }, { 99, 4 } };
        struct partition_conf conf = conf_durable();
        struct scene s;

        scene_init(&s);
        append_two(s.p);
        append_two(s.p);
        wait_durable(s.log);
        for (unsigned i = 0; i < ARRAY_LEN(t); i++) {
                struct partition_open_args args = { .topic_name = "t",
                                                    .topic_id = topic_id,
                                                    .leader_epoch = -1,
                                                    .high_watermark = t[i].remembered,
                                                    .log = plog_ref(s.log),
                                                    .conf = conf };
                struct partition *p;

                CU_ASSERT_EQUAL_FATAL(partition_new(&args, &p), 0);
                CU_ASSERT_EQUAL(view_of(p).high_watermark, t[i].shown);
                say(p, 0, 9 + (int32_t)i, 1, 3, 1); /* leads, below the minimum in sync */
                conf.min_insync_replicas = 2;
                partition_set_conf(p, &conf);
                CU_ASSERT(view_of(p).high_watermark >= t[i].shown);
                partition_close(p);
                partition_unref(p);
        }
        scene_fini(&s);
}

static const struct unit_case cases[] = {
        { "saved and loaded", test_save_and_load },
        { "opened with", test_opened_with },
};
UNIT_MAIN("replica/watermarks", cases)
