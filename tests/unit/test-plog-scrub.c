/* Goal: a check finds every byte that is not as it was written, takes just the batches that are hurt out of service, and gives
 * them back when they are whole again. Method: bytes of the files of an open log are changed, one after the other and at
 * random, and everything is compared with a copy of what was written. */
#include <errno.h>

#include "plog-fixture.h"
#include "plog/format.h"
#include "plog/scrub.h"

enum { BATCHES = 60, RECORDS = 2, END = BATCHES * RECORDS, FILES_MAX = 40 };

/* Where a batch lies. */
struct at {
        int file; /* subscript of its segment */
        int64_t pos, len, base, last;
};

struct scene {
        struct fixture f;
        struct plog *pl;
        struct at batches[BATCHES];
        int batches_count;
        int64_t names[FILES_MAX + 1]; /* of the segments, and the end */
        char *content[FILES_MAX];
        size_t content_len[FILES_MAX];
        int files;
};

/* ---- the log ---- */

static int note_segment(void *arg, const char *name)
{
        struct scene *s = arg;

        if (strlen(name) == 24 && !strcmp(name + 20, ".log"))
                s->names[s->files++] = strtoll(name, NULL, 10);
        return 0;
}

static int compare(const void *a, const void *b)
{
        return (*(const int64_t *)a > *(const int64_t *)b) - (*(const int64_t *)a < *(const int64_t *)b);
}

static void file_path(const struct scene *s, int file, const char *suffix, char path[600])
{
        snprintf(path, 600, "%s/t-0/%020lld%s", s->f.dir, (long long)s->names[file], suffix);
}

static void note_batches(struct scene *s)
{
        char path[600];

        snprintf(path, sizeof path, "%s/t-0", s->f.dir);
        CU_ASSERT_EQUAL_FATAL(file_list(path, note_segment, s), 0);
        qsort(s->names, (size_t)s->files, sizeof s->names[0], compare);
        for (int i = 0; i < s->files; i++) {
                struct batch_header h;

                file_path(s, i, ".log", path);
                CU_ASSERT_EQUAL_FATAL(file_read_whole(path, 1 << 20, &s->content[i], &s->content_len[i]), 0);
                for (size_t pos = 0; pos < s->content_len[i]; pos += batch_len(&h)) {
                        CU_ASSERT_EQUAL_FATAL(
                                batch_parse_header(span_of(s->content[i] + pos, s->content_len[i] - pos), &h), 0);
                        s->batches[s->batches_count++] = (struct at){ i, (int64_t)pos, (int64_t)batch_len(&h),
                                                                      h.base_offset, batch_last_offset(&h) };
                }
        }
        CU_ASSERT_EQUAL_FATAL(s->batches_count, BATCHES);
}

static void append_batch(struct plog *pl, int i, int64_t base)
{
        struct plog_append_result res;

        CU_ASSERT_EQUAL_FATAL(append_want(pl,
                                          &(struct batch_want){ .count = RECORDS,
                                                                .value_len = 100,
                                                                .fill = (uint8_t)('a' + i % 26),
                                                                .timestamp = NOW_MS + i * 10,
                                                                .leader_epoch = i / 7,
                                                                .keep = base >= 0,
                                                                .keep_base_offset = base },
                                          &res),
                              0);
}

/* @gap: offsets between two batches that are in none. @slowly: each batch is durable before the next one comes, so that the
 * last ones are in no checkpoint. */
static void scene_init_how(struct scene *s, int gap, bool slowly)
{
        memset(s, 0, sizeof *s);
        fixture_init(&s->f);
        diag_set_level(0);
        s->f.conf.segment_bytes = 3000;
        s->f.conf.index_interval_bytes = 600;
        s->pl = fixture_open(&s->f, "t-0");
        for (int i = 0; i < BATCHES; i++) {
                append_batch(s->pl, i, gap ? i * (RECORDS + gap) : -1);
                if (slowly)
                        wait_durable(s->pl);
        }
        wait_durable(s->pl);
        usleep(20000); /* the flusher may still write the indexes of sealed segments */
        note_batches(s);
        s->names[s->files] = ends_of(s->pl).end_offset;
        CU_ASSERT_FATAL(s->files >= 4);
}

