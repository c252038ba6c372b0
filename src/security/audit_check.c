/* See audit_check.h. An entry is read by its places, not as JSON: whatever is not just as a node writes it is no entry. */
#include "security/audit_check.h"

#include <errno.h>

#define HASH_MEMBER ",\"hash\":\""

enum { HASH_TAIL_LEN = sizeof HASH_MEMBER - 1 + 2 * AUDIT_HASH_LEN + 2 };

const char *audit_fault_text(enum audit_fault fault)
{
        static const char *const texts[] = {
                [AUDIT_WHOLE] = "whole and unchanged",
                [AUDIT_E_MALFORMED] = "this is no entry as a node writes it",
                [AUDIT_E_GAP] = "entries are missing, or stand in another order",
                [AUDIT_E_CHANGED] = "this entry was changed, or what was before it",
                [AUDIT_E_SIGNATURE] = "the signature is not that of the key it names",
                [AUDIT_E_KEY] = "it is signed by a key that is not trusted",
                [AUDIT_E_NODE] = "this entry is of another node",
                [AUDIT_E_START] = "the beginning is missing",
                [AUDIT_E_TAIL] = "the end is missing",
                [AUDIT_E_LAST_KEY] = "the last of the keys that are to be believed has signed nothing",
                [AUDIT_E_NO_MEMORY] = "out of memory",
        };

        assert((size_t)fault < ARRAY_LEN(texts));
        return texts[fault];
}

/* ---- reading; each takes from the front of @in ---- */

static bool take(struct str *in, const char *text)
{
        size_t len = strlen(text);

        if (in->len < len || memcmp(in->p, text, len) != 0)
                return false;
        *in = (struct str){ in->p + len, in->len - len };
        return true;
}

/* Digits as they are written: no sign, no zero in front. */
static bool take_number(struct str *in, uint64_t max, uint64_t *ret)
{
        uint64_t v = 0;
        size_t n = 0;

        while (n < in->len && in->p[n] >= '0' && in->p[n] <= '9') {
                unsigned digit = (unsigned)(in->p[n] - '0');

                if (v > (max - digit) / 10 || (n && !v))
                        return false;
                v = v * 10 + digit;
                n++;
        }
        *in = (struct str){ in->p + n, in->len - n };
        *ret = v;
        return n > 0;
}

static bool take_hex(struct str *in, uint8_t *ret, size_t len)
{
        if (in->len < 2 * len || !audit_unhex((struct str){ in->p, 2 * len }, ret, len))
                return false;
        *in = (struct str){ in->p + 2 * len, in->len - 2 * len };
        return true;
}

static bool take_word(struct str *in, struct str *ret)
{
        size_t n = 0;

        while (n < in->len && ((in->p[n] >= 'a' && in->p[n] <= 'z') || in->p[n] == '_'))
                n++;
        *ret = (struct str){ in->p, n };
        *in = (struct str){ in->p + n, in->len - n };
        return n > 0;
}

/* ,"public_key":"..." and ,"signature":"..." behind what is signed, which began at @from. */
static bool take_signature(struct str *in, const char *from, uint8_t *ret_key, uint8_t *ret_signature,
                           struct str *ret_what)
{
        if (!take(in, ",\"public_key\":\"") || !take_hex(in, ret_key, AUDIT_KEY_LEN) || !take(in, "\""))
                return false;
        *ret_what = (struct str){ from, (size_t)(in->p - from) };
        return take(in, ",\"signature\":\"") && take_hex(in, ret_signature, AUDIT_SIGNATURE_LEN) && take(in, "\"");
}

static bool checkpoint_read(struct str in, struct audit_line *l)
{
        if (!take(&in, ",\"previous\":\"") || !take_hex(&in, l->previous, AUDIT_HASH_LEN) || !take(&in, "\""))
                return false;
        if (l->is_handover &&
            (!take(&in, ",\"next_key\":\"") || !take_hex(&in, l->next_key, AUDIT_KEY_LEN) || !take(&in, "\"")))
                return false;
        return take_signature(&in, l->members.p, l->public_key, l->signature, &l->of_signature) && !in.len;
}

