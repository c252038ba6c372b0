/* Goal: whatever is done to an audit log without its key is found. Method: a small log that is changed in every byte, cut, reordered and
 * forged. */
#include <stdio.h>

#include "security/audit_check.h"
#include "unit.h"

enum { NODE = 7, TIME_MS = 1700000000 };

struct log {
        struct strbuf text;
        struct audit_chain chain;
        struct audit_key *key;
        uint8_t public[AUDIT_KEY_LEN];
        struct strbuf head;
};

static void add(struct log *l, enum audit_kind kind, struct str name)
{
        CLEANUP(strbuf_finip) struct strbuf members = { 0 };
        struct audit_entry e = { .kind = kind,
                                 .time_ms = TIME_MS,
                                 .node = NODE,
                                 .principal = STR_LIT("User:alice"),
                                 .host = STR_LIT("127.0.0.1"),
                                 .has_correlation_id = true,
                                 .correlation_id = 5,
                                 .operation = STR_LIT("READ"),
                                 .resource = STR_LIT("TOPIC"),
                                 .name = name,
                                 .after = STR_LIT("{\"partitions\":1}") };

        audit_entry_write(&e, &members);
        CU_ASSERT_FALSE_FATAL(members.failed);
        CU_ASSERT_EQUAL_FATAL(audit_chain_add(&l->chain, (struct str){ members.data, members.len }, &l->text), 0);
}

static void checkpoint(struct log *l, const struct audit_key *key)
{
        CU_ASSERT_EQUAL_FATAL(audit_chain_checkpoint(&l->chain, key, TIME_MS, NODE, &l->text), 0);
}

static void log_begin(struct log *l)
{
        *l = (struct log){ 0 };
        CU_ASSERT_EQUAL_FATAL(audit_key_generate(&l->key), 0);
        audit_key_public(l->key, l->public);
}

static void log_make(struct log *l)
{
        CLEANUP(strbuf_finip) struct strbuf dropped = { 0 };

        log_begin(l);
        checkpoint(l, l->key);
        add(l, AUDIT_DENIED, STR_LIT("orders"));
        add(l, AUDIT_CHANGE, STR_LIT("a\"b\\c\n\xff"));
        audit_dropped_write(TIME_MS, NODE, 12, &dropped);
        CU_ASSERT_EQUAL_FATAL(audit_chain_add(&l->chain, (struct str){ dropped.data, dropped.len }, &l->text), 0);
        checkpoint(l, l->key);
        CU_ASSERT_EQUAL_FATAL(audit_head_write(&l->chain, 1, l->key, NODE, &l->head), 0);
}

static void log_end(struct log *l)
{
        strbuf_fini(&l->text);
        strbuf_fini(&l->head);
        audit_key_free(l->key);
}

static struct audit_check check_of(const struct log *l)
{
        struct audit_check c = { .keys = &l->public, .keys_count = 1 };

        if (l->head.len) {
                CU_ASSERT_EQUAL_FATAL(audit_head_read((struct str){ l->head.data, l->head.len }, &c.head), AUDIT_WHOLE);
                c.has_head = true;
        }
        return c;
}

static enum audit_fault check_text(struct audit_check *c, struct str text)
{
        while (text.len) {
                const char *end = memchr(text.p, '\n', text.len);
                size_t len = end ? (size_t)(end - text.p) : text.len;
                enum audit_fault fault = audit_check_line(c, (struct str){ text.p, len });

                if (fault)
                        return fault;
                text = (struct str){ text.p + len + (end != NULL), text.len - len - (end != NULL) };
        }
        return audit_check_end(c);
}

static enum audit_fault check(const struct log *l, struct str text)
{
        struct audit_check c = check_of(l);

        return check_text(&c, text);
}

static struct str text_of(const struct log *l)
{
        return (struct str){ l->text.data, l->text.len };
}

/* The front of the log: @n lines. */
static struct str lines(const struct log *l, int n)
{
        const char *at = l->text.data;

        while (n--)
                at = strchr(at, '\n') + 1;
        return (struct str){ l->text.data, (size_t)(at - l->text.data) };
}

static void test_whole(void)
{
        struct audit_check c;
        struct log l;

        log_make(&l);
        c = check_of(&l);
        CU_ASSERT_EQUAL(check_text(&c, text_of(&l)), AUDIT_WHOLE);
        CU_ASSERT_EQUAL(c.entries, 5);
        CU_ASSERT_EQUAL(c.first, 1);
        CU_ASSERT_EQUAL(c.signed_to, 5);
        CU_ASSERT_EQUAL(c.dropped, 12);
        CU_ASSERT_PTR_NOT_NULL(strstr(l.text.data, "\"name\":\"a\\\"b\\\\c\\u000a\xef\xbf\xbd\""));
        log_end(&l);
}