static void scene_init(struct scene *s, int gap)
{
        scene_init_how(s, gap, false);
}

static void scene_fini(struct scene *s)
{
        for (int i = 0; i < s->files; i++)
                free(s->content[i]);
        plog_close(s->pl);
        fixture_fini(&s->f);
}

static void reopen(struct scene *s)
{
        plog_close(s->pl);
        s->pl = fixture_open(&s->f, "t-0");
}

static void xor_at(const struct scene *s, int file, const char *suffix, int64_t pos, uint8_t bits)
{
        char path[600];
        uint8_t byte;
        int fd;

        file_path(s, file, suffix, path);
        fd = file_open(path, O_RDWR);
        CU_ASSERT_FATAL(fd >= 0);
        CU_ASSERT_EQUAL_FATAL(file_pread(fd, &byte, 1, pos), 1);
        byte ^= bits;
        CU_ASSERT_EQUAL_FATAL(file_pwrite_all(fd, &byte, 1, pos), 0);
        file_close(fd);
}

static struct plog_scrub_result scrub(struct plog *pl, int64_t step)
{
        struct plog_scrub_result res;
        struct plog_scrub *w;
        int r;

        CU_ASSERT_EQUAL_FATAL(plog_scrub_begin(pl, &w), 0);
        do
                r = plog_scrub_step(w, step);
        while (r == 1);
        CU_ASSERT_EQUAL(r, 0);
        plog_scrub_result(w, &res);
        plog_scrub_end(w);
        return res;
}

/* ---- what is served ---- */

static int read_at(struct plog *pl, int64_t from, size_t len_max, struct plog_slice *ret)
{
        return plog_read(
                pl,
                &(struct plog_read_args){
                        .from_offset = from, .below_offset = INT64_MAX, .len_max = len_max, .at_least_one = true },
                true, ret);
}

static const struct at *batch_of(const struct scene *s, int64_t offset)
{
        for (int i = 0; i < s->batches_count; i++)
                if (s->batches[i].last >= offset)
                        return &s->batches[i];
        return NULL;
}

/* Batch by batch, and in long runs: what is served is what was written, and what is not is refused as @ranges say. */
static void expect_served(const struct scene *s, const struct plog_damaged_range *ranges, size_t count, size_t len_max)
{
        int64_t at = ends_of(s->pl).start_offset, end = s->names[s->files];
        size_t next = 0;

        while (at < end) {
                const struct at *b = batch_of(s, at);
                struct plog_slice got;
                char *bytes;
                int r;

                while (next < count && ranges[next].to_offset <= at)
                        next++;
                r = read_at(s->pl, at, len_max, &got);
                if (next < count && b->last >= ranges[next].from_offset) {
                        CU_ASSERT_EQUAL_FATAL(r, PLOG_E_DAMAGED);
                        at = at < ranges[next].from_offset ? ranges[next].from_offset : at + 1;
                        continue;
                }
                CU_ASSERT_EQUAL_FATAL(r, 0);
                CU_ASSERT_FATAL(got.len > 0 && got.first_offset == b->base);
                CU_ASSERT(next == count || got.next_offset <= ranges[next].from_offset);
                bytes = malloc(got.len);
                CU_ASSERT_EQUAL(plog_slice_copy(&got, bytes), 0);
                CU_ASSERT_EQUAL_FATAL(got.pos, b->pos);
                CU_ASSERT_EQUAL_FATAL(memcmp(bytes, s->content[b->file] + b->pos, got.len), 0);
                free(bytes);
                at = got.next_offset;
                plog_slice_release(&got);
        }
}

static void expect_ranges(const struct scene *s, const struct plog_damaged_range *want, size_t count)
{
        struct plog_damaged_range got[8];

        CU_ASSERT_EQUAL_FATAL(plog_damaged(s->pl, ARRAY_LEN(got), got), count);
        for (size_t i = 0; i < count; i++) {
                CU_ASSERT_EQUAL(got[i].from_offset, want[i].from_offset);
                CU_ASSERT_EQUAL(got[i].to_offset, want[i].to_offset);
        }
        CU_ASSERT_EQUAL(ends_of(s->pl).damaged_ranges, count);
        expect_served(s, got, count, 1);
        expect_served(s, got, count, 1 << 20);
}

