/* Goal: what was synced comes back or is missed loudly; what was torn goes quietly. The vote file likewise.
 * Method: a log of several segments and groups is cut at every byte of its last segment, and a byte is turned over at
 * every place; then every entry is compared with what was written. */
#include <stdio.h>
#include <unistd.h>

#include "base/bytes.h"
#include "quorum/qlog.h"
#include "quorum/vote.h"
#include "sys/diag.h"
#include "sys/file.h"
#include "unit.h"

static char dir[64], why[512];

static void fresh(const char *name)
{
        snprintf(dir, sizeof dir, "/tmp/chronik-test-qlog-%s-%d", name, (int)getpid());
        file_remove_tree(dir);
        diag_set_level(DIAG_WARN);
}

/* What entry @index holds, so that reading can check it. */
static size_t payload_of(int64_t index, uint8_t buf[400])
{
        size_t len = (size_t)(index * 37 % 61);

        for (size_t i = 0; i < len; i++)
                buf[i] = (uint8_t)(index + (int64_t)i);
        return len;
}

struct seen {
        int64_t next;
        bool ok;
};

static int see(void *arg, const struct qlog_entry *e)
{
        struct seen *s = arg;
        uint8_t want[400];
        size_t len = payload_of(e->index, want);

        s->ok &= e->index == s->next++ && e->payload.len == len && !memcmp(e->payload.data, want, len) &&
                 e->term == 1 + e->index / 20 && e->type == (e->index % 20 ? QLOG_RECORDS : QLOG_NOOP);
        return 0;
}

static int open_log(struct qlog **ret_log, struct seen *seen, int64_t from, bool may_create)
{
        *seen = (struct seen){ from, true };
        return qlog_open(
                &(struct qlog_config){ .dir = dir, .segment_len = 600, .first_index = from, .may_create = may_create },
                see, seen, ret_log, why, sizeof why);
}

/* Append entries first..last as one group. */
static int append(struct qlog *l, int64_t first, int64_t last)
{
        static uint8_t bytes[64 << 10], payload[400];
        struct writer w = writer_of(bytes, sizeof bytes);
        struct qlog_group g = { .first = first, .last = last, .last_term = (int32_t)(1 + last / 20) };

        for (int64_t i = first; i <= last; i++) {
                struct qlog_entry e = { .index = i,
                                        .term = (int32_t)(1 + i / 20),
                                        .type = i % 20 ? QLOG_RECORDS : QLOG_NOOP };

                e.payload = span_of(payload, payload_of(i, payload));
                qlog_entry_write(&e, first, &w);
        }
        g.bytes = span_of(bytes, writer_pos(&w));
        return qlog_append(l, &g);
}

static void test_roll_and_reopen(void)
{
        struct qlog *l;
        struct seen seen;

        fresh("roll");
        CU_ASSERT_EQUAL_FATAL(open_log(&l, &seen, 1, true), 0);
        CU_ASSERT_EQUAL(qlog_last_index(l), 0);
        for (int64_t i = 1; i <= 100; i += 5)
                CU_ASSERT_EQUAL(append(l, i, i + 4), 0);
        CU_ASSERT(qlog_drop_head(l, 3) == 0); /* no segment is wholly below */
        l = qlog_close(l);
        CU_ASSERT_EQUAL_FATAL(open_log(&l, &seen, 1, false), 0);
        CU_ASSERT(seen.ok && seen.next == 101);
        CU_ASSERT_EQUAL(qlog_last_term(l), 6);
        CU_ASSERT(qlog_drop_head(l, 60) > 3);
        CU_ASSERT(qlog_first_index(l) > 1 && qlog_first_index(l) <= 61);
        seen.next = qlog_first_index(l);
        l = qlog_close(l);
        CU_ASSERT_EQUAL_FATAL(open_log(&l, &seen, seen.next, false), 0);
        CU_ASSERT(seen.ok && seen.next == 101);
        CU_ASSERT(qlog_drop_head(l, 1000) > 0); /* the newest stays */
        CU_ASSERT_EQUAL(append(l, 101, 105), 0);
        qlog_close(l);
        file_remove_tree(dir);
}

/* As file_replace(), but without the syncs, of which there would be thousands. */
static void put_file(const char *path, const char *bytes, size_t len)
{
        int fd = file_open(path, O_RDWR | O_CREAT | O_TRUNC);

        CU_ASSERT_EQUAL_FATAL(file_pwrite_all(fd, bytes, len, 0), 0);
        file_close(fd);
}

