/* Goal: a follower's log that takes runs of batches is byte for byte the leader's, knows the same epochs, producers and
 * transactions, and can begin anew anywhere. Method: a leader's log with everything in it, copied in pieces of many
 * sizes into another one, which is compared at the end and after a new opening; then runs that must be refused, a disk
 * that is full, and crashes after a restart. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "plog-fixture.h"

static atomic_bool disk_is_full;
static atomic_bool no_side_files; /* no room for what is shorter than any batch; threads of the pool write it */
static atomic_int side_files_refused;

int __real_file_pwrite_all(int fd, const void *data, size_t len, int64_t pos);
int __wrap_file_pwrite_all(int fd, const void *data, size_t len, int64_t pos);

int __wrap_file_pwrite_all(int fd, const void *data, size_t len, int64_t pos)
{
        if (no_side_files && len <= 60) {
                side_files_refused++;
                return -ENOSPC;
        }
        if (!disk_is_full)
                return __real_file_pwrite_all(fd, data, len, pos);
        (void)__real_file_pwrite_all(fd, data, len / 2, pos);
        return -ENOSPC;
}

static uint32_t chance(uint32_t *state)
{
        *state = *state * 1664525u + 1013904223u;
        return *state >> 8;
}

/* Batches of several epochs, producers and sizes, and transactions that end either way. */
static void fill(struct plog *pl, uint32_t *seed)
{
        struct plog_append_result res;
        int32_t sequences[4] = { 0 }, epoch = 0;

        for (int i = 0; i < 400; i++) {
                uint32_t producer = chance(seed) % 4;
                struct batch_want w = { .count = 1 + (int32_t)(chance(seed) % 5),
                                        .value_len = chance(seed) % 900,
                                        .fill = (uint8_t)i,
                                        .producer_id = producer ? 100 + producer : 0,
                                        .sequence = sequences[producer],
                                        .transactional = producer != 0,
                                        .leader_epoch = epoch };

                CU_ASSERT_EQUAL_FATAL(append_want(pl, &w, &res), PLOG_OK);
                sequences[producer] += w.count;
                if (chance(seed) % 40 == 0)
                        epoch += 1 + (int32_t)(chance(seed) % 3);
                for (int64_t id = 101; chance(seed) % 3 == 0 && id <= 103; id++) /* several markers in a row */
                        CU_ASSERT_EQUAL_FATAL(plog_append_marker(pl,
                                                                 &(struct plog_marker_args){ .producer_id = id,
                                                                                             .coordinator_epoch = 1,
                                                                                             .leader_epoch = epoch,
                                                                                             .commit = chance(seed) & 1,
                                                                                             .now_ms = NOW_MS },
                                                                 &res),
                                              PLOG_OK);
        }
}

/* All bytes from @from on, with @ret_len. */
static uint8_t *bytes_of(struct plog *pl, int64_t from, size_t *ret_len)
{
        uint8_t *all = NULL;
        size_t len = 0;

        for (int64_t at = from;;) {
                struct plog_slice s;

                CU_ASSERT_EQUAL_FATAL(plog_read(pl,
                                                &(struct plog_read_args){ .from_offset = at,
                                                                          .below_offset = INT64_MAX,
                                                                          .len_max = 1 << 20,
                                                                          .at_least_one = true },
                                                true, &s),
                                      0);
                if (!s.len)
                        break;
                all = realloc(all, len + s.len);
                CU_ASSERT_EQUAL_FATAL(plog_slice_copy(&s, all + len), 0);
                len += s.len;
                at = s.next_offset;
                plog_slice_release(&s);
        }
        *ret_len = len;
        return all;
}

static int append_bytes(struct plog *pl, const void *data, size_t len, struct plog_run_result *ret)
{
        return plog_append_run(pl, &(struct plog_run_args){ .batches = span_of(data, len), .now_ms = NOW_MS }, ret);
}

