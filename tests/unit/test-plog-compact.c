/* Goal: compaction keeps the newest record of every key at its offset, takes the others, and survives any crash. Method:
 * stories with the expected records beside them; a seeded random log against a list in memory; a copy of the folder before
 * every step on the disk, opened as after a crash. A failure of the random test prints its seed. */
#include <errno.h>

#include "plog-compact.h"
#include "plog/keymap.h"

/* ---- stories ---- */

static void test_story(void)
{
        struct plog_compact_result res;
        struct plog_dirt dirt;
        struct found *found;
        struct fixture f;
        struct plog *pl = compact_open(&f);

        for (int i = 0; i < 40; i++)
                put_one(pl, i % 4, i);
        wait_durable(pl);
        CU_ASSERT_EQUAL(plog_dirt(pl, NOW_MS, model.end, &dirt), 0);
        CU_ASSERT_EQUAL(dirt.clean_bytes, 0);
        CU_ASSERT(dirt.dirty_bytes > 5000);
        CU_ASSERT_EQUAL(dirt.oldest_ms, NOW_MS);
        res = compact(pl);
        CU_ASSERT_EQUAL(res.keys, 4);
        CU_ASSERT(res.cleaned_offset > 30 && res.cleaned_offset < 40);
        found = find_all(pl);
        check_compacted(found, res.cleaned_offset, true);
        CU_ASSERT_EQUAL(found->count, 4 + (int)(40 - res.cleaned_offset));
        CU_ASSERT_EQUAL(ends_of(pl).end_offset, 40);
        CU_ASSERT_EQUAL(ends_of(pl).start_offset, 0);
        /* Nothing new: nothing to do. */
        CU_ASSERT_EQUAL(plog_dirt(pl, NOW_MS, model.end, &dirt), 0);
        CU_ASSERT_EQUAL(dirt.dirty_bytes, 0);
        CU_ASSERT_EQUAL(compact(pl).keys, 0);
        /* It is known after a restart. */
        plog_close(pl);
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL(plog_dirt(pl, NOW_MS, model.end, &dirt), 0);
        CU_ASSERT_EQUAL(dirt.dirty_bytes, 0);
        check_compacted(find_all(pl), res.cleaned_offset, true);
        plog_close(pl);
        fixture_fini(&f);
}

static void test_tombstones(void)
{
        struct fixture f;
        struct plog *pl = compact_open(&f);

        for (int i = 0; i < 10; i++)
                put_one(pl, i, i);
        put_one(pl, 3, -1);
        for (int i = 0; i < 10; i++)
                put_one(pl, 100 + i, i);
        wait_durable(pl);
        compact(pl);
        CU_ASSERT_FALSE(find_all(pl)->there[3]);
        CU_ASSERT(find_all(pl)->there[10]);
        /* Another compaction before the horizon keeps it, one behind it does not. */
        for (int round = 0; round < 2; round++) {
                for (int i = 0; i < 10; i++)
                        put_one(pl, 200 + i, i);
                wait_durable(pl);
                compact_with(pl, 1 << 20, NOW_MS + (round ? 1000 : 999), 1 << 20);
                CU_ASSERT_EQUAL(find_all(pl)->there[10], !round);
        }
        CU_ASSERT(find_all(pl)->there[11]);
        plog_close(pl);
        fixture_fini(&f);
}

