/* Goal: a segment that is missing, empty or cut short is never passed over: the ends and the start stay where they were,
 * what is there is served, what is not is refused and named. Method: files of a copied log's folder are deleted. */
#include <errno.h>

#include "plog-fixture.h"

enum { BATCHES = 30, SEGMENTS_MAX = 20 };

struct scene {
        struct fixture f;
        char left[300];                 /* the data folder as it was left */
        int64_t base[SEGMENTS_MAX + 1]; /* of each segment, and the end */
        int segments;
};

enum left { LEFT_CLOSED, LEFT_CRASHED, LEFT_CRASHED_UNCHECKED };

static int note_segment(void *arg, const char *name)
{
        struct scene *s = arg;

        if (strstr(name, ".log"))
                s->base[s->segments++] = strtoll(name, NULL, 10);
        return 0;
}

static int compare(const void *a, const void *b)
{
        return (*(const int64_t *)a > *(const int64_t *)b) - (*(const int64_t *)a < *(const int64_t *)b);
}

static void path_of(const char *data, const char *name, char path[600])
{
        snprintf(path, 600, "%s/t-0/%s", data, name);
}

static void segment_path(const struct scene *s, int i, const char *suffix, char path[600])
{
        char name[64];

        snprintf(name, sizeof name, "%020lld%s", (long long)s->base[i], suffix);
        path_of(s->left, name, path);
}

static void drop(const char *data, const char *name)
{
        char path[600];

        path_of(data, name, path);
        CU_ASSERT_EQUAL(file_unlink(path), 0);
}

static void scene_init(struct scene *s, enum left left, int closed_at)
{
        struct plog *pl;
        char dir[600];

        memset(s, 0, sizeof *s);
        fixture_init(&s->f);
        s->f.conf.segment_bytes = 1000;
        snprintf(s->left, sizeof s->left, "%.250s.left", s->f.dir);
        pl = fixture_open(&s->f, "t-0");
        for (int i = 0; i < BATCHES; i++) {
                struct plog_append_result res;

                if (closed_at && i == closed_at) {
                        plog_close(pl);
                        pl = fixture_open(&s->f, "t-0");
                }
                CU_ASSERT_EQUAL_FATAL(append_want(pl,
                                                  &(struct batch_want){ .count = 2,
                                                                        .value_len = 100,
                                                                        .producer_id = 7,
                                                                        .sequence = i * 2,
                                                                        .leader_epoch = i / 10 },
                                                  &res),
                                      0);
                wait_durable(pl);
        }
        usleep(20000); /* the flusher may still write its checkpoint */
        if (left == LEFT_CLOSED) {
                plog_close(pl);
                s->f.store = plog_store_close(s->f.store);
        }
        copy_tree(s->f.dir, s->left);
        if (left != LEFT_CLOSED)
                plog_close(pl);
        else
                fixture_open_store(&s->f);
        if (left == LEFT_CRASHED_UNCHECKED)
                drop(s->left, "checkpoint");
        path_of(s->left, "", dir);
        CU_ASSERT_EQUAL_FATAL(file_list(dir, note_segment, s), 0);
        qsort(s->base, (size_t)s->segments, sizeof s->base[0], compare);
        s->base[s->segments] = BATCHES * 2;
        CU_ASSERT_FATAL(s->segments >= 8);
}

static void scene_fini(struct scene *s)
{
        (void)file_remove_tree(s->left);
        fixture_fini(&s->f);
}

static int read_at(struct plog *pl, int64_t from, struct plog_slice *ret)
{
        return plog_read(
                pl,
                &(struct plog_read_args){
                        .from_offset = from, .below_offset = INT64_MAX, .len_max = 4000, .at_least_one = true },
                true, ret);
}

struct hole {
        int64_t from, to;
};

static const struct hole *hole_at(const struct hole *holes, int count, int64_t from, int64_t to)
{
        for (int i = 0; i < count; i++)
                if (from < holes[i].to && to > holes[i].from)
                        return &holes[i];
        return NULL;
}

