/* Building the progress of share groups again from the log (KIP-932). The log is untrusted too. */
#include <errno.h>

#include "coord/records.h"
#include "coord/share_priv.h"

static int apply(struct group *g, struct arena *a, const struct records_key *key, const struct share_progress_value *v)
{
        struct coord_share_run *runs = ARENA_NEW_ARRAY(a, struct coord_share_run, v->runs_count);
        struct share_progress *p;

        if (!runs)
                return -ENOMEM;
        for (int32_t i = 0; i < v->runs_count; i++)
                runs[i] = (struct coord_share_run){ v->runs[i].first, v->runs[i].last, v->runs[i].state,
                                                    v->runs[i].deliveries };
        if (key->partition < 0 || v->runs_count > COORD_SHARE_RUNS_MAX ||
            !share_runs_are_sound(v->start, runs, v->runs_count))
                return RECORDS_E_MALFORMED;
        p = share_get(g, key->topic_id, key->partition);
        if (!p || share_set_runs(p, runs, v->runs_count))
                return -ENOMEM;
        p->state_epoch = v->state_epoch;
        p->leader_epoch = v->leader_epoch;
        p->number = v->write_number;
        p->start = v->start;
        return 0;
}

int share_replay(struct group *g, struct arena *a, const struct records_key *key, struct span value)
{
        struct share_progress_value v;
        struct share_progress *p;
        int r = 0;

        if (value.data) {
                r = records_decode_share_progress(value, a, &v);
                return r ? r : apply(g, a, key, &v);
        }
        p = share_find(g, key->topic_id, key->partition);
        if (p)
                share_drop(p);
        return r;
}