/* @later batches of the producer come behind what is compacted, and are cut off: what is left tells of the one before them. */
static void check_producer_cut(int later)
{
        struct plog_append_result res;
        struct fixture f;
        struct plog *pl = compact_open(&f);
        int64_t end;

        for (int i = 0; i < 7; i++)
                append_puts(pl, &(struct put){ 1, 1 }, 1, 0, 77, i);
        for (int i = 0; i < 30; i++)
                put_one(pl, 1, i);
        end = model.end;
        for (int i = 0; i < later; i++)
                append_puts(pl, &(struct put){ 1, 1 }, 1, 0, 77, 7 + i);
        wait_durable(pl);
        compact_as(pl, &(struct plog_compact_args){ .now_ms = NOW_MS, .below_offset = end, .map_bytes_max = 1 << 20 },
                   1 << 20);
        CU_ASSERT_EQUAL(plog_truncate(pl, end), 0);
        plog_close(pl);
        remove_files(&f, "snapshot");
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL(append_want(pl, &(struct batch_want){ .producer_id = 77, .sequence = 9 }, &res),
                        PLOG_E_OUT_OF_ORDER_SEQUENCE);
        CU_ASSERT_EQUAL(append_want(pl, &(struct batch_want){ .producer_id = 77, .sequence = 7 }, &res), 0);
        plog_close(pl);
        fixture_fini(&f);
}

/* What is in flight when a log is compacted may be cut off afterwards: one batch, and as many as are remembered. */
static void test_producers_cut(void)
{
        check_producer_cut(1);
        check_producer_cut(5);
}

/* A producer's last batches stay without their records, so that its next sequence is known even when only batches tell. */
static void test_producers(void)
{
        struct plog_append_result res;
        struct found *found;
        struct fixture f;
        struct plog *pl = compact_open(&f);
        int64_t first = model.end;

        append_puts(pl, &(struct put){ 1, 1 }, 1, 0, 77, 0);
        append_puts(pl, &(struct put){ 1, 2 }, 1, 0, 77, 1);
        for (int i = 0; i < 30; i++)
                put_one(pl, 1, i);
        wait_durable(pl);
        compact(pl);
        found = find_all(pl);
        CU_ASSERT_FALSE(found->there[first]);
        CU_ASSERT_FALSE(found->there[first + 1]);
        CU_ASSERT(found->empty_batches >= 1);
        plog_close(pl);
        remove_files(&f, "snapshot");
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL(append_want(pl, &(struct batch_want){ .producer_id = 77, .sequence = 5 }, &res),
                        PLOG_E_OUT_OF_ORDER_SEQUENCE);
        for (int i = 0; i < 2; i++) { /* the one before it, too: it may be sent again */
                CU_ASSERT_EQUAL(append_want(pl, &(struct batch_want){ .producer_id = 77, .sequence = i }, &res),
                                PLOG_E_DUPLICATE);
                CU_ASSERT_EQUAL(res.base_offset, first + i);
        }
        plog_close(pl);
        fixture_fini(&f);
}
static void test_lag(void)
{
        struct fixture f;
        struct plog *pl;
        struct plog_dirt dirt;

        pl = compact_open(&f);
        f.conf.min_compaction_lag_ms = 60;
        plog_set_conf(pl, &f.conf);
        for (int i = 0; i < 100; i++) /* one in a millisecond */
                put_one(pl, 0, i);
        wait_durable(pl);
        compact_with(pl, 1 << 20, NOW_MS + 99, 1 << 20);
        for (int i = 39; i < 100; i++)
                CU_ASSERT_FATAL(find_all(pl)->there[i]);
        CU_ASSERT_FALSE(find_all(pl)->there[20]);
        /* What is not below the high watermark is left alone too. */
        CU_ASSERT_EQUAL(plog_dirt(pl, NOW_MS + 1000, 30, &dirt), 0);
        CU_ASSERT_EQUAL(dirt.dirty_bytes, 0);
        plog_close(pl);
        fixture_fini(&f);
}

/* A reader that began before the swap reads on as if nothing had happened. */
static void test_reader(void)
{
        struct plog_slice s;
        struct fixture f;
        struct plog *pl = compact_open(&f);
        char *before, *after;

        for (int i = 0; i < 40; i++)
                put_one(pl, i % 2, i);
        wait_durable(pl);
        CU_ASSERT_EQUAL_FATAL(
                plog_read(pl, &(struct plog_read_args){ .from_offset = 0, .below_offset = 40, .len_max = 1 << 20 },
                          true, &s),
                0);
        before = malloc(s.len);
        after = malloc(s.len);
        CU_ASSERT_EQUAL(plog_slice_copy(&s, before), 0);
        compact(pl);
        CU_ASSERT_EQUAL(plog_slice_copy(&s, after), 0);
        CU_ASSERT_EQUAL(memcmp(before, after, s.len), 0);
        plog_slice_release(&s);
        free(before);
        free(after);
        plog_close(pl);
        fixture_fini(&f);
}