/* Every record outside of the holes is read, every one inside is refused. */
static void expect_holes(struct plog *pl, const struct hole *holes, int count, int64_t end)
{
        int64_t at = 0;

        while (at < end) {
                struct plog_slice s;
                int r = read_at(pl, at, &s);

                if (hole_at(holes, count, at, at + 1)) {
                        CU_ASSERT_EQUAL(r, PLOG_E_DAMAGED);
                        at++;
                        continue;
                }
                CU_ASSERT_EQUAL(r, 0);
                CU_ASSERT(s.len > 0);
                if (r || !s.len)
                        return;
                CU_ASSERT(s.first_offset <= at && !hole_at(holes, count, s.first_offset, s.next_offset));
                at = s.next_offset;
                plog_slice_release(&s);
        }
        CU_ASSERT_EQUAL(at, end);
}

static void expect_hole(struct plog *pl, int64_t from, int64_t to, int64_t end)
{
        expect_holes(pl, &(struct hole){ from, to }, 1, end);
}

/* Open what was left three times: the holes stay as they are, ends do not move but by what is appended. */
static void expect_marked_all(struct scene *s, const struct hole *holes, int count)
{
        struct plog_damaged_range ranges[8];
        struct fixture g;
        int64_t end = BATCHES * 2;

        fixture_init_at(&g, s->left);
        g.conf = s->f.conf;
        diag_set_level(0);
        for (int round = 0; round < 3; round++) {
                struct plog *pl = fixture_open(&g, "t-0");

                CU_ASSERT_EQUAL(ends_of(pl).start_offset, 0);
                CU_ASSERT_EQUAL(ends_of(pl).end_offset, end);
                CU_ASSERT_EQUAL(ends_of(pl).durable_end_offset, end);
                expect_holes(pl, holes, count, end);
                CU_ASSERT_EQUAL(append_simple(pl, 1, 10, 'z'), end);
                end++;
                wait_durable(pl);
                expect_holes(pl, holes, count, end);
                CU_ASSERT_EQUAL_FATAL(plog_damaged(pl, 8, ranges), (size_t)count);
                for (int i = 0; i < count; i++)
                        CU_ASSERT(ranges[i].from_offset == holes[i].from && ranges[i].to_offset == holes[i].to &&
                                  ranges[i].why == PLOG_DAMAGE_MISSING);
                plog_close(pl);
        }
        fixture_fini(&g);
}

static void expect_marked(struct scene *s, int64_t from, int64_t to)
{
        expect_marked_all(s, &(struct hole){ from, to }, 1);
}

/* The last segment after a crash: how far it reached is not known. The log does not open, also not after a clean stop in
 * between, until the file is back, or somebody has put an empty one there and so accepts the loss. */
static void expect_refused(struct scene *s)
{
        struct fixture g;
        struct plog *pl;
        char path[600];
        int64_t end;
        int fd;

        for (int i = 0; i < 2; i++) {
                fixture_init_at(&g, s->left);
                g.conf = s->f.conf;
                diag_set_level(0);
                CU_ASSERT_EQUAL(fixture_try_open(&g, "t-0", &pl), -EUCLEAN);
                g.store = plog_store_close(g.store);
                g.pool = iopool_free(g.pool);
        }
        segment_path(s, s->segments - 1, ".log", path);
        fd = file_open(path, O_RDWR | O_CREAT);
        CU_ASSERT(fd >= 0);
        file_close(fd);
        fixture_init_at(&g, s->left);
        g.conf = s->f.conf;
        diag_set_level(0);
        pl = fixture_open(&g, "t-0");
        end = ends_of(pl).end_offset;
        CU_ASSERT(end > s->base[s->segments - 1]); /* what the checkpoint knows of */
        expect_hole(pl, s->base[s->segments - 1], end, end);
        CU_ASSERT_EQUAL(append_simple(pl, 1, 10, 'z'), end);
        plog_close(pl);
        fixture_fini(&g);
}