static int remove_later(void *arg, const char *name)
{
        char path[128];

        snprintf(path, sizeof path, "%s/%s", dir, name);
        if (strcmp(path, arg) > 0)
                file_unlink(path);
        return 0;
}

static int last_name(void *arg, const char *name)
{
        if (strcmp(name, arg) > 0)
                strcpy(arg, name);
        return 0;
}

static int first_name(void *arg, const char *name)
{
        if (!*(char *)arg || strcmp(name, arg) < 0)
                strcpy(arg, name);
        return 0;
}

/* A log of 40 entries: groups of 4, the last group being 37..40. */
static void make_log(char path[128], int (*pick)(void *arg, const char *name))
{
        char name[64] = "";
        struct qlog *l;
        struct seen seen;

        CU_ASSERT_EQUAL_FATAL(open_log(&l, &seen, 1, true), 0);
        for (int64_t i = 1; i <= 40; i += 4)
                CU_ASSERT_EQUAL(append(l, i, i + 3), 0);
        qlog_close(l);
        file_list(dir, pick, name);
        snprintf(path, 128, "%s/%s", dir, name);
}

static void test_torn_at_every_byte(void)
{
        char path[128], *bytes;
        struct seen seen;
        struct qlog *l;
        int64_t first;
        size_t len;

        fresh("torn");
        make_log(path, last_name);
        first = atoll(strrchr(path, '/') + 1);
        CU_ASSERT_EQUAL_FATAL(file_read_whole(path, 1 << 20, &bytes, &len), 0);
        for (size_t cut = 0; cut < len; cut++) {
                int64_t last;

                put_file(path, bytes, cut);
                CU_ASSERT_EQUAL_FATAL(open_log(&l, &seen, 1, false), 0);
                CU_ASSERT(seen.ok);
                last = qlog_last_index(l);
                CU_ASSERT(last == seen.next - 1 && last < 40 && last >= first - 1);
                /* It goes on from there, and what is then written holds. */
                CU_ASSERT_EQUAL(append(l, last + 1, last + 3), 0);
                qlog_close(l);
                CU_ASSERT_EQUAL_FATAL(open_log(&l, &seen, 1, false), 0);
                CU_ASSERT(seen.ok && seen.next == last + 4);
                qlog_close(l);
                file_list(dir, remove_later, path); /* the continuation may have made a segment */
        }
        free(bytes);
        file_remove_tree(dir);
}

/* @group_start: byte at which the last group starts in the file. */
static void damage_everywhere(const char *path, bool is_last_segment, size_t group_start)
{
        struct seen seen;
        struct qlog *l;
        char *bytes;
        size_t len;

        CU_ASSERT_EQUAL_FATAL(file_read_whole(path, 1 << 20, &bytes, &len), 0);
        for (size_t at = 0; at < len; at++) {
                int r;

                bytes[at] ^= 0x40;
                put_file(path, bytes, len);
                r = open_log(&l, &seen, 1, false);
                if (is_last_segment && at >= group_start) {
                        /* Not to be told from a torn write of the last group. */
                        CU_ASSERT(r == 0 && seen.ok && seen.next <= 41 && seen.next > 36);
                } else {
                        CU_ASSERT(r == QLOG_E_DAMAGED || r == QLOG_E_FOREIGN);
                        CU_ASSERT_PTR_NOT_NULL(strstr(why, path));
                }
                if (!r)
                        qlog_close(l);
                bytes[at] ^= 0x40;
        }
        free(bytes);
}

static void test_damage(void)
{
        char path[128];
        size_t before = 0;
        uint8_t buf[400];

        fresh("damage");
        make_log(path, first_name);
        damage_everywhere(path, false, 0);
        fresh("damage");
        make_log(path, last_name);
        /* The last segment starts behind a group end; count its bytes up to entry 37. */
        for (int64_t i = atoll(strrchr(path, '/') + 1); i < 37; i++)
                before += qlog_entry_size(payload_of(i, buf));
        damage_everywhere(path, true, 32 + before);
        file_remove_tree(dir);
}