static void test_every_byte(void)
{
        struct log l;

        log_make(&l);
        for (size_t i = 0; i + 1 < l.text.len; i++) {
                char was = l.text.data[i];

                l.text.data[i] = (char)(was ^ 1 << i % 8);
                CU_ASSERT_NOT_EQUAL(check(&l, text_of(&l)), AUDIT_WHOLE);
                l.text.data[i] = was;
        }
        CU_ASSERT_EQUAL(check(&l, text_of(&l)), AUDIT_WHOLE);
        for (size_t i = 0; i + 1 < l.head.len; i++) {
                struct audit_head h;

                l.head.data[i] ^= 1;
                CU_ASSERT_NOT_EQUAL(audit_head_read((struct str){ l.head.data, l.head.len }, &h), AUDIT_WHOLE);
                l.head.data[i] ^= 1;
        }
        log_end(&l);
}

static void test_cut(void)
{
        struct log l;

        log_make(&l);
        for (size_t len = 0; len + 1 < l.text.len; len++)
                CU_ASSERT_NOT_EQUAL(check(&l, (struct str){ l.text.data, len }), AUDIT_WHOLE);
        CU_ASSERT_EQUAL(check(&l, lines(&l, 4)), AUDIT_E_TAIL);
        CU_ASSERT_EQUAL(check(&l, (struct str){ l.text.data, l.text.len - 9 }), AUDIT_E_MALFORMED);
        /* From the second entry on, and from the checkpoint at the end on. */
        CU_ASSERT_EQUAL(check(&l, (struct str){ l.text.data + lines(&l, 1).len, l.text.len - lines(&l, 1).len }),
                        AUDIT_E_START);
        CU_ASSERT_EQUAL(check(&l, (struct str){ l.text.data + lines(&l, 4).len, l.text.len - lines(&l, 4).len }),
                        AUDIT_E_START);
        log_end(&l);
}

/* The last file of several, where nobody says what must be there. */
static void test_later_file(void)
{
        struct audit_check c;
        struct log l;

        log_make(&l);
        strbuf_fini(&l.head);
        c = check_of(&l);
        CU_ASSERT_EQUAL(check_text(&c, (struct str){ l.text.data + lines(&l, 4).len, l.text.len - lines(&l, 4).len }),
                        AUDIT_WHOLE);
        CU_ASSERT_EQUAL(c.first, 5);
        log_end(&l);
}

static void test_gaps(void)
{
        CLEANUP(strbuf_finip) struct strbuf text = { 0 };
        size_t second, third;
        struct audit_check c;
        struct log l;

        log_make(&l);
        second = lines(&l, 1).len;
        third = lines(&l, 2).len;
        strbuf_add(&text, l.text.data, second);
        strbuf_add(&text, l.text.data + third, l.text.len - third);
        c = check_of(&l);
        CU_ASSERT_EQUAL(check_text(&c, (struct str){ text.data, text.len }), AUDIT_E_GAP);
        CU_ASSERT_EQUAL(c.chain.seq, 1);
        CU_ASSERT_EQUAL(c.seen, 3);
        log_end(&l);
}

static void test_forged(void)
{
        struct log l, other;

        log_make(&l);
        log_begin(&other);
        checkpoint(&other, other.key);
        add(&other, AUDIT_DENIED, STR_LIT("nothing"));
        CU_ASSERT_EQUAL(check(&l, text_of(&other)), AUDIT_E_KEY);
        CU_ASSERT_EQUAL(check(&other, text_of(&other)), AUDIT_WHOLE);
        log_end(&other);

        /* With the right key's name, and another's signature. */
        log_begin(&other);
        CU_ASSERT_EQUAL_FATAL(audit_chain_checkpoint(&other.chain, other.key, TIME_MS, NODE, &other.text), 0);
        {
                char right[AUDIT_KEY_HEX_SIZE], *at = strstr(other.text.data, "\"public_key\":\"") + 14;
                uint8_t hash[AUDIT_HASH_LEN], before[AUDIT_HASH_LEN] = { 0 };
                char text[2 * AUDIT_HASH_LEN + 1], *end = strstr(other.text.data, ",\"hash\"");

                audit_hex(l.public, AUDIT_KEY_LEN, right);
                memcpy(at, right, sizeof right - 1);
                CU_ASSERT_EQUAL_FATAL(
                        audit_hash(before, (struct str){ other.text.data, (size_t)(end - other.text.data) }, hash), 0);
                audit_hex(hash, sizeof hash, text);
                memcpy(end + 9, text, sizeof text - 1);
        }
        CU_ASSERT_EQUAL(check(&l, text_of(&other)), AUDIT_E_SIGNATURE);
        log_end(&other);
        log_end(&l);
}