/* One segment after the other is gone. @closed_at: where an earlier stop lies, 0 none. */
static void each_missing(enum left left, int closed_at, bool empty)
{
        for (int i = 0, n = 1; i < n; i++) {
                struct scene s;
                char path[600];

                scene_init(&s, left, closed_at);
                n = s.segments;
                segment_path(&s, i, ".log", path);
                CU_ASSERT_EQUAL(empty ? truncate(path, 0) : file_unlink(path), 0);
                if (left == LEFT_CRASHED && i == n - 1)
                        expect_refused(&s);
                else
                        expect_marked(&s, s.base[i], s.base[i + 1]);
                scene_fini(&s);
        }
}

static void test_closed(void)
{
        each_missing(LEFT_CLOSED, 0, false);
}

static void test_crashed(void)
{
        each_missing(LEFT_CRASHED, 0, false);
        each_missing(LEFT_CRASHED, BATCHES / 2, false);
}

static void test_emptied(void)
{
        each_missing(LEFT_CLOSED, 0, true);
}

/* Without a checkpoint the footers of later segments prove that there was something; nothing tells of the first (it
 * could have been retention) and of the last. */
static void test_unchecked(void)
{
        for (int i = 1, n = 3; i < n - 2; i++) {
                struct scene s;
                char path[600];

                scene_init(&s, LEFT_CRASHED_UNCHECKED, 0);
                n = s.segments;
                segment_path(&s, i, ".log", path);
                CU_ASSERT_EQUAL(file_unlink(path), 0);
                expect_marked(&s, s.base[i], s.base[i + 1]);
                scene_fini(&s);
        }
}

static void test_all_missing(void)
{
        struct scene s;
        char path[600];

        scene_init(&s, LEFT_CLOSED, 0);
        for (int i = 0; i < s.segments; i++) {
                segment_path(&s, i, ".log", path);
                CU_ASSERT_EQUAL(file_unlink(path), 0);
        }
        expect_marked(&s, 0, BATCHES * 2);
        scene_fini(&s);
}

/* Between two holes all is served. */
static void test_two_missing(void)
{
        struct scene s;
        char path[600];

        scene_init(&s, LEFT_CLOSED, 0);
        segment_path(&s, 1, ".log", path);
        CU_ASSERT_EQUAL(file_unlink(path), 0);
        segment_path(&s, 4, ".log", path);
        CU_ASSERT_EQUAL(file_unlink(path), 0);
        expect_marked_all(&s, (struct hole[]){ { s.base[1], s.base[2] }, { s.base[4], s.base[5] } }, 2);
        scene_fini(&s);
}

/* A sealed segment that lost its last batch, cut exactly between two: no byte that is left is wrong. */
static void test_cut_between_batches(void)
{
        for (int with_index = 0; with_index < 2; with_index++) {
                struct batch_header h;
                struct scene s;
                char path[600], *data;
                size_t len, pos = 0, last = 0;

                scene_init(&s, LEFT_CLOSED, 0);
                segment_path(&s, 2, ".log", path);
                CU_ASSERT_EQUAL_FATAL(file_read_whole(path, 1 << 20, &data, &len), 0);
                for (; pos < len; pos += batch_len(&h)) {
                        CU_ASSERT_EQUAL_FATAL(batch_parse_header(span_of(data + pos, len - pos), &h), 0);
                        last = pos;
                }
                free(data);
                CU_ASSERT_FATAL(last > 0);
                CU_ASSERT_EQUAL(truncate(path, (off_t)last), 0);
                segment_path(&s, 2, ".index", path);
                if (!with_index)
                        CU_ASSERT_EQUAL(file_unlink(path), 0);
                expect_marked(&s, h.base_offset, s.base[3]);
                scene_fini(&s);
        }
}

