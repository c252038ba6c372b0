/* Opening a log whose folder was harmed in any way. Input: one byte that picks how the log was left (closed, crashed, empty, or
 * with transactions), then changes to its files, one after the other (see change()).
 * Either the log does not open, or: its ends are in order; reading gives whole batches in order and comes to the end or to
 * bytes that are refused; what is appended then is read back; opened once more it holds the same; after a check for rot all
 * that is served is right. */
#include "fuzz-plog.h"
#include "plog/scrub.h"
#include "wire/batch_records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
        FILES_MAX = 40,
        CHANGES_MAX = 10,
        FILE_LEN_MAX = 1 << 17,
        LEFT_CLOSED = 0,
        LEFT_CRASHED,
        LEFT_EMPTY,
        LEFT_COUNT,
        LEFT_TXN = LEFT_COUNT, /* picked by a bit of its own */
        TEMPLATES
};

#define NOW_MS 1700000000000

struct file {
        char name[48];
        uint8_t *data;
        size_t len;
};

struct folder {
        struct file files[FILES_MAX];
        unsigned count;
};

static struct iopool *pool;
static struct plog_store *store;
static struct folder templates[TEMPLATES];

/* ---- folders ---- */

static void folder_add(struct folder *fo, const char *name, const void *data, size_t len)
{
        struct file *f;

        if (fo->count == FILES_MAX)
                return;
        f = &fo->files[fo->count++];
        snprintf(f->name, sizeof f->name, "%s", name);
        f->data = malloc(len + 1);
        f->len = len;
        memcpy(f->data, data, len);
}

static void folder_free(struct folder *fo)
{
        for (unsigned i = 0; i < fo->count; i++)
                free(fo->files[i].data);
        fo->count = 0;
}