bool audit_line_read(struct str text, struct audit_line *ret)
{
        struct audit_line l = { 0 };
        struct str in = text, tail;
        uint64_t seq, time_ms, node;

        if (text.len < HASH_TAIL_LEN || text.len > AUDIT_LINE_LEN_MAX || memchr(text.p, '\n', text.len))
                return false;
        tail = (struct str){ text.p + text.len - HASH_TAIL_LEN, HASH_TAIL_LEN };
        in.len -= HASH_TAIL_LEN;
        l.members = in;
        if (!take(&tail, HASH_MEMBER) || !take_hex(&tail, l.hash, AUDIT_HASH_LEN) || !take(&tail, "\"}"))
                return false;
        if (!take(&in, "{\"seq\":") || !take_number(&in, UINT64_MAX - 1, &seq) || !seq || !take(&in, ",\"time_ms\":") ||
            !take_number(&in, INT64_MAX, &time_ms) || !take(&in, ",\"node\":") || !take_number(&in, INT32_MAX, &node) ||
            !take(&in, ",\"kind\":\"") || !take_word(&in, &l.kind) || !take(&in, "\""))
                return false;
        l.seq = seq;
        l.time_ms = (int64_t)time_ms;
        l.node = (int32_t)node;
        l.what = in;
        l.is_handover = str_equal_c(l.kind, audit_kind_name(AUDIT_HANDOVER));
        l.is_checkpoint = l.is_handover || str_equal_c(l.kind, audit_kind_name(AUDIT_CHECKPOINT));
        if (l.is_checkpoint && !checkpoint_read(in, &l))
                return false;
        *ret = l;
        return true;
}

enum audit_fault audit_head_read(struct str text, struct audit_head *ret)
{
        uint8_t signature[AUDIT_SIGNATURE_LEN];
        struct audit_head h;
        struct str in = text, what;
        uint64_t node;

        if (!take(&in, "{\"node\":") || !take_number(&in, INT32_MAX, &node) || !take(&in, ",\"first\":") ||
            !take_number(&in, UINT64_MAX - 1, &h.first) || !take(&in, ",\"last\":") ||
            !take_number(&in, UINT64_MAX - 1, &h.last) || !take(&in, ",\"hash\":\"") ||
            !take_hex(&in, h.hash, AUDIT_HASH_LEN) || !take(&in, "\"") ||
            !take_signature(&in, text.p, h.public_key, signature, &what) || !take(&in, "}"))
                return AUDIT_E_MALFORMED;
        (void)take(&in, "\n"); /* or not */
        if (in.len)
                return AUDIT_E_MALFORMED;
        if (!audit_signature_is_of(h.public_key, signature, what))
                return AUDIT_E_SIGNATURE;
        h.node = (int32_t)node;
        *ret = h;
        return AUDIT_WHOLE;
}

/* ---- checking ---- */

/* May @key be the first? */
static bool is_believed(const struct audit_check *c, const uint8_t key[AUDIT_KEY_LEN], size_t *ret_index)
{
        for (size_t i = 0; i < c->keys_count; i++)
                if (!memcmp(c->keys[i], key, AUDIT_KEY_LEN)) {
                        *ret_index = i;
                        return true;
                }
        return !c->keys;
}

static bool is_trusted(struct audit_check *c, const uint8_t key[AUDIT_KEY_LEN])
{
        return c->has_key ? !memcmp(c->key, key, AUDIT_KEY_LEN) : is_believed(c, key, &c->key_index);
}

/* Its signature is right: from now on another key has to sign. */
static enum audit_fault hand_over(struct audit_check *c, const struct audit_line *l)
{
        if (c->keys) {
                if (c->key_index + 1 >= c->keys_count ||
                    memcmp(c->keys[c->key_index + 1], l->next_key, AUDIT_KEY_LEN) != 0)
                        return AUDIT_E_KEY;
                c->key_index++;
        }
        memcpy(c->key, l->next_key, AUDIT_KEY_LEN);
        if (c->changes_count < AUDIT_KEYS_MAX) {
                struct audit_key_change *change = &c->changes[c->changes_count];

                change->seq = l->seq;
                change->time_ms = l->time_ms;
                memcpy(change->to, l->next_key, AUDIT_KEY_LEN);
        }
        c->changes_count++;
        return AUDIT_WHOLE;
}