static void test_changed_meanwhile(void)
{
        struct plog_compact_args args = { .now_ms = NOW_MS, .map_bytes_max = 1 << 20 };
        struct plog_compaction *c;
        struct fixture f;
        struct plog *pl = compact_open(&f);
        int64_t start;
        int r;

        for (int i = 0; i < 40; i++)
                put_one(pl, i % 2, i);
        wait_durable(pl);
        args.below_offset = 40;
        CU_ASSERT_EQUAL_FATAL(plog_compact_begin(pl, &args, &c), 0);
        CU_ASSERT_EQUAL(plog_compact_step(c, 1), 1);
        CU_ASSERT_EQUAL(plog_delete_records(pl, 12, &start), 0);
        CU_ASSERT(plog_retain(pl, &(struct plog_retain_args){ .now_ms = NOW_MS, .below_offset = 40 }) > 0);
        while ((r = plog_compact_step(c, 1 << 20)) == 1)
                ;
        CU_ASSERT_EQUAL(r, PLOG_E_NOT_FOUND);
        plog_compact_end(c);
        compact(pl);
        CU_ASSERT(find_all(pl)->there[39]);
        CU_ASSERT_EQUAL_FATAL(plog_compact_begin(pl, &args, &c), PLOG_E_NOT_FOUND);
        plog_close(pl);
        fixture_fini(&f);
}

static void test_damage(void)
{
        struct plog_compact_args args = { .now_ms = NOW_MS, .below_offset = 40, .map_bytes_max = 1 << 20 };
        struct plog_compaction *c;
        struct fixture f;
        struct plog *pl = compact_open(&f);
        char path[500];
        int fd, r;

        for (int i = 0; i < 40; i++)
                put_one(pl, i % 2, i);
        wait_durable(pl);
        snprintf(path, sizeof path, "%s/t-0/%020d.log", f.dir, 0);
        fd = file_open(path, O_RDWR);
        CU_ASSERT_EQUAL(file_pwrite_all(fd, "\xff", 1, 100), 0);
        file_close(fd);
        diag_set_level(0);
        CU_ASSERT_EQUAL_FATAL(plog_compact_begin(pl, &args, &c), 0);
        while ((r = plog_compact_step(c, 1 << 20)) == 1)
                ;
        CU_ASSERT_EQUAL(r, PLOG_E_DAMAGED);
        plog_compact_end(c);
        CU_ASSERT_EQUAL(ends_of(pl).end_offset, 40);
        plog_close(pl);
        fixture_fini(&f);
}

/* ---- a crash before every step on the disk ---- */

static struct {
        const char *from; /* NULL: off */
        char to[400];
        int count;
} crash;

static void crash_here(void)
{
        char to[450];

        if (!crash.from)
                return;
        snprintf(to, sizeof to, "%s/%d", crash.to, crash.count++);
        copy_tree(crash.from, to);
}

int __real_file_rename(const char *from, const char *to);
int __wrap_file_rename(const char *from, const char *to);
int __wrap_file_rename(const char *from, const char *to)
{
        crash_here();
        return __real_file_rename(from, to);
}

int __real_file_unlink(const char *path);
int __wrap_file_unlink(const char *path);
int __wrap_file_unlink(const char *path)
{
        crash_here();
        return __real_file_unlink(path);
}

int __real_file_replace(const char *path, struct span content);
int __wrap_file_replace(const char *path, struct span content);
int __wrap_file_replace(const char *path, struct span content)
{
        crash_here();
        return __real_file_replace(path, content);
}

int __real_file_sync_dir(const char *dir);
int __wrap_file_sync_dir(const char *dir);
int __wrap_file_sync_dir(const char *dir)
{
        crash_here();
        return __real_file_sync_dir(dir);
}

