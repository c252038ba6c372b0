/* Goal: whatever a crash or a bad disk leaves, opening gives a prefix of what was appended that holds everything that was
 * durable, and what is damaged below that is said, not cut. Method: copies of a live log's folder, changed by hand. */
#include "plog-fixture.h"

enum { BATCHES = 40, BATCH_RECORDS = 2 };

struct scene {
        struct fixture f;
        char crashed[300];        /* data folder as the crash left it */
        int64_t pos[BATCHES + 1]; /* of each batch in the only segment */
};

static void segment_path(const char *data, int64_t base, const char *suffix, char path[600])
{
        snprintf(path, 600, "%s/t-0/%020lld%s", data, (long long)base, suffix);
}

/* A log of BATCHES batches in one segment that was never closed. @checkpoint_at: so many of them are below a checkpoint. */
static void scene_init(struct scene *s, int checkpoint_at)
{
        struct plog *pl;

        fixture_init(&s->f);
        /* In memory where there is such a folder: hundreds of copies are made. */
        if (access("/dev/shm", W_OK))
                snprintf(s->crashed, sizeof s->crashed, "%.250s.crash", s->f.dir);
        else
                snprintf(s->crashed, sizeof s->crashed, "/dev/shm/plog-test-%d.crash", (int)getpid());
        pl = fixture_open(&s->f, "t-0");
        for (int i = 0; i < BATCHES; i++) {
                if (checkpoint_at && i == checkpoint_at) {
                        plog_close(pl);
                        pl = fixture_open(&s->f, "t-0");
                }
                s->pos[i] = ends_of(pl).size_bytes;
                append_simple(pl, BATCH_RECORDS, 30 + (size_t)i, (uint8_t)i);
        }
        s->pos[BATCHES] = ends_of(pl).size_bytes;
        wait_durable(pl);
        copy_tree(s->f.dir, s->crashed);
        plog_close(pl);
}

static void scene_fini(struct scene *s)
{
        (void)file_remove_tree(s->crashed);
        fixture_fini(&s->f);
}

/* Open the crashed folder as a second node's; its log must hold exactly @batches and go on. */
static void expect_batches(struct scene *s, int batches)
{
        struct fixture g;
        struct plog *pl;
        int64_t next;

        fixture_init_at(&g, s->crashed);
        diag_set_level(0);
        CU_ASSERT(!plog_store_was_clean(g.store));
        pl = fixture_open(&g, "t-0");
        CU_ASSERT_EQUAL(ends_of(pl).end_offset, batches * BATCH_RECORDS);
        CU_ASSERT_EQUAL(ends_of(pl).durable_end_offset, batches * BATCH_RECORDS);
        CU_ASSERT_EQUAL(read_all(pl, 0, 4000, &next), batches * BATCH_RECORDS);
        CU_ASSERT_EQUAL(append_simple(pl, 1, 10, 'z'), batches * BATCH_RECORDS);
        CU_ASSERT_EQUAL(read_all(pl, 0, 4000, &next), batches * BATCH_RECORDS + 1);
        plog_close(pl);
        /* What was recovered is right for the next start too. */
        pl = fixture_open(&g, "t-0");
        CU_ASSERT_EQUAL(read_all(pl, 0, 4000, &next), batches * BATCH_RECORDS + 1);
        plog_close(pl);
        g.store = plog_store_close(g.store);
        g.pool = iopool_free(g.pool);
}

/* Change the crashed folder's segment: @len bytes at @pos become @byte (-1: inverted), or it ends at @pos (len 0). */
static void harm(struct scene *s, int64_t pos, int64_t len, int byte)
{
        char path[600], c;
        int fd;

        copy_tree(s->f.dir, s->crashed); /* closed by now: put the crash back by dropping what closing wrote */
        segment_path(s->crashed, 0, ".log", path);
        fd = file_open(path, O_RDWR);
        CU_ASSERT_FATAL(fd >= 0);
        if (!len)
                CU_ASSERT_EQUAL_FATAL(file_truncate(fd, pos), 0);
        for (int64_t i = 0; i < len; i++) {
                c = (char)byte;
                if (byte < 0) {
                        (void)file_pread(fd, &c, 1, pos + i);
                        c = (char)~c;
                }
                CU_ASSERT_EQUAL_FATAL(file_pwrite_all(fd, &c, 1, pos + i), 0);
        }
        file_close(fd);
}

static void drop(struct scene *s, const char *name)
{
        char path[600];

        snprintf(path, sizeof path, "%s/%s", s->crashed, name);
        (void)file_unlink(path);
}