static void expect_whole(const struct scene *s)
{
        expect_ranges(s, NULL, 0);
}

/* ---- tests ---- */

static void test_clean(void)
{
        struct plog_scrub_result res;
        struct scene s;

        scene_init(&s, 0);
        for (int round = 0; round < 3; round++) {
                res = scrub(s.pl, round ? 1 : 1 << 20);
                CU_ASSERT_EQUAL(res.batches, BATCHES);
                CU_ASSERT(res.from_offset == 0 && res.to_offset == END);
                CU_ASSERT_EQUAL(res.indexes_rebuilt, 0);
                CU_ASSERT_EQUAL(res.bytes_all, ends_of(s.pl).size_bytes);
                CU_ASSERT(plog_checked_ms(s.pl) > 0);
                expect_whole(&s);
                reopen(&s);
        }
        scene_fini(&s);
}

static void test_gaps(void)
{
        struct scene s;

        scene_init(&s, 3);
        CU_ASSERT_EQUAL(scrub(s.pl, 1 << 20).batches, BATCHES);
        expect_whole(&s);
        /* A wrong byte in a batch with gaps on both sides: no neighbour is given up, and what it does not touch is served. */
        xor_at(&s, s.batches[7].file, ".log", s.batches[7].pos + 90, 1);
        scrub(s.pl, 1 << 20);
        expect_ranges(
                &s,
                &(struct plog_damaged_range){ .from_offset = s.batches[6].last + 1, .to_offset = s.batches[8].base },
                1);
        scene_fini(&s);
}

/* What a wrong byte at @in of the batch costs at most: the batches up to where the next one can be found. */
static int64_t worst_end(const struct scene *s, int i, int64_t in)
{
        int64_t end = s->batches[i].pos + s->batches[i].len + 2 * 600 + s->batches[i].len;
        int k = i;

        if (in < BATCH_LENGTH_AT ||
            (in >= BATCH_LEADER_EPOCH_AT && in != BATCH_MAGIC_AT && in != BATCH_LAST_OFFSET_DELTA_AT))
                return s->batches[i].last + 1;
        while (k + 1 < BATCHES && s->batches[k + 1].file == s->batches[i].file && s->batches[k + 1].pos < end)
                k++;
        return s->batches[k].last + 1;
}

static void each_byte(struct scene *s, int i)
{
        const struct at *b = &s->batches[i];

        for (int64_t in = 0; in < b->len; in += in < BATCH_HEADER_LEN ? 1 : 23) {
                struct plog_damaged_range r;
                size_t count;

                xor_at(s, b->file, ".log", b->pos + in, (uint8_t)(1 << in % 8));
                scrub(s->pl, 1 << 20);
                count = plog_damaged(s->pl, 1, &r);
                CU_ASSERT_EQUAL_FATAL(count, 1);
                CU_ASSERT_EQUAL(r.from_offset, b->base);
                CU_ASSERT(r.to_offset > b->last && r.to_offset <= worst_end(s, i, in));
                CU_ASSERT(r.segment_base == s->names[b->file] && r.pos == b->pos && r.end_pos >= b->pos + b->len);
                expect_served(s, &r, 1, 1);
                expect_served(s, &r, 1, 1 << 20);
                if (in % 30 == 0) {
                        reopen(s);
                        CU_ASSERT_EQUAL(plog_damaged(s->pl, 1, &r), 1);
                        expect_served(s, &r, 1, 1);
                }
                xor_at(s, b->file, ".log", b->pos + in, (uint8_t)(1 << in % 8));
                CU_ASSERT_EQUAL(scrub(s->pl, 1 << 20).healed_offsets, r.to_offset - r.from_offset);
                CU_ASSERT_EQUAL_FATAL(plog_damaged(s->pl, 1, &r), 0);
        }
        expect_whole(s);
}

/* Every byte of the header, and some behind it, of the first, a middle and the last batch of a sealed segment, and of the active one. */
static void test_each_byte(void)
{
        struct scene s;
        int last = 0;

        scene_init(&s, 0);
        while (s.batches[last + 1].file == 0)
                last++;
        each_byte(&s, 0);
        each_byte(&s, 3);
        each_byte(&s, last);
        each_byte(&s, last + 1);
        each_byte(&s, BATCHES - 2);
        each_byte(&s, BATCHES - 1);
        scene_fini(&s);
}