/* Entries behind the last checkpoint that are written anew are not found: that is what checkpoints are for. Before it they are. */
static void test_chain_made_anew(void)
{
        struct log l, other;

        log_make(&l);
        other = (struct log){ .key = l.key };
        strbuf_add(&other.text, l.text.data, lines(&l, 1).len);
        other.chain.seq = 1;
        CU_ASSERT_TRUE_FATAL(audit_unhex((struct str){ other.text.data + other.text.len - 67, 64 }, other.chain.hash,
                                         AUDIT_HASH_LEN));
        add(&other, AUDIT_DENIED, STR_LIT("something else"));
        strbuf_add(&other.text, l.text.data + lines(&l, 2).len, l.text.len - lines(&l, 2).len);
        CU_ASSERT_EQUAL(check(&l, text_of(&other)), AUDIT_E_CHANGED);
        strbuf_fini(&other.text);
        log_end(&l);
}

/* ---- another key ---- */

/* A log that is signed by three keys, one after the other; the head by the last. */
struct relay {
        struct log log;
        struct audit_key *key[3];
        uint8_t public[3][AUDIT_KEY_LEN];
        size_t first_len; /* up to the checkpoint before the first hand-over */
};

static void relay_make(struct relay *r)
{
        *r = (struct relay){ 0 };
        for (int i = 0; i < 3; i++) {
                CU_ASSERT_EQUAL_FATAL(audit_key_generate(&r->key[i]), 0);
                audit_key_public(r->key[i], r->public[i]);
        }
        for (int i = 0; i < 3; i++) {
                checkpoint(&r->log, r->key[i]);
                add(&r->log, AUDIT_DENIED, STR_LIT("orders"));
                checkpoint(&r->log, r->key[i]);
                if (!i)
                        r->first_len = r->log.text.len;
                if (i < 2)
                        CU_ASSERT_EQUAL_FATAL(audit_chain_handover(&r->log.chain, r->key[i], r->key[i + 1], TIME_MS,
                                                                   NODE, &r->log.text),
                                              0);
        }
        CU_ASSERT_EQUAL_FATAL(audit_head_write(&r->log.chain, 1, r->key[2], NODE, &r->log.head), 0);
}

static void relay_end(struct relay *r)
{
        for (int i = 0; i < 3; i++)
                audit_key_free(r->key[i]);
        strbuf_fini(&r->log.text);
        strbuf_fini(&r->log.head);
}

static enum audit_fault relay_check(const struct relay *r, const uint8_t (*keys)[AUDIT_KEY_LEN], size_t count,
                                    struct audit_check *ret)
{
        *ret = (struct audit_check){ .keys = keys, .keys_count = count, .has_head = true };
        CU_ASSERT_EQUAL_FATAL(audit_head_read(text_of(&(struct log){ .text = r->log.head }), &ret->head), AUDIT_WHOLE);
        return check_text(ret, text_of(&r->log));
}

/* The keys in their order, or none: whole, and where each began is told. In another order, or with one missing, not. */
static void test_hand_over(void)
{
        const uint8_t(*keys)[AUDIT_KEY_LEN];
        uint8_t turned[3][AUDIT_KEY_LEN];
        struct audit_check c;
        struct relay r;

        relay_make(&r);
        keys = (const uint8_t(*)[AUDIT_KEY_LEN])r.public;
        CU_ASSERT_EQUAL(relay_check(&r, keys, 3, &c), AUDIT_WHOLE);
        CU_ASSERT_EQUAL(c.changes_count, 2);
        CU_ASSERT_EQUAL(c.changes[0].seq, 4);
        CU_ASSERT_EQUAL(c.changes[1].seq, 8);
        CU_ASSERT(!memcmp(c.changes[1].to, r.public[2], AUDIT_KEY_LEN));
        CU_ASSERT_EQUAL(relay_check(&r, NULL, 0, &c), AUDIT_WHOLE);
        CU_ASSERT(!memcmp(c.key, r.public[2], AUDIT_KEY_LEN));
        CU_ASSERT_EQUAL(relay_check(&r, keys, 1, &c), AUDIT_E_KEY);
        CU_ASSERT_EQUAL(c.seen, 4); /* where the key changed to one that is not known */
        CU_ASSERT_EQUAL(relay_check(&r, keys, 2, &c), AUDIT_E_KEY);
        CU_ASSERT_EQUAL(relay_check(&r, keys + 1, 2, &c), AUDIT_E_KEY);
        CU_ASSERT_EQUAL(c.seen, 1);
        memcpy(turned[0], r.public[0], AUDIT_KEY_LEN);
        memcpy(turned[1], r.public[2], AUDIT_KEY_LEN);
        memcpy(turned[2], r.public[1], AUDIT_KEY_LEN);
        CU_ASSERT_EQUAL(relay_check(&r, (const uint8_t(*)[AUDIT_KEY_LEN])turned, 3, &c), AUDIT_E_KEY);
        relay_end(&r);
}