static void same(struct plog *a, struct plog *b)
{
        size_t a_len, b_len;
        uint8_t *a_bytes = bytes_of(a, 0, &a_len), *b_bytes = bytes_of(b, 0, &b_len);

        CU_ASSERT_EQUAL_FATAL(a_len, b_len);
        CU_ASSERT_EQUAL(memcmp(a_bytes, b_bytes, a_len), 0);
        for (int64_t back = 1; back <= 100; back += 3) { /* near the end, where memory knows the places */
                size_t len;
                uint8_t *tail = bytes_of(b, ends_of(b).end_offset - back, &len);

                CU_ASSERT_FATAL(len <= a_len);
                CU_ASSERT_EQUAL(memcmp(a_bytes + a_len - len, tail, len), 0);
                free(tail);
        }
        free(a_bytes);
        free(b_bytes);
        CU_ASSERT_EQUAL(ends_of(a).end_offset, ends_of(b).end_offset);
        CU_ASSERT_EQUAL(ends_of(a).unstable_offset, ends_of(b).unstable_offset);
        CU_ASSERT_EQUAL(plog_latest_epoch(a), plog_latest_epoch(b));
        for (int64_t at = 0; at < ends_of(a).end_offset; at++)
                CU_ASSERT_EQUAL(plog_epoch_at(a, at), plog_epoch_at(b, at));
}

/* As the leader's producers continue, so they do on the copy. */
static void same_producers(struct plog *a, struct plog *b)
{
        for (int64_t id = 101; id <= 103; id++)
                for (int32_t sequence = 0; sequence < 400; sequence++) {
                        struct batch_want w = { .producer_id = id, .sequence = sequence, .transactional = true };
                        struct plog_append_result ra = { 0 }, rb = { 0 };
                        int r = append_want(a, &w, &ra);

                        CU_ASSERT_EQUAL_FATAL(append_want(b, &w, &rb), r);
                        CU_ASSERT_EQUAL(ra.base_offset, rb.base_offset);
                }
}

static void test_copy(void)
{
        for (uint32_t round = 1; round <= 8; round++) {
                uint32_t seed = round;
                struct fixture f;
                struct plog *leader, *follower;
                struct plog_run_result res;
                uint8_t *bytes;
                size_t len;

                fixture_init(&f);
                f.conf.segment_bytes = 20000;
                leader = fixture_open(&f, "l-0");
                f.conf.segment_bytes = round & 1 ? 20000 : 33000;
                follower = fixture_open(&f, "f-0");
                fill(leader, &seed);
                bytes = bytes_of(leader, 0, &len);
                for (size_t at = 0; at < len;) { /* pieces are cut anywhere */
                        size_t piece = 1 + chance(&seed) % (round < 4 ? 6000 : 60000);
                        int r = append_bytes(follower, bytes + at, piece < len - at ? piece : len - at, &res);

                        CU_ASSERT_FATAL(r == PLOG_OK || r == -EINVAL);
                        CU_ASSERT_EQUAL_FATAL(res.end_offset, ends_of(follower).end_offset);
                        at += res.len;
                }
                free(bytes);
                same(leader, follower);
                wait_durable(follower);
                plog_close(follower);
                follower = fixture_open(&f, "f-0");
                same(leader, follower);
                same_producers(leader, follower);
                plog_close(follower);
                plog_close(leader);
                fixture_fini(&f);
        }
}

static void test_refused(void)
{
        struct plog_run_result res;
        struct plog *leader, *follower;
        struct fixture f;
        uint8_t *bytes;
        size_t len, first;

        fixture_init(&f);
        leader = fixture_open(&f, "l-0");
        follower = fixture_open(&f, "f-0");
        for (int i = 0; i < 3; i++)
                append_want(leader, &(struct batch_want){ .count = 2, .leader_epoch = 3 + i },
                            &(struct plog_append_result){ 0 });
        bytes = bytes_of(leader, 0, &len);
        first = len / 3;
        CU_ASSERT_EQUAL(append_bytes(follower, bytes, first - 1, &res), -EINVAL); /* cut short */
        CU_ASSERT(res.len == 0 && res.end_offset == 0);
        CU_ASSERT_EQUAL(append_bytes(follower, bytes, len - 1, &res), -EINVAL); /* what was whole is in */
        CU_ASSERT(res.len == 2 * first && res.end_offset == 4);
        CU_ASSERT_EQUAL(append_bytes(follower, bytes + first, first, &res), -EINVAL); /* once more */
        CU_ASSERT(res.len == 0 && res.end_offset == 4);
        bytes[2 * first + BATCH_LEADER_EPOCH_AT + 3] = 3; /* an epoch that goes back */
        CU_ASSERT_EQUAL(append_bytes(follower, bytes + 2 * first, first, &res), -EINVAL);
        bytes[2 * first + BATCH_LEADER_EPOCH_AT + 3] = 5;
        bytes[first + BATCH_LEADER_EPOCH_AT + 3] = 2; /* ... within one run */
        CU_ASSERT_EQUAL(plog_truncate(follower, 0), 0);
        CU_ASSERT_EQUAL(append_bytes(follower, bytes, len, &res), -EINVAL);
        CU_ASSERT(res.len == first && res.end_offset == 2);
        bytes[first + BATCH_LEADER_EPOCH_AT + 3] = 4;
        /* A gap is the leader's business. */
        CU_ASSERT_EQUAL(append_bytes(follower, bytes + 2 * first, first, &res), PLOG_OK);
        CU_ASSERT_EQUAL(res.end_offset, 6);
        plog_close(follower);
        CU_ASSERT_EQUAL(append_bytes(leader, NULL, 0, &res), PLOG_OK);
        plog_ref(leader);
        plog_close(leader);
        CU_ASSERT_EQUAL(append_bytes(leader, bytes, len, &res), PLOG_E_CLOSED);
        plog_unref(leader);
        free(bytes);
        fixture_fini(&f);
}