/* Many at once: whatever is found, nothing wrong is served and nothing that is right is lost for good. */
static void test_random(void)
{
        for (unsigned seed = 1; seed <= 20; seed++) {
                struct plog_damaged_range ranges[64];
                struct scene s;
                size_t count;
                int flips;

                srandom(seed);
                scene_init(&s, (int)(seed % 3));
                flips = 1 + (int)(random() % 8);
                for (int i = 0; i < flips; i++) {
                        const struct at *b = &s.batches[random() % BATCHES];
                        int64_t in = random() % 3 ? random() % b->len : random() % BATCH_HEADER_LEN;

                        if (seed % 3 && in < BATCH_LENGTH_AT)
                                continue; /* with gaps between batches a wrong offset may be as right as another */
                        xor_at(&s, b->file, ".log", b->pos + in, (uint8_t)(1 + random() % 255));
                }
                if (seed % 2)
                        xor_at(&s, (int)(random() % (s.files - 1)), ".index", random() % 40, 4);
                if (seed % 5 == 0)
                        reopen(&s);
                scrub(s.pl, 1 + random() % 5000);
                count = plog_damaged(s.pl, ARRAY_LEN(ranges), ranges);
                CU_ASSERT_FATAL(count <= ARRAY_LEN(ranges));
                expect_served(&s, ranges, count, 1);
                expect_served(&s, ranges, count, 1 << 20);
                reopen(&s);
                CU_ASSERT_EQUAL(plog_damaged(s.pl, ARRAY_LEN(ranges), ranges), count);
                expect_served(&s, ranges, count, 1000);
                for (int i = 0; i < s.files; i++) {
                        char path[600];
                        int fd;

                        file_path(&s, i, ".log", path);
                        fd = file_open(path, O_RDWR);
                        CU_ASSERT_EQUAL(file_pwrite_all(fd, s.content[i], s.content_len[i], 0), 0);
                        file_close(fd);
                }
                scrub(s.pl, 1 << 20);
                expect_whole(&s);
                scrub(s.pl, 1 << 20); /* and with indexes that were built over the damage */
                expect_whole(&s);
                scene_fini(&s);
        }
}

/* Some flips in random batches. */
static void flip(const struct scene *s, int count)
{
        for (int i = 0; i < count; i++) {
                const struct at *b = &s->batches[random() % BATCHES];

                xor_at(s, b->file, ".log", b->pos + BATCH_LENGTH_AT + random() % (b->len - BATCH_LENGTH_AT),
                       (uint8_t)(1 + random() % 255));
        }
}

static void mend_first(struct scene *s)
{
        struct plog_damaged_range range;
        struct span right;
        char *wrong;
        int file = 0;

        CU_ASSERT_FATAL(plog_damaged(s->pl, 1, &range) > 0);
        while (s->names[file] != range.segment_base)
                file++;
        right = span_of(s->content[file] + range.pos, (size_t)(range.end_pos - range.pos));
        wrong = malloc(right.len);
        memcpy(wrong, right.data, right.len);
        wrong[right.len - 1] ^= 1;
        CU_ASSERT_EQUAL(plog_mend(s->pl, &range, span_of(wrong, right.len)), -EINVAL);
        CU_ASSERT_EQUAL(plog_mend(s->pl, &range, span_of(right.data, right.len - 1)), -EINVAL);
        free(wrong);
        CU_ASSERT_EQUAL_FATAL(plog_mend(s->pl, &range, right), 0);
        CU_ASSERT_EQUAL(plog_mend(s->pl, &range, right), PLOG_E_NOT_FOUND);
}

/* What another replica has is written over what is rotten: then nothing is damaged any more, also for the next start. */
static void test_mend(void)
{
        for (unsigned seed = 1; seed <= 12; seed++) {
                struct scene s;

                srandom(seed);
                scene_init(&s, (int)(seed % 3));
                flip(&s, 1 + (int)(random() % 6));
                scrub(s.pl, 1 << 20);
                if (seed % 2)
                        reopen(&s);
                while (ends_of(s.pl).damaged_ranges)
                        mend_first(&s);
                expect_whole(&s);
                CU_ASSERT_EQUAL(scrub(s.pl, 1 << 20).batches, BATCHES);
                expect_whole(&s);
                reopen(&s);
                expect_whole(&s);
                scene_fini(&s);
        }
}