/* What was before the first entry is known by its checkpoint, or there was nothing. */
static enum audit_fault check_first(struct audit_check *c, const struct audit_line *l)
{
        static const uint8_t nothing[AUDIT_HASH_LEN];

        c->first = l->seq;
        c->node = l->node;
        c->chain.seq = l->seq - 1;
        if (c->has_head && (c->head.node != l->node))
                return AUDIT_E_NODE;
        if (!l->is_checkpoint || (c->has_head && l->seq > c->head.first) ||
            (l->seq == 1 && memcmp(l->previous, nothing, AUDIT_HASH_LEN) != 0))
                return AUDIT_E_START;
        memcpy(c->chain.hash, l->previous, AUDIT_HASH_LEN);
        return AUDIT_WHOLE;
}

static enum audit_fault check_signature(struct audit_check *c, const struct audit_line *l)
{
        if (memcmp(l->previous, c->chain.hash, AUDIT_HASH_LEN) != 0)
                return AUDIT_E_CHANGED;
        if (!is_trusted(c, l->public_key))
                return AUDIT_E_KEY;
        if (!audit_signature_is_of(l->public_key, l->signature, l->of_signature))
                return AUDIT_E_SIGNATURE;
        memcpy(c->key, l->public_key, AUDIT_KEY_LEN);
        c->has_key = true;
        c->signed_to = l->seq;
        return l->is_handover ? hand_over(c, l) : AUDIT_WHOLE;
}

static void count_dropped(struct audit_check *c, const struct audit_line *l)
{
        struct str in = l->what;
        uint64_t n;

        if (str_equal_c(l->kind, audit_kind_name(AUDIT_DROPPED)) && take(&in, ",\"count\":") &&
            take_number(&in, UINT64_MAX, &n))
                c->dropped += n;
}

enum audit_fault audit_check_line(struct audit_check *c, struct str text)
{
        uint8_t hash[AUDIT_HASH_LEN];
        enum audit_fault fault = AUDIT_WHOLE;
        struct audit_line l;

        c->seen = 0;
        if (!audit_line_read(text, &l))
                return AUDIT_E_MALFORMED;
        c->seen = l.seq;
        if (!c->entries)
                fault = check_first(c, &l);
        else if (l.seq != c->chain.seq + 1)
                fault = AUDIT_E_GAP;
        else if (l.node != c->node)
                fault = AUDIT_E_NODE;
        if (fault)
                return fault;
        if (audit_hash(c->chain.hash, l.members, hash))
                return AUDIT_E_NO_MEMORY;
        if (memcmp(hash, l.hash, AUDIT_HASH_LEN) != 0)
                return AUDIT_E_CHANGED;
        if (l.is_checkpoint)
                fault = check_signature(c, &l);
        if (fault)
                return fault;
        if (c->has_head && l.seq == c->head.last && memcmp(hash, c->head.hash, AUDIT_HASH_LEN) != 0)
                return AUDIT_E_CHANGED;
        count_dropped(c, &l);
        c->chain.seq = l.seq;
        memcpy(c->chain.hash, hash, AUDIT_HASH_LEN);
        c->entries++;
        return AUDIT_WHOLE;
}

enum audit_fault audit_check_end(struct audit_check *c)
{
        c->seen = 0;
        if (!c->has_head)
                return AUDIT_WHOLE;
        if (!is_trusted(c, c->head.public_key))
                return AUDIT_E_KEY;
        if (c->chain.seq < c->head.last)
                return AUDIT_E_TAIL;
        return c->keys && c->key_index + 1 < c->keys_count ? AUDIT_E_LAST_KEY : AUDIT_WHOLE;
}
