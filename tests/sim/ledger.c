/* See ledger.h. */
#include "ledger.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/macros.h"

enum { MAGIC = 0x6c656467 };

struct ledger_counts ledger_counts;
static struct ledger_txn *txns;
static uint32_t txns_count, txns_size;
static int64_t last_number[LEDGER_WRITERS_MAX][HISTORY_PARTITIONS_MAX]; /* found, while everything is read */

static void violation(const char *fmt, ...) PRINTF_LIKE(1, 2);
static void violation(const char *fmt, ...)
{
        char text[512];
        va_list args;

        va_start(args, fmt);
        vsnprintf(text, sizeof text, fmt, args);
        va_end(args);
        history_violated(text);
}

void ledger_reset(void)
{
        free(txns);
        txns = NULL;
        txns_count = txns_size = 0;
        ledger_counts = (struct ledger_counts){ 0 };
}

struct ledger_txn *ledger_begin(uint32_t writer)
{
        struct ledger_txn *t;

        if (txns_count == txns_size) {
                txns_size = txns_size ? txns_size * 2 : 256;
                txns = realloc(txns, txns_size * sizeof *txns);
                assert(txns);
        }
        t = &txns[txns_count];
        *t = (struct ledger_txn){ .number = txns_count++, .writer = writer };
        ledger_counts.txns++;
        return t;
}

struct ledger_txn *ledger_find(uint32_t number)
{
        return number < txns_count ? &txns[number] : NULL;
}

void ledger_value(const struct ledger_txn *t, int32_t part, uint32_t index, uint8_t ret[LEDGER_VALUE_LEN])
{
        store_be32(ret, MAGIC);
        store_be32(ret + 4, t->number);
        store_be32(ret + 8, index);
        store_be32(ret + 12, (uint32_t)part);
        store_be32(ret + 16, t->writer);
}

/* The transaction of a record; NULL: it is none that was written. */
static struct ledger_txn *txn_of(const struct history_part *p, int64_t offset, struct span value, uint32_t *ret_index)
{
        uint8_t expected[LEDGER_VALUE_LEN];
        struct ledger_txn *t = value.len == LEDGER_VALUE_LEN ? ledger_find(load_be32(value.data + 4)) : NULL;

        if (t) {
                *ret_index = load_be32(value.data + 8);
                ledger_value(t, p->index, *ret_index, expected);
                if (*ret_index < t->sent[p->index] && !memcmp(expected, value.data, LEDGER_VALUE_LEN))
                        return t;
        }
        violation("%s-%d: what is at offset %lld nobody wrote", p->topic->name, p->index, (long long)offset);
        return NULL;
}

void ledger_show(struct history_part *p, int64_t offset, struct span value)
{
        uint32_t index;
        struct ledger_txn *t = txn_of(p, offset, value, &index);

        if (!t)
                return;
        ledger_counts.shown += !t->shown;
        t->shown = true;
        if (t->outcome == LEDGER_ABORTED)
                violation("%s-%d: offset %lld is of transaction %u of writer %u, which was not committed, and is shown",
                          p->topic->name, p->index, (long long)offset, t->number, t->writer);
}

void ledger_read_begin(void)
{
        for (uint32_t i = 0; i < txns_count; i++)
                memset(txns[i].found, 0, sizeof txns[i].found);
        memset(last_number, 0xff, sizeof last_number);
}

void ledger_found(struct history_part *p, int64_t offset, struct span value)
{
        uint32_t index;
        struct ledger_txn *t = txn_of(p, offset, value, &index);
        int64_t *last;

        if (!t)
                return;
        last = &last_number[t->writer][p->index];
        if (index != t->found[p->index] || *last > t->number)
                violation(
                        "%s-%d: at offset %lld is record %u of transaction %u of writer %u, behind record %u of it and "
                        "transaction %lld",
                        p->topic->name, p->index, (long long)offset, index, t->number, t->writer,
                        t->found[p->index] - 1, (long long)*last);
        *last = t->number;
        t->found[p->index] = index + 1;
}

static bool check_txn(const struct ledger_txn *t, const char *when)
{
        uint32_t found = 0, sent = 0;
        bool whole = true;

        for (int i = 0; i < HISTORY_PARTITIONS_MAX; i++) {
                found += t->found[i];
                sent += t->sent[i];
                whole &= t->found[i] == t->sent[i];
        }
        if (found && !whole)
                violation("%s: transaction %u of writer %u is torn: %u of its %u records are there", when, t->number,
                          t->writer, found, sent);
        if (!found && sent && (t->outcome == LEDGER_COMMITTED || t->shown))
                violation("%s: transaction %u of writer %u was %s, and is not there", when, t->number, t->writer,
                          t->shown ? "shown" : "committed");
        if (found && t->outcome == LEDGER_ABORTED)
                violation("%s: transaction %u of writer %u was not committed, and is there", when, t->number,
                          t->writer);
        return found > 0;
}

void ledger_read_end(const int64_t offsets[LEDGER_WRITERS_MAX], const char *when)
{
        int64_t expected[LEDGER_WRITERS_MAX];

        for (int i = 0; i < LEDGER_WRITERS_MAX; i++)
                expected[i] = -1;
        for (uint32_t i = 0; i < txns_count; i++)
                if (check_txn(&txns[i], when) && txns[i].staged)
                        expected[txns[i].writer] = txns[i].number;
        for (int i = 0; i < LEDGER_WRITERS_MAX; i++)
                if (offsets[i] != expected[i])
                        violation("%s: writer %d has committed offset %lld, and the last of its transactions that is "
                                  "there %lld",
                                  when, i, (long long)offsets[i], (long long)expected[i]);
}