static void test_index(void)
{
        static const int64_t places[] = { 0, 10, 22, -1, -30, -54 };
        struct scene s;

        scene_init(&s, 0);
        for (size_t i = 0; i < ARRAY_LEN(places); i++)
                for (int loaded = 0; loaded < 2; loaded++) {
                        char path[600];
                        struct file_info info;

                        file_path(&s, 1, ".index", path);
                        CU_ASSERT_EQUAL_FATAL(file_info(path, &info), 0);
                        if (!loaded)
                                reopen(&s);
                        xor_at(&s, 1, ".index", places[i] < 0 ? info.size + places[i] : places[i], 1);
                        CU_ASSERT_EQUAL(scrub(s.pl, 1 << 20).indexes_rebuilt, 1);
                        CU_ASSERT_EQUAL(scrub(s.pl, 1 << 20).indexes_rebuilt, 0);
                        expect_whole(&s);
                }
        scene_fini(&s);
}

/* An index whose checksums are right and whose entries are not. */
static void test_lying_index(void)
{
        struct disk_index_footer f;
        struct disk_index_entry e[64];
        char path[600], *data;
        struct scene s;
        uint32_t count;
        size_t len;
        int fd;

        scene_init(&s, 0);
        reopen(&s);
        file_path(&s, 1, ".index", path);
        CU_ASSERT_EQUAL_FATAL(file_read_whole(path, 1 << 20, &data, &len), 0);
        memcpy(&f, data + len - sizeof f, sizeof f);
        count = be32toh(f.count);
        CU_ASSERT_FATAL(count > 1 && count < ARRAY_LEN(e));
        memcpy(e, data + sizeof(struct disk_index_header), count * sizeof e[0]);
        e[1].rel_offset = htobe32(be32toh(e[1].rel_offset) + 1);
        f.entries_crc = htobe32(crc32c(0, e, count * sizeof e[0]));
        f.crc = htobe32(crc32c(0, &f, offsetof(struct disk_index_footer, crc)));
        fd = file_open(path, O_RDWR);
        CU_ASSERT_EQUAL(file_pwrite_all(fd, e, count * sizeof e[0], sizeof(struct disk_index_header)), 0);
        CU_ASSERT_EQUAL(file_pwrite_all(fd, &f, sizeof f, (int64_t)(len - sizeof f)), 0);
        file_close(fd);
        free(data);
        CU_ASSERT_EQUAL(scrub(s.pl, 1 << 20).indexes_rebuilt, 1);
        CU_ASSERT_EQUAL(scrub(s.pl, 1 << 20).indexes_rebuilt, 0);
        expect_whole(&s);
        scene_fini(&s);
}

/* A file that was cut, and one that is gone, while the node runs. */
static void test_cut_and_gone(void)
{
        struct scene s;
        char path[600];
        int k = 0;

        scene_init(&s, 0);
        while (s.batches[k].file < 1)
                k++;
        file_path(&s, 1, ".log", path);
        CU_ASSERT_EQUAL(truncate(path, (off_t)(s.batches[k + 2].pos + 5)), 0);
        file_path(&s, 2, ".log", path);
        CU_ASSERT_EQUAL(unlink(path), 0);
        scrub(s.pl, 1 << 20);
        /* The descriptor of the second may be open still: then its bytes are there as well. */
        if (ends_of(s.pl).damaged_ranges == 1)
                expect_ranges(
                        &s,
                        &(struct plog_damaged_range){ .from_offset = s.batches[k + 2].base, .to_offset = s.names[2] },
                        1);
        else
                expect_ranges(&s,
                              (struct plog_damaged_range[]){
                                      { .from_offset = s.batches[k + 2].base, .to_offset = s.names[2] },
                                      { .from_offset = s.names[2], .to_offset = s.names[3] } },
                              2);
        scene_fini(&s);
}

/* ---- a disk with sectors that cannot be read ---- */

static int64_t bad_from = -1, bad_to; /* in every file */

