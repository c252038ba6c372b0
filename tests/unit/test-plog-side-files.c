/* Goal: nothing that can be made again is ever needed: with any byte of an index, snapshot, checkpoint or epochs file wrong,
 * cut off or gone, and with any of these together, a crashed log opens with every record, producer and epoch.
 * Method: the folder of a log that was killed, kept in memory; each harm on a fresh copy of it. */
#include <stdlib.h>

#include "plog-fixture.h"

enum { BATCHES = 60, FILES_MAX = 40, NAME_SIZE = 64, COMBINATIONS = 400 };

struct kept {
        char name[NAME_SIZE];
        char *data;
        size_t len;
        bool side; /* can be made again */
};

struct scene {
        struct fixture f;
        char crashed[300];
        struct kept files[FILES_MAX]; /* of t-0 */
        size_t count;
};

static bool ends_with(const char *name, const char *suffix)
{
        size_t n = strlen(name), k = strlen(suffix);

        return n >= k && !strcmp(name + n - k, suffix);
}

static int keep_file(void *arg, const char *name)
{
        struct scene *s = arg;
        struct kept *k = &s->files[s->count];
        char path[800];

        CU_ASSERT_FATAL(s->count < FILES_MAX && strlen(name) < NAME_SIZE);
        snprintf(k->name, sizeof k->name, "%s", name);
        snprintf(path, sizeof path, "%s/t-0/%s", s->crashed, name);
        CU_ASSERT_EQUAL_FATAL(file_read_whole(path, 1 << 20, &k->data, &k->len), 0);
        k->side = ends_with(name, ".index") || ends_with(name, ".snapshot") || !strcmp(name, "checkpoint") ||
                  !strcmp(name, "epochs");
        s->count++;
        return 0;
}

static void append_one(struct plog *pl, int i)
{
        struct plog_append_result res;

        CU_ASSERT_EQUAL_FATAL(append_want(pl,
                                          &(struct batch_want){ .count = 2,
                                                                .value_len = 100,
                                                                .fill = (uint8_t)i,
                                                                .producer_id = 7,
                                                                .sequence = i * 2,
                                                                .leader_epoch = i / 25,
                                                                .timestamp = NOW_MS + i * 10 },
                                          &res),
                              0);
}

/* Four segments; the checkpoint lies within the last, with records behind it. */
static void scene_init(struct scene *s)
{
        char folder[400];
        struct plog *pl;

        *s = (struct scene){ 0 };
        fixture_init(&s->f);
        /* In memory where there is such a folder: thousands of copies are made. */
        if (access("/dev/shm", W_OK))
                snprintf(s->crashed, sizeof s->crashed, "%.250s.crash", s->f.dir);
        else
                snprintf(s->crashed, sizeof s->crashed, "/dev/shm/plog-test-%d.crash", (int)getpid());
        s->f.conf.segment_bytes = 5000;
        pl = fixture_open(&s->f, "t-0");
        for (int i = 0; i < BATCHES; i++) {
                if (i == BATCHES - 5) {
                        plog_close(pl);
                        pl = fixture_open(&s->f, "t-0");
                }
                append_one(pl, i);
        }
        wait_durable(pl);
        copy_tree(s->f.dir, s->crashed);
        plog_close(pl);
        snprintf(folder, sizeof folder, "%s/t-0", s->crashed);
        CU_ASSERT_EQUAL(file_list(folder, keep_file, s), 0);
}

static void scene_fini(struct scene *s)
{
        for (size_t k = 0; k < s->count; k++)
                free(s->files[k].data);
        (void)file_remove_tree(s->crashed);
        fixture_fini(&s->f);
}

static void put(const struct scene *s, const struct kept *k, size_t len)
{
        char path[800];
        int fd;

        snprintf(path, sizeof path, "%s/t-0/%s", s->crashed, k->name);
        fd = file_open(path, O_RDWR | O_CREAT | O_TRUNC);
        CU_ASSERT_FATAL(fd >= 0);
        CU_ASSERT_EQUAL_FATAL(file_pwrite_all(fd, k->data, len, 0), 0);
        file_close(fd);
}

/* The folder as the crash left it. */
static void restore(struct scene *s)
{
        char path[800];

        snprintf(path, sizeof path, "%s/t-0", s->crashed);
        (void)file_remove_tree(path);
        CU_ASSERT_EQUAL_FATAL(file_mkdirs(path), 0);
        for (size_t k = 0; k < s->count; k++)
                put(s, &s->files[k], s->files[k].len);
}

static void check_content(struct plog *pl)
{
        struct plog_slice sl;
        int64_t at = 0;
        uint8_t buf[8192];

        while (at < (int64_t)BATCHES * 2) {
                struct plog_read_args args = { .from_offset = at, .below_offset = INT64_MAX, .len_max = 400 };
                struct batch_header h;

                CU_ASSERT_EQUAL_FATAL(plog_read(pl, &args, true, &sl), 0);
                CU_ASSERT_FATAL(sl.len > 0 && sl.len <= sizeof buf);
                CU_ASSERT_EQUAL_FATAL(plog_slice_copy(&sl, buf), 0);
                CU_ASSERT_EQUAL_FATAL(batch_parse_header(span_of(buf, sl.len), &h), 0);
                CU_ASSERT_EQUAL_FATAL(h.base_offset, at);
                CU_ASSERT_EQUAL_FATAL(h.base_sequence, at);
                CU_ASSERT_EQUAL_FATAL(batch_check_crc(span_of(buf, batch_len(&h)), &h), 0);
                plog_slice_release(&sl);
                at += 2;
        }
}

