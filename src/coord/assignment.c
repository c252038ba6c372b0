#include "coord/assignment.h"
#include <errno.h>
#include <stdlib.h>
static int cmp(const void *a, const void *b)
{
        const struct assignment_entry *x = a, *y = b;
        int r = memcmp(x->id.b, y->id.b, 16);
        return r ? r : (x->partition > y->partition) - (x->partition < y->partition);
}
struct assignment *assignment_ref(struct assignment *a) { if (a) a->refs++; return a; }
struct assignment *assignment_unref(struct assignment *a) { if (a && !--a->refs) free(a); return NULL; }
int assignment_new(struct assignment_entry *e, size_t count, struct assignment **ret)
{
        size_t n = 0, t = 0;
        struct assignment *a; int32_t *p;
        *ret = NULL;
        if (!count) return 0;
        qsort(e, count, sizeof *e, cmp);
        for (size_t i = 0; i < count; i++) if (!n || cmp(&e[n - 1], &e[i])) e[n++] = e[i];
        for (size_t i = 0; i < n; i++) t += !i || !uuid_equal(e[i - 1].id, e[i].id);
        a = malloc(sizeof *a + t * sizeof a->topics[0] + n * sizeof *p);
        if (!a) return -ENOMEM;
        *a = (struct assignment){ .refs = 1, .partitions_count = n };
        p = (int32_t *)&a->topics[t];
        for (size_t i = 0; i < n; i++) {
                if (!i || !uuid_equal(e[i - 1].id, e[i].id)) a->topics[a->topics_count++] = (struct assignment_topic){ e[i].id, 0, p };
                *p++ = e[i].partition;
                a->topics[a->topics_count - 1].partitions_count++;
        }
        *ret = a; return 0;
}
const struct assignment_topic *assignment_find(const struct assignment *a, struct uuid id)
{
        for (uint32_t i = 0; a && i < a->topics_count; i++) if (uuid_equal(a->topics[i].id, id)) return &a->topics[i];
        return NULL;
}
bool assignment_has(const struct assignment *a, struct uuid id, int32_t partition)
{
        const struct assignment_topic *t = assignment_find(a, id);
        for (int32_t i = 0; t && i < t->partitions_count; i++) if (t->partitions[i] == partition) return true;
        return false;
}
static int combine(const struct assignment *a, const struct assignment *also, bool (*keep)(void *, struct uuid, int32_t), void *arg, struct assignment **ret)
{
        size_t n = 0; int r;
        struct assignment_entry *e = malloc(sizeof *e * ((a ? a->partitions_count : 0) + (also ? also->partitions_count : 0) + 1));
        if (!e) return -ENOMEM;
        for (uint32_t i = 0; a && i < a->topics_count; i++) for (int32_t k = 0; k < a->topics[i].partitions_count; k++)
                if (!keep || keep(arg, a->topics[i].id, a->topics[i].partitions[k])) e[n++] = (struct assignment_entry){ a->topics[i].id, a->topics[i].partitions[k] };
        for (uint32_t i = 0; also && i < also->topics_count; i++) for (int32_t k = 0; k < also->topics[i].partitions_count; k++)
                e[n++] = (struct assignment_entry){ also->topics[i].id, also->topics[i].partitions[k] };
        r = assignment_new(e, n, ret); free(e); return r;
}
static bool in(void *arg, struct uuid id, int32_t p) { return assignment_has(arg, id, p); }
static bool out(void *arg, struct uuid id, int32_t p) { return !assignment_has(arg, id, p); }
int assignment_and(struct assignment *a, struct assignment *b, struct assignment **ret) { return combine(a, NULL, in, b, ret); }
int assignment_minus(struct assignment *a, struct assignment *b, struct assignment **ret) { return combine(a, NULL, out, b, ret); }
int assignment_or(struct assignment *a, struct assignment *b, struct assignment **ret) { return combine(a, b, NULL, NULL, ret); }
int assignment_filter(struct assignment *a, bool (*keep)(void *, struct uuid, int32_t), void *arg, struct assignment **ret) { return combine(a, NULL, keep, arg, ret); }
bool assignment_is_subset(const struct assignment *a, const struct assignment *b)
{
        struct assignment *d; bool r;
        if (assignment_minus((void *)a, (void *)b, &d)) return false;
        r = !d; assignment_unref(d); return r;
}
bool assignment_meets(const struct assignment *a, const struct assignment *b)
{
        struct assignment *d; bool r;
        if (assignment_and((void *)a, (void *)b, &d)) return true;
        r = d; assignment_unref(d); return r;
}
bool assignment_equal(const struct assignment *a, const struct assignment *b) { return assignment_is_subset(a, b) && assignment_is_subset(b, a); }
size_t assignment_bytes(const struct assignment *a) { return a ? sizeof *a + a->topics_count * sizeof a->topics[0] + a->partitions_count * 4 : 0; }
/* temporary assignors */
#include "coord/assignor.h"
static int deal(const struct assignor_topic *topics, size_t nt, struct assignor_member *m, size_t nm, bool range)
{
        for (size_t i = 0; i < nm; i++) {
                struct assignment_entry e[4000]; size_t n = 0;
                for (uint32_t k = 0; k < m[i].subscription->topics_count; k++) {
                        const struct assignor_topic *t = &topics[m[i].subscription->topics[k]];
                        int c = 0, me = 0;
                        for (size_t j = 0; j < nm; j++) for (uint32_t q = 0; q < m[j].subscription->topics_count; q++) if (m[j].subscription->topics[q] == m[i].subscription->topics[k]) { if (j == i) me = c; c++; }
                        for (int p = 0; p < t->partitions_count; p++) { int q = t->partitions_count / c, x = t->partitions_count % c; int lo = me * q + (me < x ? me : x), hi = lo + q + (me < x);
                                if (p >= lo && p < hi) e[n++] = (struct assignment_entry){ t->id, p }; }
                }
                if (assignment_new(e, n, &m[i].ret_after)) return -ENOMEM;
        }
        return 0;
}
int assignor_uniform(const struct assignor_topic *t, size_t nt, struct assignor_member *m, size_t nm) { return deal(t, nt, m, nm, false); }
int assignor_range(const struct assignor_topic *t, size_t nt, struct assignor_member *m, size_t nm) { return deal(t, nt, m, nm, true); }