static void uncheckpoint(struct scene *s)
{
        drop(s, "clean");
        drop(s, "t-0/checkpoint");
}

static void test_torn_at_every_byte(void)
{
        struct scene s;

        scene_init(&s, 0);
        for (int64_t end = s.pos[BATCHES - 2]; end <= s.pos[BATCHES]; end++) {
                harm(&s, end, 0, 0);
                uncheckpoint(&s);
                expect_batches(&s, end == s.pos[BATCHES]       ? BATCHES
                                   : end >= s.pos[BATCHES - 1] ? BATCHES - 1
                                                               : BATCHES - 2);
        }
        scene_fini(&s);
}

static void test_every_byte_changed(void)
{
        struct scene s;

        scene_init(&s, 0);
        for (int64_t at = s.pos[BATCHES - 1]; at < s.pos[BATCHES]; at++) {
                int64_t in = at - s.pos[BATCHES - 1];

                /* The leader epoch, and a higher base offset, are not covered by the CRC and cannot be told. */
                if (in < 8 || (in >= BATCH_LEADER_EPOCH_AT && in < BATCH_MAGIC_AT))
                        continue;
                harm(&s, at, 1, -1);
                uncheckpoint(&s);
                expect_batches(&s, BATCHES - 1);
        }
        scene_fini(&s);
}

static void test_zeros_and_garbage(void)
{
        struct scene s;

        scene_init(&s, 0);
        harm(&s, s.pos[BATCHES], 10000, 0);
        uncheckpoint(&s);
        expect_batches(&s, BATCHES);
        harm(&s, s.pos[BATCHES], 5000, 0xa5);
        uncheckpoint(&s);
        expect_batches(&s, BATCHES);
        harm(&s, s.pos[BATCHES - 3], s.pos[BATCHES] - s.pos[BATCHES - 3], 0);
        uncheckpoint(&s);
        expect_batches(&s, BATCHES - 3);
        /* A page that never reached the disk, and good ones behind it: what follows has no place any more. */
        harm(&s, s.pos[BATCHES - 3], s.pos[BATCHES - 2] - s.pos[BATCHES - 3], 0);
        uncheckpoint(&s);
        expect_batches(&s, BATCHES - 3);
        harm(&s, 0, s.pos[BATCHES], 0); /* nothing is whole */
        uncheckpoint(&s);
        expect_batches(&s, 0);
        scene_fini(&s);
}

/* The live folder was copied before closing: the checkpoint in it covers @CUT batches. */
static void test_below_checkpoint_is_not_cut(void)
{
        enum { CUT = 20 };
        struct plog_slice sl;
        struct fixture g;
        struct scene s;
        struct plog *pl;
        char path[600];
        int64_t next;
        int fd;

        scene_init(&s, CUT);
        segment_path(s.crashed, 0, ".log", path);
        fd = file_open(path, O_RDWR);
        CU_ASSERT_EQUAL_FATAL(file_truncate(fd, s.pos[CUT - 5] + 7), 0);
        file_close(fd);
        fixture_init_at(&g, s.crashed);
        diag_set_level(0);
        for (int round = 0; round < 2; round++) {
                pl = fixture_open(&g, "t-0");
                CU_ASSERT_EQUAL(ends_of(pl).end_offset, CUT * BATCH_RECORDS + round);
                CU_ASSERT_EQUAL(plog_read(pl,
                                          &(struct plog_read_args){ .from_offset = (CUT - 5) * BATCH_RECORDS,
                                                                    .below_offset = INT64_MAX,
                                                                    .len_max = 1000 },
                                          true, &sl),
                                PLOG_E_DAMAGED);
                CU_ASSERT_EQUAL(plog_read(pl,
                                          &(struct plog_read_args){
                                                  .from_offset = 0, .below_offset = INT64_MAX, .len_max = 1 << 20 },
                                          true, &sl),
                                0);
                CU_ASSERT_EQUAL(sl.next_offset, (CUT - 5) * BATCH_RECORDS);
                plog_slice_release(&sl);
                CU_ASSERT_EQUAL(append_simple(pl, 1, 10, 'z'), CUT * BATCH_RECORDS + round);
                CU_ASSERT_EQUAL(read_all(pl, CUT * BATCH_RECORDS, 4000, &next), 1 + round);
                plog_close(pl);
        }
        g.store = plog_store_close(g.store);
        g.pool = iopool_free(g.pool);
        scene_fini(&s);
}