static bool is_bad(int64_t pos, size_t len)
{
        return bad_from >= 0 && pos < bad_to && pos + (int64_t)len > bad_from;
}

ssize_t __real_file_pread_direct(int fd, void *buf, size_t len, int64_t pos);
ssize_t __wrap_file_pread_direct(int fd, void *buf, size_t len, int64_t pos);
ssize_t __wrap_file_pread_direct(int fd, void *buf, size_t len, int64_t pos)
{
        return is_bad(pos, len) ? -EIO : __real_file_pread_direct(fd, buf, len, pos);
}

ssize_t __real_file_pread_aside(int fd, void *buf, size_t len, int64_t pos);
ssize_t __wrap_file_pread_aside(int fd, void *buf, size_t len, int64_t pos);
ssize_t __wrap_file_pread_aside(int fd, void *buf, size_t len, int64_t pos)
{
        return is_bad(pos, len) ? -EIO : __real_file_pread_aside(fd, buf, len, pos);
}

/* Batches that lie in the bad sector are given up, and what the index finds behind it is not. */
static void test_unreadable(void)
{
        for (int k = 0; k < 3; k++) {
                struct plog_damaged_range ranges[8];
                struct scene s;
                size_t count;

                memset(&s, 0, sizeof s);
                fixture_init(&s.f);
                diag_set_level(0);
                s.f.conf.segment_bytes = k == 1 ? 1 << 20 : 12000; /* also the active segment alone */
                s.f.conf.index_interval_bytes = 600;
                s.pl = fixture_open(&s.f, "t-0");
                for (int i = 0; i < BATCHES; i++)
                        append_batch(s.pl, i, -1);
                wait_durable(s.pl);
                usleep(20000);
                note_batches(&s);
                s.names[s.files] = END;
                bad_from = k == 2 ? 0 : 4096;
                bad_to = bad_from + 4096;
                scrub(s.pl, 1 << 20);
                count = plog_damaged(s.pl, ARRAY_LEN(ranges), ranges);
                CU_ASSERT(count >= 1 && count <= ARRAY_LEN(ranges));
                for (int i = 0; i < BATCHES; i++) {
                        const struct at *b = &s.batches[i];
                        bool touched = is_bad(b->pos, (size_t)b->len), refused = false;

                        for (size_t r = 0; r < count; r++)
                                refused |= b->base >= ranges[r].from_offset && b->last < ranges[r].to_offset;
                        CU_ASSERT(refused || !touched);
                        /* No more than up to the next entry of the index. */
                        CU_ASSERT(!refused || (b->pos + b->len > bad_from && b->pos < bad_to + 4 * b->len));
                }
                for (size_t r = 0; r < count; r++)
                        CU_ASSERT_EQUAL(ranges[r].why, PLOG_DAMAGE_UNREADABLE);
                bad_from = -1;
                expect_served(&s, ranges, count, 1);
                CU_ASSERT(scrub(s.pl, 1 << 20).healed_offsets > 0);
                expect_whole(&s);
                scene_fini(&s);
        }
}

/* A crash right after the check: what is known to be rotten lies below a checkpoint, so that recovery takes it for no torn
 * tail and cuts nothing behind it. */
static void test_crash(void)
{
        struct fixture g;
        struct scene s;
        char left[300];
        int last = BATCHES - 1;

        scene_init_how(&s, 0, true);
        /* One that no checkpoint has seen. */
        CU_ASSERT_EQUAL_FATAL(s.batches[last - 1].file, s.batches[last].file);
        xor_at(&s, s.batches[last - 1].file, ".log", s.batches[last - 1].pos + 90, 1);
        scrub(s.pl, 1 << 20);
        CU_ASSERT_EQUAL(ends_of(s.pl).damaged_ranges, 1);
        snprintf(left, sizeof left, "%.250s.left", s.f.dir);
        copy_tree(s.f.dir, left);
        plog_close(s.pl);
        fixture_init_at(&g, left);
        diag_set_level(0);
        g.conf = s.f.conf;
        s.pl = fixture_open(&g, "t-0");
        CU_ASSERT_EQUAL(ends_of(s.pl).end_offset, END);
        expect_ranges(&s,
                      &(struct plog_damaged_range){ .from_offset = s.batches[last - 1].base,
                                                    .to_offset = s.batches[last].base },
                      1);
        plog_close(s.pl);
        fixture_fini(&g);
        s.pl = fixture_open(&s.f, "t-0");
        scene_fini(&s);
}

