/* An I/O pool without threads: stands in for sys/iopool.c. */
#include <stdlib.h>

#include "host.h"

struct iopool {
        struct ilist jobs;
};

static struct iopool *the_pool; /* one at a time */

int iopool_new(unsigned threads_count, struct iopool **ret_pool)
{
        struct iopool *p = malloc(sizeof *p);

        (void)threads_count;
        assert(p && !the_pool);
        ilist_init(&p->jobs);
        *ret_pool = the_pool = p;
        return 0;
}

struct iopool *iopool_free(struct iopool *p)
{
        if (!p)
                return NULL;
        assert(p == the_pool && ilist_is_empty(&p->jobs));
        free(p);
        return the_pool = NULL;
}

void iopool_submit(struct iopool *p, struct io_job *job)
{
        assert(p == the_pool && !job->reply_loop);
        ilist_push_back(&p->jobs, &job->link);
}

bool sim_pool_run_one(struct chance *c)
{
        struct ilist *at = the_pool->jobs.next;
        struct io_job *job;

        for (uint32_t skip = chance_below(c, 3); skip && at->next != &the_pool->jobs; skip--)
                at = at->next;
        if (at == &the_pool->jobs)
                return false;
        ilist_unlink(at);
        job = ilist_entry(at, struct io_job, link);
        job->run(job);
        job->done(job);
        return true;
}

void sim_pool_run_all(struct chance *c)
{
        while (sim_pool_run_one(c))
                ;
}
