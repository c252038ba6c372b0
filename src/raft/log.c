/* The log as runs of equal terms: which term has an index, where do two logs part. No payloads, no decisions.
 * Invariants: runs ascend strictly in index and term; the first begins at cut_index + 1; there are none when
 * last_index == cut_index; cut_index <= last_index, persisted_index <= last_index. */
#include <errno.h>
#include <string.h>

#include "raft/raft_internal.h"

static bool restore_is_sane(const struct raft_restore *from)
{
        int64_t index = from->cut_index;
        int32_t term = from->cut_term;

        if (from->cut_index < 0 || from->cut_term < 0 || from->cut_term > RAFT_TERM_MAX ||
            from->last_index < from->cut_index || !from->runs_count != (from->last_index == from->cut_index) ||
            from->commit_index < from->cut_index || from->commit_index > from->last_index)
                return false;
        for (size_t i = 0; i < from->runs_count; i++) {
                const struct raft_run *run = &from->runs[i];

                if (i == 0 ? run->first_index != index + 1 || run->term < MAX2(term, 1)
                           : run->first_index <= index || run->term <= term)
                        return false;
                index = run->first_index;
                term = run->term;
        }
        return index <= from->last_index && term <= RAFT_TERM_MAX;
}

int raft_log_init(struct raft_log *l, const struct raft_restore *from)
{
        if (!restore_is_sane(from))
                return -EINVAL;
        *l = (struct raft_log){
                .runs_size = from->runs_count + 8,
                .cut_index = from->cut_index,
                .cut_term = from->cut_term,
                .last_index = from->last_index,
                .persisted_index = from->last_index,
                .edition = 1,
        };
        l->runs = calloc(l->runs_size, sizeof *l->runs);
        if (!l->runs)
                return -ENOMEM;
        l->runs_count = from->runs_count;
        if (from->runs_count)
                memcpy(l->runs, from->runs, from->runs_count * sizeof *l->runs);
        return 0;
}

void raft_log_fini(struct raft_log *l)
{
        free(l->runs);
}

int raft_log_reserve(struct raft_log *l)
{
        size_t size = l->runs_size * 2;
        struct raft_run *runs;

        if (l->runs_count + 2 <= l->runs_size)
                return 0;
        runs = realloc(l->runs, size * sizeof *runs);
        if (!runs)
                return -ENOMEM;
        l->runs = runs;
        l->runs_size = size;
        return 0;
}

/* Place of the run that @index is in; it must be in the log. */
static size_t run_of(const struct raft_log *l, int64_t index)
{
        size_t low = 0, high = l->runs_count;

        assert(index > l->cut_index && index <= l->last_index);
        while (high - low > 1) {
                size_t mid = low + (high - low) / 2;

                if (l->runs[mid].first_index <= index)
                        low = mid;
                else
                        high = mid;
        }
        return low;
}

int32_t raft_log_term(const struct raft_log *l, int64_t index)
{
        if (index == l->cut_index)
                return l->cut_term;
        if (index < l->cut_index || index > l->last_index)
                return -1;
        return l->runs[run_of(l, index)].term;
}

int32_t raft_log_last_term(const struct raft_log *l)
{
        return l->runs_count ? l->runs[l->runs_count - 1].term : l->cut_term;
}

int64_t raft_log_run_end(const struct raft_log *l, int64_t index)
{
        size_t i = run_of(l, index);

        return i + 1 < l->runs_count ? l->runs[i + 1].first_index - 1 : l->last_index;
}

int64_t raft_log_find(const struct raft_log *l, int64_t index, int32_t term)
{
        index = MIN2(index, l->last_index);
        while (index > l->cut_index) {
                const struct raft_run *run = &l->runs[run_of(l, index)];

                if (run->term <= term)
                        return index;
                index = run->first_index - 1;
        }
        return index == l->cut_index && l->cut_term <= term ? index : l->cut_index - 1;
}

int64_t raft_log_conflict(const struct raft_log *l, int64_t from, int64_t to, int32_t term)
{
        int64_t index = from + 1;

        while (index <= to && raft_log_term(l, index) == term)
                index = raft_log_run_end(l, index) + 1;
        return MIN2(index, to + 1);
}

void raft_log_append(struct raft_log *l, int64_t count, int32_t term)
{
        assert(count > 0);
        assert(term >= raft_log_last_term(l));
        if (!l->runs_count || raft_log_last_term(l) != term) {
                assert(l->runs_count < l->runs_size);
                l->runs[l->runs_count++] = (struct raft_run){ l->last_index + 1, term };
        }
        l->last_index += count;
}

void raft_log_truncate(struct raft_log *l, int64_t from)
{
        assert(from > l->cut_index && from <= l->last_index);
        while (l->runs_count && l->runs[l->runs_count - 1].first_index >= from)
                l->runs_count--;
        l->last_index = from - 1;
        l->persisted_index = MIN2(l->persisted_index, l->last_index);
        l->edition++;
}

void raft_log_cut(struct raft_log *l, int64_t index)
{
        size_t gone = 0;

        assert(index <= l->persisted_index);
        if (index <= l->cut_index)
                return;
        l->cut_term = raft_log_term(l, index);
        l->cut_index = index;
        while (gone < l->runs_count &&
               (gone + 1 < l->runs_count ? l->runs[gone + 1].first_index - 1 : l->last_index) <= index)
                gone++;
        l->runs_count -= gone;
        memmove(l->runs, l->runs + gone, l->runs_count * sizeof *l->runs);
        if (l->runs_count)
                l->runs[0].first_index = index + 1;
}

void raft_log_reset(struct raft_log *l, int64_t index, int32_t term, int64_t committed)
{
        assert(index > committed);
        l->runs_count = 0;
        l->cut_index = l->last_index = index;
        l->cut_term = term;
        l->persisted_index = MIN2(l->persisted_index, committed);
        l->edition++;
}