/* Records that are given up are no hole any more. */
static void test_given_up(void)
{
        struct fixture g;
        struct scene s;
        struct plog *pl;
        char path[600];
        int64_t start, next;

        scene_init(&s, LEFT_CLOSED, 0);
        segment_path(&s, 1, ".log", path);
        CU_ASSERT_EQUAL(file_unlink(path), 0);
        fixture_init_at(&g, s.left);
        g.conf = s.f.conf;
        diag_set_level(0);
        pl = fixture_open(&g, "t-0");
        CU_ASSERT_EQUAL(plog_delete_records(pl, s.base[2], &start), 0);
        CU_ASSERT_EQUAL(read_all(pl, s.base[2], 4000, &next), BATCHES * 2 - s.base[2]);
        plog_close(pl);
        pl = fixture_open(&g, "t-0");
        CU_ASSERT_EQUAL(ends_of(pl).start_offset, s.base[2]);
        CU_ASSERT_EQUAL(read_all(pl, s.base[2], 4000, &next), BATCHES * 2 - s.base[2]);
        CU_ASSERT(plog_retain(pl, &(struct plog_retain_args){ .now_ms = NOW_MS, .below_offset = INT64_MAX }) >= 0);
        plog_close(pl);
        pl = fixture_open(&g, "t-0");
        CU_ASSERT_EQUAL(ends_of(pl).start_offset, s.base[2]);
        CU_ASSERT_EQUAL(read_all(pl, s.base[2], 4000, &next), BATCHES * 2 - s.base[2]);
        plog_close(pl);
        fixture_fini(&g);
        scene_fini(&s);
}

/* A file that comes back (from a backup) fills the hole at the next start. */
static void test_restored(void)
{
        struct fixture g;
        struct scene s;
        struct plog *pl;
        char path[600], away[700];
        int64_t next;

        scene_init(&s, LEFT_CLOSED, 0);
        segment_path(&s, 3, ".log", path);
        snprintf(away, sizeof away, "%s.away", path);
        CU_ASSERT_EQUAL(file_rename(path, away), 0);
        fixture_init_at(&g, s.left);
        g.conf = s.f.conf;
        diag_set_level(0);
        pl = fixture_open(&g, "t-0");
        expect_hole(pl, s.base[3], s.base[4], BATCHES * 2);
        plog_close(pl);
        CU_ASSERT_EQUAL(file_rename(away, path), 0);
        pl = fixture_open(&g, "t-0");
        CU_ASSERT_EQUAL(read_all(pl, 0, 4000, &next), BATCHES * 2);
        plog_close(pl);
        pl = fixture_open(&g, "t-0");
        CU_ASSERT_EQUAL(read_all(pl, 0, 4000, &next), BATCHES * 2);
        plog_close(pl);
        fixture_fini(&g);
        scene_fini(&s);
}

/* The operator reads what is missing and what to do. */
static void test_says_so(void)
{
        char path[600], log[600], want[100], *said;
        struct fixture g;
        struct scene s;
        size_t len;
        int fd, err;

        scene_init(&s, LEFT_CLOSED, 0);
        segment_path(&s, s.segments - 1, ".log", path);
        CU_ASSERT_EQUAL(file_unlink(path), 0);
        fixture_init_at(&g, s.left);
        g.conf = s.f.conf;
        snprintf(log, sizeof log, "%.500s/said", g.dir);
        fd = file_open(log, O_RDWR | O_CREAT);
        err = dup(STDERR_FILENO);
        CU_ASSERT_FATAL(fd >= 0 && err >= 0 && dup2(fd, STDERR_FILENO) >= 0);
        plog_close(fixture_open(&g, "t-0"));
        dup2(err, STDERR_FILENO);
        close(err);
        file_close(fd);
        CU_ASSERT_EQUAL_FATAL(file_read_whole(log, 1 << 16, &said, &len), 0);
        snprintf(want, sizeof want, "t-0: offsets %d to %d are missing", (int)s.base[s.segments - 1], BATCHES * 2 - 1);
        CU_ASSERT_PTR_NOT_NULL(strstr(said, want));
        CU_ASSERT_PTR_NOT_NULL(strstr(said, "restore the segment's file"));
        free(said);
        fixture_fini(&g);
        scene_fini(&s);
}

static const struct unit_case cases[] = {
        { "each segment missing after a clean stop", test_closed },
        { "each segment missing after a crash", test_crashed },
        { "each segment emptied", test_emptied },
        { "each segment but the first and last missing, without a checkpoint", test_unchecked },
        { "all segments missing", test_all_missing },
        { "two segments missing", test_two_missing },
        { "a segment cut between two batches", test_cut_between_batches },
        { "records given up", test_given_up },
        { "a file restored", test_restored },
        { "the operator is told", test_says_so },
};
UNIT_MAIN("plog/holes", cases)
