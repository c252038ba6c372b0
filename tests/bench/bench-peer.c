/* What calls between nodes cost, in plaintext and with TLS: two hubs in one process on loopback, each on a reactor of
 * its own. Small calls (64 bytes, echoed), one after the other and many at once; and file ranges of a megabyte as
 * answers, from the page cache. Not a timed test: it prints figures for a person. usage: bench-peer [SECONDS per line,
 * 2] */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/tls.h"
#include "net/tls_issue.h"
#include "peer/peer.h"
#include "sys/clock.h"
#include "sys/diag.h"
#include "sys/file.h"

enum { KEY = 20000, SMALL_LEN = 64, FILE_LEN = 64 << 20, PIECE_LEN = 1 << 20, WINDOW_MAX = 64 };

struct flow {
        struct peer_call calls[WINDOW_MAX];
        unsigned window, waiting;
        bool file, over;
        int64_t until_ns;
        uint64_t count, bytes;
};

static struct loop *here;
static struct peer_hub *client, *server;
static struct flow flow;
static int file_fd;
static uint64_t next_piece;

static void must(bool ok, const char *what)
{
        if (ok)
                return;
        fprintf(stderr, "bench-peer: %s failed\n", what);
        exit(1);
}

static void serve(void *arg, struct peer_request *rq)
{
        struct net_piece *p = arena_alloc(&rq->arena, sizeof *p);
        bool file = rq->body.data[0] == 'f';
        struct peer_out o;

        must(!peer_out_begin(&o, rq->body.len, file), "memory");
        writer_bytes(&o.w, rq->body.data, rq->body.len);
        if (file) {
                *p = (struct net_piece){ .fd = file_fd,
                                         .pos = (int64_t)(next_piece++ % (FILE_LEN / PIECE_LEN)) * PIECE_LEN,
                                         .len = PIECE_LEN };
                writer_ext(&o.w, p, PIECE_LEN);
        }
        peer_answer(rq, &o);
}

static void on_done(struct peer_call *call);

static void submit(struct peer_call *call)
{
        uint8_t body[SMALL_LEN] = { flow.file ? 'f' : 'e' };

        *call = (struct peer_call){
                .node = 2, .lane = PEER_DATA, .key = KEY, .timeout_ms = 10000, .loop = here, .done = on_done
        };
        must(!peer_out_begin(&call->out, sizeof body, 0), "memory");
        writer_bytes(&call->out.w, body, sizeof body);
        flow.waiting++;
        peer_call_submit(client, call);
}

static void on_done(struct peer_call *call)
{
        must(call->outcome == PEER_OK, peer_outcome_name(call->outcome));
        flow.waiting--;
        flow.count++;
        flow.bytes += call->body.len;
        iobuf_unref(call->frame);
        if (clock_mono_ns() < flow.until_ns)
                submit(call);
        else if (!flow.waiting)
                loop_stop(here);
}

