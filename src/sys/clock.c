/* Time and chance from the kernel. */
#include "sys/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/timex.h>
#include <time.h>

#include "base/macros.h"

static int64_t clock_read_ns(clockid_t id)
{
        struct timespec ts;
        int r = clock_gettime(id, &ts);

        assert(!r); /* both clocks exist on every Linux */
        return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_mono_ns(void)
{
        return clock_read_ns(CLOCK_MONOTONIC);
}

int64_t clock_wall_ms(void)
{
        return clock_read_ns(CLOCK_REALTIME) / 1000000;
}

bool clock_is_synchronised(void)
{
        struct timex t = { 0 };

        return adjtimex(&t) != TIME_ERROR && !(t.status & STA_UNSYNC);
}

void clock_sleep_ms(int64_t ms)
{
        struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

        while (ms > 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
                ;
}

void random_bytes(void *buf, size_t len)
{
        uint8_t *at = buf;

        while (len) {
                ssize_t n = getrandom(at, len, 0);

                if (n < 0) {
                        /* Only a signal may interrupt; without a source of chance no identifier would be unique. */
                        assert(errno == EINTR);
                        continue;
                }
                at += n;
                len -= (size_t)n;
        }
}

uint64_t random_u64(void)
{
        uint64_t v;

        random_bytes(&v, sizeof v);
        return v;
}

struct uuid random_uuid(void)
{
        struct uuid u;

        do {
                random_bytes(u.b, sizeof u.b);
                u.b[6] = (u.b[6] & 0x0f) | 0x40; /* RFC 9562: version 4, variant 10, so none of the reserved ones */
                u.b[8] = (u.b[8] & 0x3f) | 0x80;
        } while (u.b[0] >> 2 == 62); /* the first of the 6-bit digits would be '-' */
        return u;
}