static void test_crash(void)
{
        struct fixture f;
        struct plog *pl = compact_open(&f);
        char dir[] = "/tmp/plog-crash-XXXXXX";
        struct writer w = { .id = 9, .txn_first = -1 };
        int steps, copies = 0;

        f.conf.segment_bytes = 1500;
        for (int i = 0; i < 26; i++) {
                put_one(pl, i % 7 ? i % 5 : 1000 + i, i);
                if (i % 5 == 2)
                        append_txn(pl, &w, &(struct put){ i % 4, i }, 1, 0);
                if (i % 10 == 9)
                        append_end(pl, &w, i % 20 == 9);
        }
        wait_durable(pl);
        CU_ASSERT_EQUAL(plog_retain(pl, &(struct plog_retain_args){ .now_ms = NOW_MS, .below_offset = 0 }),
                        0); /* waits for the checkpoint that a flush makes at its end */
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
        snprintf(crash.to, sizeof crash.to, "%s", dir);
        crash.count = 0;
        crash.from = f.dir;
        compact(pl);
        crash.from = NULL;
        steps = crash.count;
        CU_ASSERT(steps > 12);
        for (int i = 0; i < steps; i++) {
                struct fixture g;
                struct plog *copy;
                int64_t cleaned;
                char at[450];

                snprintf(at, sizeof at, "%s/%d", dir, i);
                fixture_init_at(&g, at);
                g.conf = f.conf;
                copy = fixture_open(&g, "t-0");
                CU_ASSERT_EQUAL_FATAL(ends_of(copy).end_offset, model.end);
                check_compacted(find_all(copy), 0, true);
                check_aborted(copy, find_all(copy));
                wait_durable(copy);
                cleaned = compact(copy).cleaned_offset;
                check_compacted(find_all(copy), cleaned, true);
                check_aborted(copy, find_all(copy));
                check_files(&g);
                plog_close(copy);
                fixture_fini(&g);
                copies++;
        }
        CU_ASSERT_EQUAL(copies, steps);
        (void)file_remove_tree(dir);
        plog_close(pl);
        fixture_fini(&f);
}

/* ---- random ---- */

static uint64_t rng;

static uint32_t pick(uint32_t below)
{
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        return (uint32_t)(rng >> 33) % below;
}

static void random_txn(struct plog *pl, struct writer *writers, const struct put *puts, int count, int codec)
{
        struct writer *w = &writers[pick(WRITERS)];

        if (pick(3))
                append_txn(pl, w, puts, count, codec);
        else
                append_end(pl, w, pick(2));
}

static void random_append(struct plog *pl, int32_t *sequence, struct writer *writers)
{
        static const int codecs[] = { CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD };
        int count = 1 + (int)pick(6);
        struct put puts[6];
        bool producer = !pick(3);

        if (model.end + count + WRITERS > RECORDS_MAX)
                return;
        for (int i = 0; i < count; i++)
                puts[i] = (struct put){ (int)(pick(4) ? pick(30) : pick(3000)), pick(8) ? (int)pick(100000) : -1 };
        if (!pick(3)) {
                random_txn(pl, writers, puts, count, codecs[pick(5)]);
                return;
        }
        append_puts(pl, puts, count, codecs[pick(5)], producer ? 5 : 0, *sequence);
        if (producer)
                *sequence += count;
}