static void test_missing_and_foreign(void)
{
        char path[128];
        struct seen seen;
        struct qlog *l;

        fresh("missing");
        CU_ASSERT_EQUAL(open_log(&l, &seen, 1, false), QLOG_E_DAMAGED); /* it must have had one */
        make_log(path, first_name);
        file_unlink(path);
        CU_ASSERT_EQUAL(open_log(&l, &seen, 1, false),
                        0); /* truncated: whether that may be is for who knows the store */
        CU_ASSERT(qlog_first_index(l) > 1);
        qlog_close(l);
        fresh("missing");
        make_log(path, last_name);
        snprintf(path, sizeof path, "%s/00000000000000000014.qlog", dir);
        file_unlink(path);
        file_replace(path, span_of("x", 1));
        CU_ASSERT_EQUAL(open_log(&l, &seen, 1, false), QLOG_E_DAMAGED);
        fresh("missing");
        make_log(path, last_name);
        snprintf(path, sizeof path, "%s/readme.txt", dir);
        file_replace(path, span_of("x", 1));
        CU_ASSERT_EQUAL(open_log(&l, &seen, 1, false), QLOG_E_FOREIGN);
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "readme.txt"));
        file_remove_tree(dir);
}

static void test_vote(void)
{
        struct vote v = { .node_id = 3,
                          .directory = { { 1, 2, 3 } },
                          .term = 77,
                          .voted_for = 5,
                          .voted_for_directory = { { 4, 5, 6 } } };
        uint8_t bytes[VOTE_LEN];
        struct vote back;
        char path[128];

        fresh("vote");
        file_mkdirs(dir);
        snprintf(path, sizeof path, "%s/vote", dir);
        CU_ASSERT_EQUAL(vote_read(path, &back), VOTE_E_MISSING);
        CU_ASSERT_EQUAL(vote_write(path, &v), 0);
        CU_ASSERT_EQUAL(vote_read(path, &back), 0);
        CU_ASSERT(back.node_id == 3 && back.term == 77 && back.voted_for == 5);
        CU_ASSERT(uuid_equal(back.directory, v.directory) &&
                  uuid_equal(back.voted_for_directory, v.voted_for_directory));
        vote_encode(&v, bytes);
        for (size_t i = 0; i < VOTE_LEN; i++) {
                bytes[i] ^= 1;
                CU_ASSERT_EQUAL(vote_decode(span_of(bytes, VOTE_LEN), &back), VOTE_E_DAMAGED);
                bytes[i] ^= 1;
                CU_ASSERT_EQUAL(vote_decode(span_of(bytes, i), &back), VOTE_E_DAMAGED);
        }
        file_remove_tree(dir);
}

/* Entries first..last of @term, one group each. */
static int append_term(struct qlog *l, int64_t first, int64_t last, int32_t term)
{
        uint8_t bytes[200], payload[8];
        int r = 0;

        for (int64_t i = first; i <= last && !r; i++) {
                struct writer w = writer_of(bytes, sizeof bytes);
                struct qlog_group g = { .first = i, .last = i, .last_term = term };

                store_be64(payload, (uint64_t)(i * 1000 + term));
                qlog_entry_write(
                        &(struct qlog_entry){
                                .index = i, .term = term, .type = QLOG_RECORDS, .payload = span_of(payload, 8) },
                        i, &w);
                g.bytes = span_of(bytes, writer_pos(&w));
                r = qlog_append(l, &g);
        }
        return r;
}

struct terms {
        int32_t of[200];
        int64_t next;
        bool ok;
};

static int see_term(void *arg, const struct qlog_entry *e)
{
        struct terms *t = arg;

        t->ok &= (!t->next || e->index == t->next) &&
                 load_be64(e->payload.data) == (uint64_t)(e->index * 1000 + e->term);
        t->next = e->index + 1;
        t->of[e->index] = e->term;
        return 0;
}

static int open_terms(struct qlog **ret_log, struct terms *t)
{
        *t = (struct terms){ .ok = true };
        return qlog_open(&(struct qlog_config){ .dir = dir, .segment_len = 400, .first_index = 1, .may_create = true },
                         see_term, t, ret_log, why, sizeof why);
}

