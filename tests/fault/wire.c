/* A cable that is slow: what comes in at one tap leaves at the other so much later, in the order in which it came.
 * usage: fault-wire FILE TAP TAP. FILE holds two int64 of this machine, read at every packet: microseconds of delay, and up to
 * so many more by chance. Says READY when both taps are there. Each direction keeps at most QUEUE_MAX packets; more are lost, as
 * on a real cable.
 *
 * One thread, two taps, poll() with the time of the oldest packet. */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { QUEUE_MAX = 4096, PACKET_MAX = 1600, ROUND_MAX = 64 };

struct packet {
        int64_t due_ns;
        size_t len;
        uint8_t bytes[PACKET_MAX];
};

struct lane {
        int in, out;
        size_t first, count;
        struct packet *ring; /* QUEUE_MAX of them */
};

static const volatile int64_t *delays; /* microseconds: fixed, and by chance */

static void die(const char *what)
{
        perror(what);
        exit(1);
}

static int64_t now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int tap_open(const char *name)
{
        struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
        int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

        snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
        if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
                die(name);
        return fd;
}

static void take(struct lane *l)
{
        for (int i = 0; i < ROUND_MAX; i++) {
                struct packet *last = l->count ? &l->ring[(l->first + l->count - 1) % QUEUE_MAX] : NULL;
                struct packet *p = &l->ring[(l->first + l->count) % QUEUE_MAX], lost;
                struct packet *into = l->count < QUEUE_MAX ? p : &lost;
                ssize_t n = read(l->in, into->bytes, PACKET_MAX);

                if (n <= 0)
                        return;
                if (into == &lost)
                        continue;
                p->len = (size_t)n;
                p->due_ns = now_ns() + delays[0] * 1000;
                if (delays[1] > 0)
                        p->due_ns += random() % delays[1] * 1000;
                if (last && p->due_ns < last->due_ns) /* none overtakes another */
                        p->due_ns = last->due_ns;
                l->count++;
        }
}

/* Sends what is due; returns the nanoseconds until the next one is, -1 without any. */
static int64_t give(struct lane *l)
{
        int64_t now = now_ns();

        while (l->count) {
                struct packet *p = &l->ring[l->first];

                if (p->due_ns > now)
                        return p->due_ns - now;
                (void)!write(l->out, p->bytes, p->len); /* one that does not fit is lost */
                l->first = (l->first + 1) % QUEUE_MAX;
                l->count--;
        }
        return -1;
}

int main(int argc, char **argv)
{
        struct lane lanes[2] = { 0 };
        int fd, taps[2];

        if (argc != 4)
                die("usage: fault-wire FILE TAP TAP");
        fd = open(argv[1], O_RDONLY | O_CLOEXEC);
        delays = mmap(NULL, 2 * sizeof *delays, PROT_READ, MAP_SHARED, fd, 0);
        if (fd < 0 || delays == MAP_FAILED)
                die(argv[1]);
        for (int i = 0; i < 2; i++)
                taps[i] = tap_open(argv[2 + i]);
        for (int i = 0; i < 2; i++) {
                lanes[i] = (struct lane){ .in = taps[i],
                                          .out = taps[1 - i],
                                          .ring = calloc(QUEUE_MAX, sizeof(struct packet)) };
                if (!lanes[i].ring)
                        die("memory");
        }
        puts("READY");
        fflush(stdout);
        for (;;) {
                struct pollfd in[2] = { { .fd = taps[0], .events = POLLIN }, { .fd = taps[1], .events = POLLIN } };
                int64_t a = give(&lanes[0]), b = give(&lanes[1]), next = a < 0 || (b >= 0 && b < a) ? b : a;
                struct timespec wait = { .tv_sec = next / 1000000000, .tv_nsec = next % 1000000000 };

                if (ppoll(in, 2, next < 0 ? NULL : &wait, NULL) < 0)
                        die("ppoll");
                take(&lanes[0]);
                take(&lanes[1]);
        }
}