static void run_seed(uint64_t seed)
{
        struct writer writers[WRITERS];
        struct plog_compact_result res;
        struct fixture f;
        struct plog *pl;
        bool forever = seed % 2; /* tombstones and markers stay */
        int32_t sequence = 0;
        int64_t cleaned = 0;

        rng = seed;
        pl = compact_open(&f);
        for (int i = 0; i < WRITERS; i++)
                writers[i] = (struct writer){ .id = 11 + i, .txn_first = -1 };
        f.conf.delete_retention_ms = forever ? INT64_MAX : 5;
        f.conf.segment_bytes = 2000 + pick(6000);
        plog_set_conf(pl, &f.conf);
        for (int step = 0; step < 150; step++) {
                for (unsigned n = pick(12); n > 0; n--)
                        random_append(pl, &sequence, writers);
                if (!pick(20)) /* else nothing is stable for long */
                        for (int i = 0; i < WRITERS; i++)
                                append_end(pl, &writers[i], pick(2));
                if (pick(4))
                        continue;
                wait_durable(pl);
                res = compact_with(pl, pick(2) ? 1 << 20 : 256 * 24, NOW_MS + step, 1 + pick(20000));
                cleaned = MAX2(cleaned, res.cleaned_offset);
                if (!pick(3)) {
                        plog_close(pl);
                        check_files(&f);
                        if (pick(2))
                                remove_files(&f, "index");
                        if (!pick(3))
                                remove_files(&f, "txn");
                        if (!pick(3))
                                remove_files(&f, "snapshot");
                        diag_set_level(0);
                        pl = fixture_open(&f, "t-0");
                }
                CU_ASSERT_EQUAL_FATAL(ends_of(pl).end_offset, model.end);
                check_compacted(find_all(pl), cleaned, forever);
                check_aborted(pl, find_all(pl));
        }
        plog_close(pl);
        fixture_fini(&f);
}

static void test_random(void)
{
        const char *env = getenv("COMPACT_SEED");
        uint64_t first = env ? strtoull(env, NULL, 0) : 1, count = env ? 1 : 4;

        for (uint64_t seed = first; seed < first + count; seed++) {
                unsigned failed = CU_get_number_of_failures();

                fprintf(stderr, "seed %llu ", (unsigned long long)seed);
                run_seed(seed);
                if (CU_get_number_of_failures() != failed)
                        fprintf(stderr, "FAILED: again with COMPACT_SEED=%llu\n", (unsigned long long)seed);
        }
}

/* ---- keys ---- */

static void test_keymap(void)
{
        struct keymap m;
        char key[KEY_SIZE];
        int i, r = 0;

        CU_ASSERT_EQUAL_FATAL(keymap_init(&m, 4096 * 24), 0);
        CU_ASSERT_EQUAL(keymap_get(&m, span_of("", 0)), -1);
        CU_ASSERT_EQUAL(keymap_put(&m, span_of("", 0), 0), 0);
        CU_ASSERT_EQUAL(keymap_get(&m, span_of("", 0)), 0);
        for (i = 1; !r; i++) {
                key_format(i, key);
                r = keymap_put(&m, span_of(key, strlen(key)), i);
        }
        CU_ASSERT_EQUAL(r, KEYMAP_FULL);
        CU_ASSERT_EQUAL(i - 1, 3072);
        for (int k = 1; k < i - 1; k++) {
                key_format(k, key);
                CU_ASSERT_EQUAL_FATAL(keymap_get(&m, span_of(key, strlen(key))), k);
                CU_ASSERT_EQUAL_FATAL(keymap_put(&m, span_of(key, strlen(key)), k + 10000),
                                      0); /* known ones fit always */
                CU_ASSERT_EQUAL_FATAL(keymap_get(&m, span_of(key, strlen(key))), k + 10000);
        }
        key_format(i - 1, key);
        CU_ASSERT_EQUAL(keymap_get(&m, span_of(key, strlen(key))), -1);
        keymap_fini(&m);
}

static const struct unit_case cases[] = {
        { "the newest offset of each key", test_keymap },
        { "a story of four keys", test_story },
        { "tombstones", test_tombstones },
        { "producers stay known", test_producers },
        { "producers stay known when what came later is cut off", test_producers_cut },
        { "what is young or not replicated stays", test_lag },
        { "a reader holds what it began with", test_reader },
        { "the log changes meanwhile", test_changed_meanwhile },
        { "damage stops it", test_damage },
        { "a crash before every step", test_crash },
        { "random logs", test_random },
};
UNIT_MAIN("plog/compact", cases)
