/* Signs of life: does every loop still take its mail? A loop that hangs in a callback, and one whose thread is gone or never woken,
 * look the same from here. */
#include <stdio.h>

#include "sys/clock.h"
#include "sys/loop_internal.h"

/* Loops that run. A loop is posted to under the lock only, and leaves under it, so that it is there when it is posted to. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ilist loops = ILIST_INIT(loops);

static void answered(struct loop *l, struct mail *m)
{
        (void)m;
        atomic_store_explicit(&l->owed_ms, 0, memory_order_release);
}

void loop_pulse_begin(struct loop *l)
{
        pthread_mutex_lock(&lock);
        ilist_push_back(&loops, &l->running_link);
        pthread_mutex_unlock(&lock);
}

void loop_pulse_end(struct loop *l)
{
        pthread_mutex_lock(&lock);
        ilist_unlink(&l->running_link);
        pthread_mutex_unlock(&lock);
}

int64_t loops_silent_ms(char ret_name[LOOP_NAME_SIZE])
{
        int64_t now_ms = clock_mono_ms(), worst_ms = 0;

        ret_name[0] = '\0';
        pthread_mutex_lock(&lock);
        ilist_for_each (l, &loops, struct loop, running_link) {
                int64_t owed_ms = atomic_load_explicit(&l->owed_ms, memory_order_acquire);

                if (!owed_ms) {
                        atomic_store_explicit(&l->owed_ms, now_ms, memory_order_relaxed);
                        l->pulse.fn = answered;
                        loop_post(l, &l->pulse);
                } else if (now_ms - owed_ms > worst_ms) {
                        worst_ms = now_ms - owed_ms;
                        snprintf(ret_name, LOOP_NAME_SIZE, "%s", l->name);
                }
        }
        pthread_mutex_unlock(&lock);
        return worst_ms;
}