static int compare_files(const void *a, const void *b)
{
        return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

struct reading {
        struct folder *folder;
        const char *dir;
};

static int read_one(void *arg, const char *name)
{
        struct reading *rd = arg;
        char path[256], *data;
        size_t len;

        snprintf(path, sizeof path, "%s/%.100s", rd->dir, name);
        assert(!file_read_whole(path, FILE_LEN_MAX, &data, &len));
        folder_add(rd->folder, name, data, len);
        free(data);
        return 0;
}

static void folder_read(struct folder *fo, const char *dir)
{
        struct reading rd = { fo, dir };

        assert(!file_list(dir, read_one, &rd));
        qsort(fo->files, fo->count, sizeof *fo->files, compare_files); /* an input means the same in every run */
}

static void folder_write(const struct folder *fo, const char *dir)
{
        char path[256];

        assert(!file_remove_tree(dir) && !file_mkdirs(dir));
        for (unsigned i = 0; i < fo->count; i++) {
                snprintf(path, sizeof path, "%s/%s", dir, fo->files[i].name);
                fuzz_write(path, fo->files[i].data, fo->files[i].len);
        }
}

/* ---- a log ---- */

static int log_open(const char *dir, struct plog **ret)
{
        return plog_open(store,
                         &(struct plog_open_args){ .dir = dir,
                                                   .name = "t-0",
                                                   .topic_id = { { 1, 2, 3 } },
                                                   .conf = { .segment_bytes = 1200,
                                                             .segment_ms = INT64_MAX / 4,
                                                             .index_interval_bytes = 100,
                                                             .retention_ms = -1,
                                                             .retention_bytes = -1,
                                                             .cleanup_delete = true,
                                                             .flush_before_ack = true,
                                                             .flush_ms = INT64_MAX,
                                                             .flush_messages = INT64_MAX,
                                                             .producer_expiry_ms = 1000 } },
                         ret);
}

static int log_append(struct plog *pl, int i, struct plog_append_result *ret)
{
        struct batch_build_args a = batch_build_args();
        struct batch_builder b;
        struct strbuf out = { 0 };
        char value[100];
        int r;

        memset(value, 'a' + i % 26, sizeof value);
        if (i % 3) {
                a.producer_id = 7 + i % 3;
                a.producer_epoch = 0;
                a.base_sequence = i / 3 * 2;
        }
        batch_builder_init(&b, &a);
        for (int k = 0; k < 2; k++)
                assert(!batch_builder_add(&b, &(struct batch_record){ .offset = k,
                                                                      .timestamp = NOW_MS + i * 10 + k,
                                                                      .value = span_of(value, sizeof value) }));
        assert(!batch_builder_finish(&b, &out));
        batch_builder_fini(&b);
        r = plog_append(pl,
                        &(struct plog_append_args){ .batch = (uint8_t *)out.data,
                                                    .len = out.len,
                                                    .leader_epoch = i / 6,
                                                    .now_ms = NOW_MS + i * 10,
                                                    .keep_base_offset = -1 },
                        ret);
        strbuf_fini(&out);
        return r;
}

static void wait_durable(struct plog *pl)
{
        for (int i = 0; i < 100000; i++) {
                struct plog_ends e;

                plog_ends(pl, &e);
                if (e.failed || e.durable_end_offset == e.end_offset)
                        return;
                usleep(20);
        }
        abort();
}

/* Twenty batches over several segments, closed once in between, so that there is a checkpoint behind which more lies. */
static void make_templates(const char *dir)
{
        struct plog_append_result res;
        struct plog *pl;

        assert(!log_open(dir, &pl));
        plog_close(pl);
        folder_read(&templates[LEFT_EMPTY], dir);
        for (int part = 0; part < 2; part++) {
                assert(!log_open(dir, &pl));
                for (int i = part * 10; i < part * 10 + 10; i++) {
                        assert(!log_append(pl, i, &res));
                        wait_durable(pl);
                }
                if (part == 1)
                        folder_read(&templates[LEFT_CRASHED], dir);
                plog_close(pl);
        }
        folder_read(&templates[LEFT_CLOSED], dir);
}

static void append_txn(struct plog *pl, int i)
{
        struct plog_append_result res;
        struct batch_build_args a = batch_build_args();
        struct batch_builder b;
        struct strbuf out = { 0 };
        char value[60] = { 0 };

        a.producer_id = 20 + i % 3;
        a.producer_epoch = 0;
        a.base_sequence = i / 3;
        a.transactional = true;
        batch_builder_init(&b, &a);
        assert(!batch_builder_add(
                &b, &(struct batch_record){ .timestamp = NOW_MS + i * 10, .value = span_of(value, sizeof value) }));
        assert(!batch_builder_finish(&b, &out));
        batch_builder_fini(&b);
        assert(!plog_append(
                pl,
                &(struct plog_append_args){
                        .batch = (uint8_t *)out.data, .len = out.len, .now_ms = NOW_MS, .keep_base_offset = -1 },
                &res));
        strbuf_fini(&out);
        if (i % 4 == 3)
                assert(!plog_append_marker(pl,
                                           &(struct plog_marker_args){ .producer_id = 20 + (i + 1) % 3,
                                                                       .commit = i % 8 == 3,
                                                                       .now_ms = NOW_MS },
                                           &res));
}

/* Transactions of three producers over several segments, some aborted, some open; a checkpoint in between. */
static void make_txn_template(const char *dir)
{
        struct plog *pl;

        for (int part = 0; part < 2; part++) {
                assert(!log_open(dir, &pl));
                for (int i = part * 20; i < part * 20 + 20; i++) {
                        append_txn(pl, i);
                        wait_durable(pl);
                }
                if (part == 1) {
                        pthread_mutex_lock(&pl->work); /* files do not come and go while they are read */
                        folder_read(&templates[LEFT_TXN], dir);
                        pthread_mutex_unlock(&pl->work);
                }
                plog_close(pl);
        }
}

static void set_up(void)
{
        char dir[128];
        const char *why;

        snprintf(dir, sizeof dir, "%s/store", fuzz_dir_get());
        assert(!iopool_new(1, &pool));
        assert(!plog_store_open(&(struct plog_store_config){ .dir = dir, .pool = pool, .files_open_max = 8 }, &store,
                                &why));
        snprintf(dir, sizeof dir, "%s/template", fuzz_dir_get());
        make_templates(dir);
        snprintf(dir, sizeof dir, "%s/template-txn", fuzz_dir_get());
        make_txn_template(dir);
}

/* ---- changes ---- */

static bool has_suffix(const char *name, const char *suffix)
{
        size_t n = strlen(name), k = strlen(suffix);

        return n >= k && !strcmp(name + n - k, suffix);
}

static void mend(struct file *f)
{
        static const struct {
                const char *suffix;
                void (*fn)(uint8_t *bytes, size_t len);
        } menders[] = {
                { SEGMENT_SUFFIX, mend_batches },   { INDEX_SUFFIX, mend_index },
                { SNAPSHOT_SUFFIX, mend_snapshot }, { EPOCHS_NAME, mend_epochs },
                { ABORTED_SUFFIX, mend_aborted },   { CHECKPOINT_NAME, mend_checkpoint },
                { PARTITION_META_NAME, mend_meta },
        };

        for (size_t i = 0; i < ARRAY_LEN(menders); i++)
                if (has_suffix(f->name, menders[i].suffix))
                        menders[i].fn(f->data, f->len);
}

static void set_number(struct file *f, size_t pos, uint8_t which)
{
        static const uint64_t numbers[] = { 0,
                                            1,
                                            UINT64_MAX,
                                            INT64_MAX,
                                            (uint64_t)INT64_MAX - 1,
                                            INT32_MAX,
                                            UINT32_MAX,
                                            (uint64_t)INT64_MIN,
                                            1u << 31,
                                            42,
                                            0x7fffffff00000000 };
        uint8_t be[8];

        store_be64(be, numbers[which % ARRAY_LEN(numbers)]);
        for (size_t i = 0; i < 8 && pos + i < f->len; i++)
                f->data[pos + i] = be[i];
}

/* More bytes behind the end: of one value, or the file's own beginning again. */
static void extend(struct file *f, size_t len, uint8_t byte)
{
        uint8_t *grown = realloc(f->data, f->len + len + 1);

        assert(grown);
        f->data = grown;
        for (size_t i = 0; i < len; i++)
                grown[f->len + i] = byte == 1 && f->len ? grown[i] : byte;
        f->len += len;
}

/* A segment's own bytes were changed, or its index, which may lie with a right checksum here. What is read then depends on
 * where reading begins: base offsets have no checksum of their own in Kafka's format, rotten bytes are found by scrubbing or
 * by clients, and a footer's word is believed when it is first looked at. Nothing may crash or move an end. */
static bool rotten;

static bool change(struct folder *fo, struct cursor *c)
{
        static const char *const suffixes[] = { SEGMENT_SUFFIX, INDEX_SUFFIX, SNAPSHOT_SUFFIX };
        uint8_t op = cursor_u8(c), which = cursor_u8(c);
        uint16_t at = cursor_be16(c);
        uint8_t arg = cursor_u8(c);
        struct file *f = &fo->files[which % fo->count];
        size_t pos = at % (f->len + 1);
        char name[48];

        if (!cursor_ok(c))
                return false;
        rotten |= strstr(f->name, SEGMENT_SUFFIX) || strstr(f->name, INDEX_SUFFIX);
        if (fuzz_tells())
                fprintf(stderr, "op %d %s (%zu bytes) at %zu arg %d\n", op % 9, f->name, f->len, pos, arg);
        switch (op % 9) {
        case 0: /* other bytes */
                for (size_t i = 0; i < arg % 16u && pos + i < f->len; i++)
                        f->data[pos + i] = cursor_u8(c);
                return cursor_ok(c);
        case 1:
                f->len = pos;
                return true;
        case 2:
                extend(f, at % 1024, arg);
                return true;
        case 3: /* removed */
                free(f->data);
                *f = fo->files[--fo->count];
                return fo->count > 0;
        case 4: /* the rest of the input instead of its content */
                f->len = MIN2((size_t)at, cursor_left(c));
                free(f->data);
                f->data = malloc(f->len + 1);
                if (f->len)
                        memcpy(f->data, cursor_take(c, f->len), f->len);
                return true;
        case 5: /* the same once more under another name */
                snprintf(name, sizeof name, "%020llu%s", (unsigned long long)((uint64_t)at << (arg % 48)),
                         suffixes[arg % 3]);
                folder_add(fo, name, f->data, f->len);
                return true;
        case 6:
                mend(f);
                return true;
        case 7:
                set_number(f, pos, arg);
                return true;
        case 8: /* bits turned over */
                if (pos < f->len)
                        f->data[pos] ^= arg;
                return true;
        }
        return false;
}

/* ---- what must hold ---- */

struct content {
        struct plog_ends ends;
        int64_t read_to; /* where reading stopped */
        uint32_t crc;    /* of what was read */
        int stopped_by;  /* outcome */
};

/* Whole batches, in order, none below @at. A long slice is vouched for by the index: what the headers in the middle say is
 * not looked at (base offsets have no checksum of their own in Kafka's format). */
static int64_t check_slice(const struct plog_slice *s, int64_t at, bool short_slice, uint32_t *crc)
{
        uint8_t *buf = malloc(s->len);
        int64_t next = s->first_offset;
        struct batch_header h;

        assert(buf && !plog_slice_copy(s, buf));
        for (size_t pos = 0; pos < s->len; pos += batch_len(&h)) {
                if (!short_slice &&
                    (batch_parse_header(span_of(buf + pos, s->len - pos), &h) || batch_len(&h) > s->len - pos))
                        break; /* rotten in the middle: clients find it by its CRC */
                assert(!batch_parse_header(span_of(buf + pos, s->len - pos), &h));
                assert(batch_len(&h) <= s->len - pos);
                assert(!short_slice || (h.base_offset >= next && batch_last_offset(&h) >= h.base_offset));
                next = batch_last_offset(&h) + 1;
        }
        assert(s->next_offset > at && (!short_slice || next == s->next_offset));
        *crc = crc32c(*crc, buf, s->len);
        free(buf);
        return s->next_offset;
}

/* Whatever is said of transactions is in order and within what was asked. */
static void ask_transactions(struct plog *pl, const struct plog_ends *ends)
{
        int64_t stable = plog_stable_offset(pl, ends->end_offset);
        struct plog_aborted *list = NULL;
        size_t count;

        assert(stable >= ends->start_offset && stable <= ends->end_offset);
        if (plog_aborted(pl, ends->start_offset, stable, true, &list, &count))
                return;
        for (size_t i = 0; i < count; i++) {
                assert(list[i].first_offset < stable && list[i].last_offset >= ends->start_offset);
                assert(!i || list[i - 1].first_offset <= list[i].first_offset);
        }
        free(list);
}

static struct content read_log(struct plog *pl, size_t len_max)
{
        struct content c = { 0 };
        struct plog_position found;
        int64_t at, end;
        int r;

        plog_ends(pl, &c.ends);
        assert(0 <= c.ends.start_offset && c.ends.start_offset <= c.ends.durable_end_offset &&
               c.ends.durable_end_offset <= c.ends.end_offset && !c.ends.failed);
        at = c.ends.start_offset;
        for (;;) {
                struct plog_slice s;

                r = plog_read(pl,
                              &(struct plog_read_args){ .from_offset = at,
                                                        .below_offset = INT64_MAX,
                                                        .len_max = len_max,
                                                        .at_least_one = true },
                              true, &s);
                if (r == PLOG_E_DAMAGED && damage_at(&pl->damage, at)) {
                        at = damage_at(&pl->damage, at)->to_offset; /* said to be lost; behind it the log goes on */
                        continue;
                }
                if (r || !s.len)
                        break;
                at = check_slice(&s, at, len_max == 1, &c.crc);
                plog_slice_release(&s);
        }
        c.stopped_by = r;
        c.read_to = at;
        assert(rotten || at <= c.ends.end_offset);
        r = plog_find_time(pl, NOW_MS + 55, INT64_MAX, &found);
        assert(r || (found.offset >= c.ends.start_offset && found.offset < c.ends.end_offset));
        r = plog_find_max_time(pl, INT64_MAX, &found);
        assert(r || (found.offset >= c.ends.start_offset && found.offset < c.ends.end_offset));
        (void)plog_epoch_end(pl, 2, &(int32_t){ 0 }, &end);
        (void)plog_epoch_at(pl, c.ends.start_offset);
        ask_transactions(pl, &c.ends);
        if (fuzz_tells())
                fprintf(stderr,
                        "start %lld durable %lld end %lld damaged %lld in %u read to %lld crc %08x outcome %d\n",
                        (long long)c.ends.start_offset, (long long)c.ends.durable_end_offset,
                        (long long)c.ends.end_offset, (long long)c.ends.damaged_offsets, c.ends.damaged_ranges,
                        (long long)c.read_to, c.crc, c.stopped_by);
        return c;
}

static void append_more(struct plog *pl)
{
        struct plog_append_result res;
        struct plog_ends before, after;
        struct plog_slice s;
        int r;

        plog_ends(pl, &before);
        r = log_append(pl, 3, &res); /* 3: without a producer, so that no old state can refuse it */
        plog_ends(pl, &after);
        assert(r == 0 || after.end_offset == before.end_offset);
        if (r)
                return;
        assert(res.base_offset == before.end_offset);
        r = plog_read(pl,
                      &(struct plog_read_args){
                              .from_offset = res.base_offset, .below_offset = INT64_MAX, .len_max = 1 << 20 },
                      true, &s);
        assert(!r && s.len && s.first_offset == res.base_offset && s.next_offset == res.last_offset + 1);
        plog_slice_release(&s);
        wait_durable(pl);
}

/* After a check all that is served is right, whatever was done to the files, and what is not served is said to be damaged. */
static void check_scrubbed(struct plog *pl, size_t len_max)
{
        struct plog_scrub *w;
        struct plog_ends ends;
        struct plog_slice s;
        int r;

        assert(!plog_scrub_begin(pl, &w));
        do
                r = plog_scrub_step(w, 1000);
        while (r == 1);
        assert(!r);
        plog_scrub_end(w);
        plog_ends(pl, &ends);
        for (int64_t at = ends.start_offset; at < ends.end_offset; at = s.next_offset) {
                struct batch_iter it;
                struct batch_header h;
                struct span b;
                uint8_t *buf;

                r = plog_read(pl,
                              &(struct plog_read_args){ .from_offset = at,
                                                        .below_offset = INT64_MAX,
                                                        .len_max = len_max,
                                                        .at_least_one = true },
                              true, &s);
                if (r == PLOG_E_DAMAGED) {
                        const struct plog_damaged_range *d = damage_at(&pl->damage, at);

                        d = d ? d : damage_after(&pl->damage, at);
                        assert(d);
                        s.next_offset = d->to_offset;
                        continue;
                }
                assert(!r);
                if (!s.len)
                        return; /* offsets that no batch has any more */
                buf = malloc(s.len);
                assert(buf && !plog_slice_copy(&s, buf));
                it = batch_iter_of(span_of(buf, s.len));
                for (int64_t next = s.first_offset; !batch_iter_next(&it, &b, &h); next = batch_last_offset(&h) + 1)
                        assert(!batch_check_crc(b, &h) && h.base_offset >= next);
                assert(!it.left.len);
                free(buf);
                plog_slice_release(&s);
        }
}

static void check_log(const char *dir, size_t len_max)
{
        struct content first, second;
        struct plog *pl;
        int r;

        r = log_open(dir, &pl);
        assert(r <= 0);
        if (r)
                return;
        (void)read_log(pl, len_max); /* the first start may put files in order that were never ours */
        plog_close(pl);

        assert(!log_open(dir, &pl));
        first = read_log(pl, len_max);
        plog_close(pl);

        assert(!log_open(dir, &pl));
        second = read_log(pl, len_max);
        assert(first.ends.start_offset == second.ends.start_offset && first.ends.end_offset == second.ends.end_offset);
        /* A segment that was cut short below the checkpoint may be noticed only when it is read; a later start, which looks
         * closer once anything is lost, then refuses it from the beginning. */
        assert(rotten || first.stopped_by == PLOG_E_DAMAGED ||
               (first.read_to == second.read_to && first.crc == second.crc && first.stopped_by == second.stopped_by));
        append_more(pl);
        second = read_log(pl, len_max);
        plog_close(pl);

        assert(!log_open(dir, &pl));
        first = read_log(pl, len_max);
        assert(first.ends.end_offset == second.ends.end_offset);
        assert(rotten || second.stopped_by == PLOG_E_DAMAGED ||
               (first.read_to == second.read_to && first.crc == second.crc));
        check_scrubbed(pl, len_max);
        plog_close(pl);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct cursor c = cursor_of(span_of(data, size));
        struct folder fo = { .count = 0 };
        const struct folder *from;
        char dir[128];
        uint8_t how = cursor_u8(&c);

        rotten = false;
        if (!store)
                set_up();
        from = &templates[how & 0x80 ? LEFT_TXN : how % LEFT_COUNT];
        for (unsigned i = 0; i < from->count; i++)
                folder_add(&fo, from->files[i].name, from->files[i].data, from->files[i].len);
        for (int i = 0; i < CHANGES_MAX && fo.count && change(&fo, &c); i++)
                ;
        snprintf(dir, sizeof dir, "%s/t-0", fuzz_dir_get());
        folder_write(&fo, dir);
        folder_free(&fo);
        check_log(dir, how & 4 ? 1 : 100000);
        return 0;
}