static void test_full_disk(void)
{
        struct plog *leader, *follower;
        struct plog_run_result res;
        struct file_info info;
        uint32_t seed = 77;
        struct fixture f;
        char path[100];
        uint8_t *bytes;
        size_t len;

        fixture_init(&f);
        leader = fixture_open(&f, "l-0");
        follower = fixture_open(&f, "f-0");
        fill(leader, &seed);
        bytes = bytes_of(leader, 0, &len);
        CU_ASSERT_EQUAL(append_bytes(follower, bytes, len / 2, &res), -EINVAL);
        diag_set_level(0);
        disk_is_full = true;
        len -= res.len;
        CU_ASSERT_EQUAL(append_bytes(follower, bytes + res.len, len, &(struct plog_run_result){ 0 }), -ENOSPC);
        disk_is_full = false;
        snprintf(path, sizeof path, "%.50s/f-0/00000000000000000000.log", f.dir);
        CU_ASSERT_EQUAL(file_info(path, &info), 0);
        CU_ASSERT_EQUAL(info.size, ends_of(follower).size_bytes); /* half a batch was cut back */
        CU_ASSERT_EQUAL(append_bytes(follower, bytes + res.len, len, &res), PLOG_OK);
        free(bytes);
        same(leader, follower);
        same_producers(leader, follower);
        plog_close(follower);
        plog_close(leader);
        fixture_fini(&f);
}

/* What goes with the records finds no room: they wait, and nothing has failed. */
static void test_no_room_for_side_files(void)
{
        struct plog_append_result res;
        struct fixture f;
        struct plog *pl;

        fixture_init(&f);
        for (int known = 0; known < 2; known++) { /* a new folder, whose identity is to be written; a new epoch in it */
                struct batch_want w = { .count = 2, .leader_epoch = known };

                pl = fixture_open(&f, "t-0");
                diag_set_level(0);
                side_files_refused = 0;
                no_side_files = true;
                CU_ASSERT_EQUAL(append_want(pl, &w, &res), PLOG_OK);
                for (int i = 0; i < 20000 && !side_files_refused; i++)
                        usleep(500);
                CU_ASSERT_FATAL(side_files_refused > 0);
                CU_ASSERT_EQUAL(append_want(pl, &w, &res), PLOG_OK);
                CU_ASSERT(!ends_of(pl).failed);
                CU_ASSERT_EQUAL(ends_of(pl).durable_end_offset, known * 4);
                no_side_files = false;
                for (int i = 0; i < 20000 && ends_of(pl).durable_end_offset < ends_of(pl).end_offset; i++) {
                        plog_store_tick(f.store, clock_mono_ms());
                        usleep(500);
                }
                CU_ASSERT_EQUAL(ends_of(pl).durable_end_offset, known * 4 + 4);
                diag_set_level(DIAG_ERROR);
                plog_close(pl);
        }
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL(plog_epoch_at(pl, 3), 0);
        CU_ASSERT_EQUAL(plog_epoch_at(pl, 4), 1);
        plog_close(pl);
        fixture_fini(&f);
}