/* Behind the checkpoint, the usual: cut. And the checkpoint itself torn. */
static void test_after_checkpoint(void)
{
        struct scene s;
        char path[600];
        int fd;

        scene_init(&s, 20);
        segment_path(s.crashed, 0, ".log", path);
        fd = file_open(path, O_RDWR);
        CU_ASSERT_EQUAL_FATAL(file_truncate(fd, s.pos[BATCHES] - 3), 0);
        file_close(fd);
        expect_batches(&s, BATCHES - 1);
        scene_fini(&s);

        scene_init(&s, 20);
        snprintf(path, sizeof path, "%s/t-0/checkpoint", s.crashed);
        fd = file_open(path, O_RDWR);
        CU_ASSERT_EQUAL_FATAL(file_truncate(fd, 50), 0);
        file_close(fd);
        expect_batches(&s, BATCHES);
        scene_fini(&s);
}

static void expect_whole(const char *crashed, int64_t records)
{
        struct plog_append_result res = { 0 };
        struct plog_position at;
        struct fixture g;
        struct plog *pl;
        int64_t next;

        fixture_init_at(&g, crashed);
        g.conf.segment_bytes = 4000;
        diag_set_level(0);
        pl = fixture_open(&g, "t-0");
        CU_ASSERT_EQUAL(ends_of(pl).end_offset, records);
        CU_ASSERT_EQUAL(read_all(pl, 0, 3000, &next), records);
        CU_ASSERT_EQUAL(plog_epoch_at(pl, 70), 1);
        CU_ASSERT_EQUAL(plog_latest_epoch(pl), 3);
        CU_ASSERT_EQUAL(plog_find_time(pl, NOW_MS + 500, INT64_MAX, &at), 0);
        CU_ASSERT_EQUAL(at.offset, 100);
        /* The last batch is known for a duplicate, a gap is seen. */
        CU_ASSERT_EQUAL(append_want(pl, &(struct batch_want){ .count = 2, .producer_id = 7, .sequence = 198 }, &res),
                        PLOG_E_DUPLICATE);
        CU_ASSERT_EQUAL(res.base_offset, 198);
        CU_ASSERT_EQUAL(append_want(pl, &(struct batch_want){ .count = 2, .producer_id = 7, .sequence = 202 }, &res),
                        PLOG_E_OUT_OF_ORDER_SEQUENCE);
        plog_close(pl);
        g.store = plog_store_close(g.store);
        g.pool = iopool_free(g.pool);
}

/* Many segments; indexes, snapshots and epochs missing or damaged in every way. */
static void test_side_files(void)
{
        struct fixture f;
        struct plog *pl;
        char crashed[300], cmd[1600];
        int64_t records = 0;
        static const char *const harms[] = {
                "rm %s/t-0/*.index",
                "for i in %s/t-0/*.index; do printf 'x' | dd of=$i bs=1 seek=30 conv=notrunc status=none; done",
                "for i in %s/t-0/*.index; do truncate -s 20 $i; done",
                "for i in %s/t-0/*.index; do : >$i; done",
                "rm %s/t-0/epochs",
                "echo garbage >%s/t-0/epochs",
                "rm -f %s/t-0/*.snapshot",
                "for i in %s/t-0/*.snapshot; do echo x >$i; done",
                "rm -f %s/t-0/checkpoint",
                "rm -f %s/t-0/checkpoint %s/t-0/epochs %s/t-0/*.index %s/t-0/*.snapshot",
        };

        fixture_init(&f);
        f.conf.segment_bytes = 4000;
        pl = fixture_open(&f, "t-0");
        for (int i = 0; i < 100; i++, records += 2) {
                struct plog_append_result res;

                CU_ASSERT_EQUAL_FATAL(append_want(pl,
                                                  &(struct batch_want){ .count = 2,
                                                                        .value_len = 100,
                                                                        .fill = (uint8_t)i,
                                                                        .producer_id = 7,
                                                                        .sequence = i * 2,
                                                                        .leader_epoch = i / 30,
                                                                        .timestamp = NOW_MS + i * 10 },
                                                  &res),
                                      0);
        }
        wait_durable(pl);
        snprintf(crashed, sizeof crashed, "%.250s.crash", f.dir);
        for (unsigned round = 0; round < 2; round++) {
                for (unsigned i = 0; i < ARRAY_LEN(harms); i++) {
                        copy_tree(f.dir, crashed);
                        snprintf(cmd, sizeof cmd, harms[i], crashed, crashed, crashed, crashed);
                        (void)!system(cmd);
                        expect_whole(crashed, records);
                }
                if (round == 0)
                        plog_close(pl); /* once more after a clean stop */
        }
        (void)file_remove_tree(crashed);
        fixture_fini(&f);
}