/* Open what was harmed; @twice: what recovery left must do for the next start too. */
static void expect_whole(struct scene *s, bool twice)
{
        struct plog_append_result res = { 0 };
        struct plog_position at;
        struct fixture g;
        struct plog *pl;

        fixture_init_at(&g, s->crashed);
        g.conf.segment_bytes = 5000;
        diag_set_level(0);
        for (int round = 0; round <= twice; round++) {
                pl = fixture_open(&g, "t-0");
                CU_ASSERT_EQUAL(ends_of(pl).start_offset, 0);
                CU_ASSERT_EQUAL(ends_of(pl).durable_end_offset, BATCHES * 2);
                CU_ASSERT_EQUAL(ends_of(pl).end_offset, BATCHES * 2);
                check_content(pl);
                CU_ASSERT_EQUAL(plog_epoch_at(pl, 60), 1);
                CU_ASSERT_EQUAL(plog_latest_epoch(pl), 2);
                CU_ASSERT_EQUAL(plog_find_time(pl, NOW_MS + 200, INT64_MAX, &at), 0);
                CU_ASSERT_EQUAL(at.offset, 40);
                CU_ASSERT_EQUAL(
                        append_want(pl,
                                    &(struct batch_want){ .count = 2, .producer_id = 7, .sequence = (BATCHES - 1) * 2 },
                                    &res),
                        PLOG_E_DUPLICATE);
                CU_ASSERT_EQUAL(res.base_offset, (BATCHES - 1) * 2);
                CU_ASSERT_EQUAL(
                        append_want(pl, &(struct batch_want){ .count = 2, .producer_id = 7, .sequence = 500 }, &res),
                        PLOG_E_OUT_OF_ORDER_SEQUENCE);
                plog_close(pl);
        }
        g.store = plog_store_close(g.store);
        g.pool = iopool_free(g.pool);
}

/* Bytes between the slots of a checkpoint say nothing: few of them are tried. */
static size_t step_of(const struct kept *k, size_t at)
{
        return strcmp(k->name, "checkpoint") != 0 || at % 4096 < 128 ? 1 : 331;
}

static void test_every_byte(void)
{
        struct scene s;

        scene_init(&s);
        for (size_t k = 0; k < s.count; k++) {
                struct kept *f = &s.files[k];

                for (size_t at = 0; f->side && at < f->len; at += step_of(f, at)) {
                        restore(&s);
                        f->data[at] = (char)~f->data[at];
                        put(&s, f, f->len);
                        f->data[at] = (char)~f->data[at];
                        expect_whole(&s, false);
                }
        }
        scene_fini(&s);
}

static void test_every_length(void)
{
        struct scene s;

        scene_init(&s);
        for (size_t k = 0; k < s.count; k++) {
                struct kept *f = &s.files[k];

                for (size_t len = 0; f->side && len < f->len; len += step_of(f, len)) {
                        restore(&s);
                        put(&s, f, len);
                        expect_whole(&s, false);
                }
        }
        scene_fini(&s);
}

/* Harm one file in one of the ways. */
static void harm(struct scene *s, struct kept *f, unsigned way, unsigned chance)
{
        char path[800], *data = f->data;
        size_t len = f->len;
        struct kept bad = *f;

        snprintf(path, sizeof path, "%s/t-0/%s", s->crashed, f->name);
        bad.data = calloc(1, len + 5000);
        CU_ASSERT_PTR_NOT_NULL_FATAL(bad.data);
        memcpy(bad.data, data, len);
        switch (way) {
        case 0: /* gone */
                (void)file_unlink(path);
                break;
        case 1: /* its length is on disk, its pages are not */
                memset(bad.data, 0, len);
                put(s, &bad, len);
                break;
        case 2: /* half a page of it */
                memset(bad.data + len / 2, 0, len - len / 2);
                put(s, &bad, len);
                break;
        case 3: /* zeros behind */
                put(s, &bad, len + 5000);
                break;
        case 4: /* garbage behind */
                memset(bad.data + len, 0xa5, 5000);
                put(s, &bad, len + 5000);
                break;
        default: /* one byte, the last of the first page or some other */
                bad.data[chance % len] ^= (char)(1 << chance % 8);
                put(s, &bad, len);
        }
        free(bad.data);
}

/* Each file in each way, then all of a kind, then any number together. */
static void test_combinations(void)
{
        static const char *const kinds[] = { ".index", ".snapshot", "checkpoint", "epochs", "" };
        struct scene s;

        scene_init(&s);
        for (size_t k = 0; k < s.count; k++)
                for (unsigned way = 0; s.files[k].side && way < 5; way++) {
                        restore(&s);
                        harm(&s, &s.files[k], way, 0);
                        expect_whole(&s, true);
                }
        for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
                for (unsigned way = 0; way < 5; way++) {
                        restore(&s);
                        for (size_t k = 0; k < s.count; k++)
                                if (s.files[k].side && ends_with(s.files[k].name, kinds[i]))
                                        harm(&s, &s.files[k], way, 0);
                        expect_whole(&s, true);
                }
        for (unsigned seed = 0; seed < COMBINATIONS; seed++) {
                srandom(seed);
                restore(&s);
                for (size_t k = 0; k < s.count; k++)
                        if (s.files[k].side && random() % 3 == 0)
                                harm(&s, &s.files[k], (unsigned)random() % 6, (unsigned)random());
                expect_whole(&s, true);
        }
        scene_fini(&s);
}

static const struct unit_case cases[] = {
        { "every byte wrong", test_every_byte },
        { "every length", test_every_length },
        { "gone, zeros, garbage; alone and together", test_combinations },
};
UNIT_MAIN("plog/side-files", cases)