/* Who stumbles over rot before a check did has the log checked soon. */
static void test_suspected(void)
{
        struct plog_slice got;
        struct scene s;

        scene_init(&s, 0);
        scrub(s.pl, 1 << 20);
        CU_ASSERT(plog_checked_ms(s.pl) > 0);
        xor_at(&s, 1, ".log", BATCH_MAGIC_AT, 0x70);
        CU_ASSERT_EQUAL(read_at(s.pl, s.names[1], 1 << 20, &got), PLOG_E_DAMAGED);
        CU_ASSERT_EQUAL(plog_checked_ms(s.pl), 0);
        scrub(s.pl, 1 << 20);
        CU_ASSERT_EQUAL(ends_of(s.pl).damaged_ranges, 1);
        scene_fini(&s);
}

/* Ranges end with the records that are deleted, on disk as well. */
static void test_deleted(void)
{
        struct scene s;
        int64_t start;

        scene_init(&s, 0);
        xor_at(&s, s.batches[2].file, ".log", s.batches[2].pos + 80, 1);
        xor_at(&s, s.batches[30].file, ".log", s.batches[30].pos + 80, 1);
        scrub(s.pl, 1 << 20);
        CU_ASSERT_EQUAL(ends_of(s.pl).damaged_ranges, 2);
        CU_ASSERT_EQUAL(plog_delete_records(s.pl, s.batches[2].base + 1, &start), 0);
        expect_ranges(
                &s,
                (struct plog_damaged_range[]){ { .from_offset = s.batches[2].base + 1, .to_offset = s.batches[3].base },
                                               { .from_offset = s.batches[30].base, .to_offset = s.batches[31].base } },
                2);
        CU_ASSERT_EQUAL(plog_delete_records(s.pl, s.batches[3].base, &start), 0);
        for (int i = 0; i < 2; i++) {
                expect_ranges(&s,
                              &(struct plog_damaged_range){ .from_offset = s.batches[30].base,
                                                            .to_offset = s.batches[31].base },
                              1);
                reopen(&s);
        }
        /* Truncation finds its place behind damage that it cannot walk through. */
        xor_at(&s, s.batches[30].file, ".log", s.batches[30].pos + BATCH_LENGTH_AT + 2, 0x40);
        scrub(s.pl, 1 << 20);
        CU_ASSERT_EQUAL(ends_of(s.pl).damaged_ranges, 1);
        CU_ASSERT_EQUAL(s.batches[30].file, s.batches[35].file);
        CU_ASSERT_EQUAL(plog_truncate(s.pl, s.batches[35].base), 0);
        CU_ASSERT_EQUAL(ends_of(s.pl).failed, false);
        CU_ASSERT_EQUAL(ends_of(s.pl).end_offset, s.batches[35].base);
        CU_ASSERT_EQUAL(plog_truncate(s.pl, s.batches[30].base), 0);
        CU_ASSERT_EQUAL(ends_of(s.pl).damaged_ranges, 0);
        reopen(&s);
        CU_ASSERT_EQUAL(ends_of(s.pl).damaged_ranges, 0);
        CU_ASSERT_EQUAL(ends_of(s.pl).end_offset, s.batches[30].base);
        scene_fini(&s);
}