static void test_cut(void)
{
        char old[128];
        struct terms t;
        struct qlog *l;

        fresh("cut");
        CU_ASSERT_EQUAL_FATAL(open_terms(&l, &t), 0);
        CU_ASSERT_EQUAL(append_term(l, 1, 30, 1), 0);
        snprintf(old, sizeof old, "%s/00000000000000000021.qlog", dir); /* of the first edition, soon void */
        CU_ASSERT_EQUAL(qlog_truncate(l, 15, 1), 0);
        CU_ASSERT_EQUAL(qlog_last_index(l), 15);
        CU_ASSERT_EQUAL(append_term(l, 16, 40, 3), 0);
        CU_ASSERT_EQUAL(qlog_truncate(l, 35, 3), 0);
        CU_ASSERT_EQUAL(append_term(l, 36, 38, 4), 0);
        l = qlog_close(l);
        CU_ASSERT_EQUAL_FATAL(open_terms(&l, &t), 0);
        CU_ASSERT(t.ok && t.next == 39 && t.of[15] == 1 && t.of[16] == 3 && t.of[35] == 3 && t.of[36] == 4);
        CU_ASSERT_EQUAL(qlog_last_term(l), 4);
        /* A segment that was cut off whole comes back, as after a crash: it is void still, and removed. */
        l = qlog_close(l);
        put_file(old, "whatever it holds", 17);
        CU_ASSERT_EQUAL_FATAL(open_terms(&l, &t), 0);
        CU_ASSERT(t.ok && t.next == 39 && t.of[21] == 3);
        CU_ASSERT(file_open(old, O_RDONLY) < 0);
        /* A snapshot takes the place of all, ahead of the log and behind its end. */
        CU_ASSERT_EQUAL(qlog_reset(l, 100, 9), 0);
        CU_ASSERT(qlog_first_index(l) == 101 && qlog_last_index(l) == 100 && qlog_last_term(l) == 9 &&
                  qlog_prev_term(l) == 9);
        CU_ASSERT_EQUAL(append_term(l, 101, 103, 9), 0);
        CU_ASSERT_EQUAL(qlog_reset(l, 102, 10), 0);
        CU_ASSERT_EQUAL(append_term(l, 103, 103, 11), 0);
        l = qlog_close(l);
        CU_ASSERT_EQUAL_FATAL(open_terms(&l, &t), 0);
        CU_ASSERT(t.ok && t.next == 104 && !t.of[102] && t.of[103] == 11);
        CU_ASSERT_EQUAL(qlog_prev_term(l), 10);
        qlog_close(l);
        file_remove_tree(dir);
}

static void test_read(void)
{
        struct terms t;
        struct qlog *l;

        fresh("read");
        CU_ASSERT_EQUAL_FATAL(open_terms(&l, &t), 0);
        CU_ASSERT_EQUAL(append_term(l, 1, 60, 1), 0);
        CU_ASSERT_EQUAL(qlog_truncate(l, 50, 1), 0);
        CU_ASSERT_EQUAL(append_term(l, 51, 60, 2), 0);
        for (int round = 0; round < 2; round++) { /* as written, and as found */
                for (int64_t first = 1; first <= 60; first++) {
                        for (int64_t last = first; last <= 60; last += 7) {
                                struct qlog_read rd = { first, last, 1 << 20 };

                                t = (struct terms){ .ok = true };
                                CU_ASSERT_EQUAL(qlog_read(l, &rd, see_term, &t), 0);
                                CU_ASSERT(t.ok && t.next == last + 1 && t.of[first] == (first > 50 ? 2 : 1));
                        }
                }
                t = (struct terms){ .ok = true };
                CU_ASSERT_EQUAL(qlog_read(l, &(struct qlog_read){ 5, 60, 1 }, see_term, &t), 0);
                CU_ASSERT(t.ok && t.next == 6); /* one at least */
                t = (struct terms){ .ok = true };
                CU_ASSERT_EQUAL(qlog_read(l, &(struct qlog_read){ 5, 60, 100 }, see_term, &t), 0);
                CU_ASSERT(t.ok && t.next == 7);
                l = qlog_close(l);
                CU_ASSERT_EQUAL_FATAL(open_terms(&l, &t), 0);
        }
        qlog_close(l);
        file_remove_tree(dir);
}

static const struct unit_case cases[] = {
        { "segments roll, come back, are dropped", test_roll_and_reopen },
        { "torn at every byte", test_torn_at_every_byte },
        { "damage at every byte", test_damage },
        { "missing and foreign files", test_missing_and_foreign },
        { "the vote survives, damage does not pass", test_vote },
        { "cutting the end off, and beginning anew", test_cut },
        { "reading from anywhere", test_read },
};
UNIT_MAIN("qlog", cases)