static double cpu_s(void)
{
        struct rusage u;

        getrusage(RUSAGE_SELF, &u);
        return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
               (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void run(const char *mode, bool file, unsigned window, double seconds)
{
        int64_t from_ns = clock_mono_ns();
        double took_s, cpu = cpu_s();

        flow = (struct flow){ .window = window, .file = file, .until_ns = from_ns + (int64_t)(seconds * 1e9) };
        for (unsigned i = 0; i < window; i++)
                submit(&flow.calls[i]);
        loop_run(here);
        took_s = (double)(clock_mono_ns() - from_ns) / 1e9;
        cpu = cpu_s() - cpu;
        if (file)
                printf("%-9s files, %2u at once: %7.0f MB/s, %5.2f s of processor per GB\n", mode, window,
                       (double)flow.bytes / took_s / 1e6, cpu / ((double)flow.bytes / 1e9));
        else
                printf("%-9s small, %2u at once: %7.0f calls/s, %5.1f us each, %5.1f us of processor\n", mode, window,
                       (double)flow.count / took_s, took_s / (double)flow.count * 1e6, cpu / (double)flow.count * 1e6);
}

static struct tls_slot *slot_of(const char *dir, int node, const struct tls_pair *ca)
{
        char uri[64], cert[128], key[128], authority[128], why[TLS_WHY_SIZE];
        struct tls_subject s = { .name = "bench", .uri = uri, .from_s = -60, .to_s = 3600 };
        struct tls_files f = { cert, key, authority, true };
        struct tls_context *x;
        struct tls_pair p;

        snprintf(uri, sizeof uri, "chronik://node/%d", node);
        snprintf(cert, sizeof cert, "%s/%d.pem", dir, node);
        snprintf(key, sizeof key, "%s/%d.key", dir, node);
        snprintf(authority, sizeof authority, "%s/ca.pem", dir);
        must(!tls_issue(&s, ca, &p), "a certificate");
        must(!file_replace(cert, span_of(p.certificate, strlen(p.certificate))) &&
                     !file_replace(key, span_of(p.key, strlen(p.key))) &&
                     !file_replace(authority, span_of(ca->certificate, strlen(ca->certificate))),
             "writing certificates");
        tls_pair_fini(&p);
        must(!tls_context_load(&f, &x, why), why);
        return tls_slot_new(x);
}

static void hubs_begin(struct tls_slot *one, struct tls_slot *two)
{
        struct peer_conf a = { .node = 1, .program = "bench", .tls = one };
        struct peer_conf b = { .node = 2, .program = "bench", .tls = two, .listen = "127.0.0.1:0" };
        struct peer_service s = { .key = KEY, .request = serve };
        char address[64];
        uint16_t port = 0;

        a.directory.b[0] = 1;
        b.directory.b[0] = 2;
        must(!peer_hub_new(&a, &client) && !peer_hub_new(&b, &server), "hubs");
        must(!peer_hub_register(server, &s) && !peer_hub_start(client, NULL) && !peer_hub_start(server, &port),
             "start");
        snprintf(address, sizeof address, "127.0.0.1:%u", port);
        must(!peer_hub_set_address(client, 2, address), "address");
}

static void on_stopped(struct loop *l, struct mail *m)
{
        loop_stop(l);
}

static void hub_end(struct peer_hub *h)
{
        struct mail done = { .fn = on_stopped };

        peer_hub_stop(h, 1000, here, &done);
        loop_run(here);
        peer_hub_free(h);
}

static void measure(const char *mode, struct tls_slot *one, struct tls_slot *two, double seconds)
{
        hubs_begin(one, two);
        run(mode, false, 1, seconds);
        run(mode, false, WINDOW_MAX, seconds);
        run(mode, true, 8, seconds);
        hub_end(client);
        hub_end(server);
}

int main(int argc, char **argv)
{
        double seconds = argc > 1 ? strtod(argv[1], NULL) : 2;
        struct tls_subject s = { .name = "bench", .authority = true, .from_s = -60, .to_s = 3600 };
        char dir[] = "/tmp/chronik-bench-peer-XXXXXX";
        struct tls_slot *one, *two;
        struct tls_pair ca;

        diag_set_level(DIAG_WARN);
        must(!loop_new("main", &here), "a loop");
        file_fd = memfd_create("bench", MFD_CLOEXEC);
        must(file_fd >= 0 && !ftruncate(file_fd, FILE_LEN) && !fallocate(file_fd, 0, 0, FILE_LEN), "a file in memory");
        must(!tls_issue(&s, NULL, &ca) && mkdtemp(dir), "an authority");
        one = slot_of(dir, 1, &ca);
        two = slot_of(dir, 2, &ca);
        file_remove_tree(dir);
        measure("plaintext", NULL, NULL, seconds);
        measure("TLS 1.3", one, two, seconds);
        tls_slot_free(one);
        tls_slot_free(two);
        tls_pair_fini(&ca);
        loop_free(here);
        close(file_fd);
        return 0;
}