/* Who has stolen the first key cannot end the log before it was replaced, nor go on with it, nor hand over to a key of its own. */
static void test_an_earlier_key_is_worth_nothing(void)
{
        struct audit_key *own;
        struct audit_check c;
        struct log cut = { 0 };
        struct relay r;

        relay_make(&r);
        CU_ASSERT_EQUAL_FATAL(audit_key_generate(&own), 0);
        r.log.text.len = r.first_len;
        r.log.chain.seq = 3;
        CU_ASSERT_TRUE_FATAL(
                audit_unhex((struct str){ r.log.text.data + r.first_len - 67, 64 }, r.log.chain.hash, AUDIT_HASH_LEN));
        r.log.head.len = 0;
        CU_ASSERT_EQUAL_FATAL(audit_head_write(&r.log.chain, 1, r.key[0], NODE, &r.log.head), 0);
        CU_ASSERT_EQUAL(relay_check(&r, (const uint8_t(*)[AUDIT_KEY_LEN])r.public, 1, &c),
                        AUDIT_WHOLE); /* who knows the first only */
        CU_ASSERT_EQUAL(relay_check(&r, (const uint8_t(*)[AUDIT_KEY_LEN])r.public, 3, &c), AUDIT_E_LAST_KEY);

        cut.chain = r.log.chain;
        strbuf_add(&cut.text, r.log.text.data, r.first_len);
        CU_ASSERT_EQUAL_FATAL(audit_chain_handover(&cut.chain, r.key[0], own, TIME_MS, NODE, &cut.text), 0);
        checkpoint(&cut, own);
        c = (struct audit_check){ .keys = (const uint8_t(*)[AUDIT_KEY_LEN])r.public, .keys_count = 3 };
        CU_ASSERT_EQUAL(check_text(&c, text_of(&cut)), AUDIT_E_KEY);
        strbuf_fini(&cut.text);

        /* And after the hand-over the first key signs nothing any more. */
        cut = (struct log){ .chain = r.log.chain };
        strbuf_add(&cut.text, r.log.text.data, r.first_len);
        CU_ASSERT_EQUAL_FATAL(audit_chain_handover(&cut.chain, r.key[0], r.key[1], TIME_MS, NODE, &cut.text), 0);
        checkpoint(&cut, r.key[0]);
        c = (struct audit_check){ 0 };
        CU_ASSERT_EQUAL(check_text(&c, text_of(&cut)), AUDIT_E_KEY);
        strbuf_fini(&cut.text);
        audit_key_free(own);
        relay_end(&r);
}

static void test_keys(void)
{
        CLEANUP(strbuf_finip) struct strbuf pem = { 0 };
        struct audit_key *k, *again = NULL;
        uint8_t a[AUDIT_KEY_LEN], b[AUDIT_KEY_LEN];

        CU_ASSERT_EQUAL_FATAL(audit_key_generate(&k), 0);
        CU_ASSERT_EQUAL_FATAL(audit_key_write(k, &pem), 0);
        CU_ASSERT_EQUAL_FATAL(audit_key_read(span_of(pem.data, pem.len), &again), 0);
        audit_key_public(k, a);
        audit_key_public(again, b);
        CU_ASSERT_EQUAL(memcmp(a, b, sizeof a), 0);
        audit_key_free(k);
        audit_key_free(again);
        again = NULL;
        CU_ASSERT_NOT_EQUAL(audit_key_read(span_of("nonsense", 8), &again), 0);
        CU_ASSERT_PTR_NULL(again);
}

static void test_long_values_are_left_out(void)
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        char *text = malloc(AUDIT_VALUE_LEN_MAX + 1);

        memset(text, 'x', AUDIT_VALUE_LEN_MAX + 1);
        audit_entry_write(&(struct audit_entry){ .kind = AUDIT_CHANGE,
                                                 .name = { text, AUDIT_VALUE_LEN_MAX + 1 },
                                                 .before = { text, AUDIT_VALUE_LEN_MAX + 1 } },
                          &out);
        CU_ASSERT(out.len < 2 * AUDIT_TEXT_LEN_MAX);
        CU_ASSERT_PTR_NOT_NULL(strstr(out.data, "\"before\":\"too long: 16385 bytes\""));
        free(text);
}

static const struct unit_case cases[] = {
        { "a whole log", test_whole },
        { "every byte matters", test_every_byte },
        { "a log that was cut", test_cut },
        { "a later file", test_later_file },
        { "gaps", test_gaps },
        { "another's signature", test_forged },
        { "a chain made anew", test_chain_made_anew },
        { "keys that hand over", test_hand_over },
        { "an earlier key", test_an_earlier_key_is_worth_nothing },
        { "keys", test_keys },
        { "long values", test_long_values_are_left_out },
};
UNIT_MAIN("the audit log", cases)