/* The first segments' names are gone. Where nothing shows that the folder was ever synced, nothing in it was promised, and a log
 * that begins later would pass for one whose beginning was deleted; else what is left is kept. */
static void test_lost_beginning(void)
{
        static const struct {
                const char *also;
                bool is_kept;
        } cases[] = {
                { "rm {}/checkpoint {}/epochs {}/*.index", false },
                { "rm {}/checkpoint {}/*.index", false },
                { "rm {}/checkpoint", true }, /* a footer is written when all before it is synced */
                { "rm {}/*.index; echo garbage >{}/checkpoint", true },
        };
        char crashed[300], cmd[1600];
        struct fixture f, g;
        struct plog *pl;
        int64_t second;

        fixture_init(&f);
        f.conf.segment_bytes = 4000;
        pl = fixture_open(&f, "t-0");
        append_simple(pl, 2, 1500, 'a');
        wait_durable(pl);
        second = ends_of(pl).end_offset;
        for (int i = 0; i < 3; i++)
                append_simple(pl, 2, 1500, 'b');
        plog_close(pl);
        snprintf(crashed, sizeof crashed, "%.250s.crash", f.dir);
        for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
                copy_tree(f.dir, crashed);
                snprintf(cmd, sizeof cmd, "d=%s/t-0; rm $d/%020d.log $d/%020d.index; %s", crashed, 0, 0, cases[i].also);
                for (char *at; (at = strstr(cmd, "{}"));)
                        memcpy(at, "$d", 2);
                CU_ASSERT_EQUAL_FATAL(system(cmd), 0);
                fixture_init_at(&g, crashed);
                g.conf = f.conf;
                diag_set_level(0);
                pl = fixture_open(&g, "t-0");
                CU_ASSERT_EQUAL(ends_of(pl).start_offset, cases[i].is_kept ? second : 0);
                CU_ASSERT_EQUAL(ends_of(pl).end_offset, cases[i].is_kept ? 8 : 0);
                CU_ASSERT_EQUAL(append_simple(pl, 1, 10, 'c'), cases[i].is_kept ? 8 : 0);
                plog_close(pl);
                fixture_fini(&g);
        }
        fixture_fini(&f);
}

/* Bytes that this process has read with system calls. */
static long long bytes_read(void)
{
        CLEANUP(freep) char *text = NULL;
        long long n = -1;
        size_t len;

        CU_ASSERT_EQUAL_FATAL(file_read_whole("/proc/self/io", 4096, &text, &len), 0);
        CU_ASSERT_EQUAL(sscanf(text, "rchar: %lld", &n), 1);
        return n;
}

/* What the checkpoint vouches for is not read, not even its headers. */
static void test_little_is_read(void)
{
        enum { MANY = 4000, LITTLE = 32 * 1024 }; /* 8 KiB of it is one look at the tail */
        struct fixture f;
        struct plog *pl;
        long long before;

        for (int producer = 0; producer < 2; producer++) {
                fixture_init(&f);
                pl = fixture_open(&f, "t-0");
                for (int i = 0; i < MANY; i++) {
                        struct plog_append_result res;

                        CU_ASSERT_EQUAL_FATAL(append_want(pl,
                                                          &(struct batch_want){ .value_len = 500,
                                                                                .producer_id = producer * 7,
                                                                                .sequence = i },
                                                          &res),
                                              0);
                }
                plog_close(pl);
                before = bytes_read();
                pl = fixture_open(&f, "t-0");
                CU_ASSERT_EQUAL(ends_of(pl).end_offset, MANY);
                /* The index is compared with its CRC: 16 bytes for each 512 of batches here. */
                CU_ASSERT(bytes_read() - before < LITTLE + ends_of(pl).size_bytes / 512 * 16);
                plog_close(pl);
                fixture_fini(&f);
        }
}

static const struct unit_case cases[] = {
        { "what the checkpoint vouches for is not read", test_little_is_read },
        { "torn at every byte of the last batches", test_torn_at_every_byte },
        { "every byte of the last batch changed", test_every_byte_changed },
        { "zero pages and garbage behind the end", test_zeros_and_garbage },
        { "missing below the checkpoint is not cut", test_below_checkpoint_is_not_cut },
        { "torn behind the checkpoint, torn checkpoint", test_after_checkpoint },
        { "side files missing or damaged", test_side_files },
        { "the beginning is missing", test_lost_beginning },
};
UNIT_MAIN("plog/recovery", cases)