/* Appends, rolls, retention and truncation between two steps. */
static void test_meanwhile(void)
{
        struct plog_scrub *w;
        struct scene s;
        int r, steps = 0;
        int64_t start;

        scene_init(&s, 0);
        CU_ASSERT_EQUAL_FATAL(plog_scrub_begin(s.pl, &w), 0);
        while ((r = plog_scrub_step(w, 1)) == 1) {
                append_batch(s.pl, 60 + steps, -1);
                if (++steps == 2) {
                        CU_ASSERT_EQUAL(plog_delete_records(s.pl, s.names[2], &start), 0);
                        CU_ASSERT(plog_retain(s.pl, &(struct plog_retain_args){ .now_ms = NOW_MS,
                                                                                .below_offset = INT64_MAX }) > 0);
                }
        }
        CU_ASSERT_EQUAL(r, 0);
        CU_ASSERT(steps > 2);
        plog_scrub_end(w);
        wait_durable(s.pl);
        CU_ASSERT_EQUAL(ends_of(s.pl).damaged_ranges, 0);
        scrub(s.pl, 1 << 20);
        CU_ASSERT_EQUAL(ends_of(s.pl).damaged_ranges, 0);

        CU_ASSERT_EQUAL_FATAL(plog_scrub_begin(s.pl, &w), 0);
        CU_ASSERT_EQUAL(plog_scrub_step(w, 1), 1);
        CU_ASSERT_EQUAL(plog_truncate(s.pl, s.batches[40].base), 0);
        CU_ASSERT_EQUAL(plog_scrub_step(w, 1 << 20), PLOG_E_NOT_FOUND);
        plog_scrub_end(w);
        CU_ASSERT_EQUAL(ends_of(s.pl).damaged_ranges, 0);
        scrub(s.pl, 1 << 20);
        CU_ASSERT_EQUAL(ends_of(s.pl).damaged_ranges, 0);
        scene_fini(&s);
}

static void test_times(void)
{
        struct plog_position found;
        struct scene s;

        scene_init(&s, 0);
        xor_at(&s, s.batches[20].file, ".log", s.batches[20].pos + BATCH_LENGTH_AT, 0x40);
        scrub(s.pl, 1 << 20);
        CU_ASSERT(ends_of(s.pl).damaged_ranges == 1);
        /* The first record that can be read and is not older. */
        CU_ASSERT_EQUAL(plog_find_time(s.pl, NOW_MS + 200, INT64_MAX, &found), 0);
        CU_ASSERT(found.offset > s.batches[20].last && found.offset <= s.batches[25].base);
        CU_ASSERT_EQUAL(plog_find_time(s.pl, NOW_MS + 190, INT64_MAX, &found), 0);
        CU_ASSERT_EQUAL(found.offset, s.batches[19].base);
        CU_ASSERT_EQUAL(plog_find_max_time(s.pl, INT64_MAX, &found), 0);
        CU_ASSERT_EQUAL(found.offset, END - 1);
        scene_fini(&s);
}

/* The file "damage": one that is torn is not used, one of a newer version is not passed over. */
static void test_damage_file(void)
{
        struct disk_damage_header h = { .magic = htobe32(DAMAGE_MAGIC), .version = htobe16(FORMAT_VERSION + 1) };
        struct scene s;
        char path[600];

        scene_init(&s, 0);
        plog_close(s.pl);
        snprintf(path, sizeof path, "%s/t-0/%s", s.f.dir, DAMAGE_NAME);
        CU_ASSERT_EQUAL(file_replace(path, span_of("nonsense", 8)), 0);
        s.pl = fixture_open(&s.f, "t-0");
        CU_ASSERT_EQUAL(plog_checked_ms(s.pl), 0);
        scrub(s.pl, 1 << 20);
        expect_whole(&s);
        plog_close(s.pl);
        h.crc = htobe32(crc32c(0, &h, offsetof(struct disk_damage_header, crc)));
        CU_ASSERT_EQUAL(file_replace(path, span_of(&h, sizeof h)), 0);
        CU_ASSERT_EQUAL(fixture_try_open(&s.f, "t-0", &s.pl), -EPROTONOSUPPORT);
        CU_ASSERT_EQUAL(file_unlink(path), 0);
        s.pl = fixture_open(&s.f, "t-0");
        scene_fini(&s);
}

static const struct unit_case cases[] = {
        { "nothing is wrong", test_clean },
        { "gaps are no damage", test_gaps },
        { "each byte", test_each_byte },
        { "many bytes at random", test_random },
        { "another replica's bytes", test_mend },
        { "an index that is wrong", test_index },
        { "an index that lies", test_lying_index },
        { "a file cut short, a file gone", test_cut_and_gone },
        { "sectors that cannot be read", test_unreadable },
        { "a crash after a check", test_crash },
        { "rot that a reader finds", test_suspected },
        { "records deleted and truncated", test_deleted },
        { "while the log goes on", test_meanwhile },
        { "offsets by time", test_times },
        { "the file of damage", test_damage_file },
};
UNIT_MAIN("plog/scrub", cases)