/* A follower that is far behind drops all and goes on where the leader begins. */
static void test_restart(void)
{
        struct plog_run_result res;
        struct plog *leader, *follower, *pl;
        struct fixture f, crashed;
        char copy[64];
        uint8_t *bytes;
        int64_t start;
        size_t len;
        uint32_t seed = 5;

        fixture_init(&f);
        f.conf.segment_bytes = 20000;
        leader = fixture_open(&f, "l-0");
        follower = fixture_open(&f, "f-0");
        for (int i = 0; i < 50; i++)
                append_simple(follower, 1, 700, 'o');
        fill(leader, &seed);
        start = ends_of(leader).end_offset / 2;
        bytes = bytes_of(leader, start, &len);
        start = (int64_t)load_be64(bytes);
        CU_ASSERT_EQUAL(plog_restart(follower, start), 0);
        CU_ASSERT(ends_of(follower).start_offset == start && ends_of(follower).end_offset == start &&
                  ends_of(follower).durable_end_offset == start && ends_of(follower).size_bytes == 0);
        CU_ASSERT_EQUAL(plog_latest_epoch(follower), -1);
        snprintf(copy, sizeof copy, "%.50s-crashed", f.dir);
        copy_tree(f.dir, copy);
        fixture_init_at(&crashed, copy);
        pl = fixture_open(&crashed, "f-0"); /* it is on the disk */
        CU_ASSERT(ends_of(pl).start_offset == start && ends_of(pl).end_offset == start);
        plog_close(pl);
        fixture_fini(&crashed);
        plog_close(follower);
        follower = fixture_open(&f, "f-0");
        CU_ASSERT(ends_of(follower).start_offset == start && ends_of(follower).end_offset == start);
        CU_ASSERT_EQUAL(append_bytes(follower, bytes, len, &res), PLOG_OK);
        CU_ASSERT_EQUAL(ends_of(follower).end_offset, ends_of(leader).end_offset);
        wait_durable(follower);
        plog_close(follower);
        follower = fixture_open(&f, "f-0");
        for (int64_t at = start; at < ends_of(leader).end_offset; at++)
                CU_ASSERT_EQUAL(plog_epoch_at(follower, at), plog_epoch_at(leader, at));
        CU_ASSERT_EQUAL(plog_restart(follower, 3), 0); /* back, too */
        CU_ASSERT(ends_of(follower).start_offset == 3 && ends_of(follower).end_offset == 3);
        CU_ASSERT_EQUAL(append_simple(follower, 1, 10, 'x'), 3);
        free(bytes);
        plog_close(follower);
        plog_close(leader);
        fixture_fini(&f);
}

/* An epoch in which nothing was written is forgotten by one who follows, also when the file still has it after a crash. */
static void test_forget_epochs(void)
{
        struct fixture f, crashed;
        struct plog *pl;
        char copy[64], path[100], *epochs;
        size_t epochs_len;
        int32_t epoch;
        int64_t end;

        fixture_init(&f);
        pl = fixture_open(&f, "t-0");
        append_want(pl, &(struct batch_want){ .count = 2, .leader_epoch = 3 }, &(struct plog_append_result){ 0 });
        CU_ASSERT_EQUAL(plog_assign_epoch(pl, 5), 0);
        plog_close(pl);
        snprintf(path, sizeof path, "%.50s/t-0/epochs", f.dir);
        CU_ASSERT_EQUAL(file_read_whole(path, 10000, &epochs, &epochs_len), 0);
        pl = fixture_open(&f, "t-0");
        CU_ASSERT_EQUAL(plog_latest_epoch(pl), 5);
        plog_forget_epochs(pl);
        CU_ASSERT_EQUAL(plog_latest_epoch(pl), 3);
        append_want(pl, &(struct batch_want){ .count = 2, .leader_epoch = 4 }, &(struct plog_append_result){ 0 });
        CU_ASSERT_EQUAL(plog_epoch_end(pl, 3, &epoch, &end), 0);
        CU_ASSERT(epoch == 3 && end == 2);
        /* The batch is on the disk, and the epochs are as they were before. */
        snprintf(copy, sizeof copy, "%.50s-crashed", f.dir);
        wait_durable(pl);
        copy_tree(f.dir, copy);
        snprintf(path, sizeof path, "%.50s/t-0/epochs", copy);
        CU_ASSERT_EQUAL(file_replace(path, span_of(epochs, epochs_len)), 0);
        free(epochs);
        fixture_init_at(&crashed, copy);
        plog_close(pl);
        pl = fixture_open(&crashed, "t-0");
        CU_ASSERT_EQUAL(plog_epoch_at(pl, 1), 3);
        CU_ASSERT_EQUAL(plog_epoch_at(pl, 2), 4);
        plog_close(pl);
        fixture_fini(&crashed);
        fixture_fini(&f);
}

static const struct unit_case cases[] = {
        { "the copy is the same", test_copy }, { "what is not in order", test_refused },
        { "a full disk", test_full_disk },     { "no room for side files", test_no_room_for_side_files },
        { "a new beginning", test_restart },   { "an epoch without records", test_forget_epochs },
};
UNIT_MAIN("plog/append_run", cases)
