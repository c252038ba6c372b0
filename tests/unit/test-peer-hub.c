/* Goal: every call has exactly one outcome, and the right one, whatever becomes of the other node; services know who
 * asks and are told when it is gone; nodes that should not speak with each other do not, and say why. Method: hubs in
 * one process on loopback, in plaintext and with TLS, and sockets that misbehave. */
#include "test-peer-world.h"

static void test_calls(void)
{
        struct peer_call c;
        struct peer_info info;
        struct peer_stats stats;

        pair_begin();
        expect(1, 2, "echo", "echo");
        expect(2, 1, "echo", "echo");
        expect(1, 2, "", "");
        expect(1, 2, "i", "1 test");
        expect(1, 2, "t", "elsewhere");
        CU_ASSERT_EQUAL(ask(1, 2, "T"), PEER_E_BUSY);
        CU_ASSERT_EQUAL(ask(1, 2, "b"), PEER_E_BUSY);
        CU_ASSERT_EQUAL(ask(1, 2, "m"), PEER_E_MALFORMED);
        CU_ASSERT_EQUAL(ask(1, 3, "e"), PEER_E_NO_ADDRESS);
        for (int16_t i = 0; i < 2; i++) { /* no such key, no such version */
                call_begin(&c, 1, 2, "e", 1);
                c.key = (int16_t)(KEY + i);
                c.version = 3;
                peer_call_submit(nodes[1].hub, &c);
                wait_all();
                CU_ASSERT_EQUAL(c.outcome, PEER_E_UNSUPPORTED);
        }
        info = info_of(1, 2);
        CU_ASSERT(info.known && info.peer.node == 2 && info.peer.directory.b[0] == 3);
        CU_ASSERT_STRING_EQUAL(info.peer.program, "test");
        CU_ASSERT_STRING_EQUAL(info.error, "");
        CU_ASSERT(info.links[PEER_CONTROL].up && !info.links[PEER_DATA].up);
        CU_ASSERT_EQUAL(info.links[PEER_CONTROL].calls, 0);
        CU_ASSERT_EQUAL(info.links[PEER_CONTROL].calls_total, 9);
        CU_ASSERT_EQUAL(info.links[PEER_CONTROL].calls_failed, 5);
        CU_ASSERT_EQUAL(info.in_count, 1);
        peer_hub_stats(nodes[2].hub, &stats);
        CU_ASSERT_EQUAL(stats.requests, 7);
        CU_ASSERT_EQUAL(peer_hub_list(nodes[1].hub, &info, 1), 1);
        world_end();
}

static void test_lanes_and_users(void)
{
        struct peer_call c;

        pair_begin();
        expect(1, 2, "c", "1");
        expect(1, 2, "c", "2");
        call_begin(&c, 1, 2, "c", 1);
        c.lane = PEER_DATA;
        peer_call_submit(nodes[1].hub, &c);
        wait_all();
        CU_ASSERT(answered(&c, "1")); /* another connection */
        call_fini(&c);
        CU_ASSERT_EQUAL(atomic_load(&nodes[1].ups[PEER_CONTROL]), 1);
        CU_ASSERT_EQUAL(atomic_load(&nodes[1].ups[PEER_DATA]), 1);
        CU_ASSERT_EQUAL(info_of(2, 1).in_count, 2);
        node_stop(1);
        CU_ASSERT(comes_to(&nodes[2].closed, 2));
        CU_ASSERT_EQUAL(atomic_load(&nodes[1].downs[PEER_CONTROL]), 1);
        CU_ASSERT_EQUAL(info_of(2, 1).in_count, 0);
        world_end();
}

/* Answers need not wait for each other, and calls may be many more than are in flight. */
static void test_pipelined(void)
{
        enum { COUNT = 1000 };
        static struct peer_call calls[COUNT];
        struct peer_call first, quick;
        char text[16];

        pair_begin();
        call_text(&first, 1, 2, "hold");
        call_text(&quick, 1, 2, "quick");
        waiting--; /* not for the first */
        wait_all();
        CU_ASSERT(answered(&quick, "quick"));
        call_fini(&quick);
        waiting = 1;
        release(2);
        wait_all();
        CU_ASSERT(answered(&first, "held"));
        call_fini(&first);
        for (int i = 0; i < COUNT; i++) {
                snprintf(text, sizeof text, "e%d", i);
                call_text(&calls[i], 1, 2, text);
        }
        wait_all();
        for (int i = 0; i < COUNT; i++) {
                snprintf(text, sizeof text, "e%d", i);
                CU_ASSERT(answered(&calls[i], text));
                call_fini(&calls[i]);
        }
        world_end();
}

/* More may not wait than is configured, in number and in bytes; what waits is counted out again. */
static void test_bounds(void)
{
        static struct peer_call calls[4];
        static char large[4000];
        struct peer_conf a, b;

        world_begin();
        a = conf_of(1);
        a.calls_max = 3;
        a.calls_bytes_max = 5000;
        b = conf_of(2);
        node_start(1, &a);
        node_start(2, &b);
        know(1, 2, nodes[2].port);
        for (int round = 0; round < 2; round++) {
                for (int i = 0; i < 4; i++)
                        call_text(&calls[i], 1, 2, "h");
                for (int i = 0; i < 500 && held_count(2) < 3; i++)
                        usleep(10000);
                waiting -= 3;
                wait_all(); /* only the fourth can be back */
                CU_ASSERT_EQUAL(calls[3].outcome, PEER_E_FULL);
                waiting += 3;
                release(2);
                wait_all();
                for (int i = 0; i < 3; i++) {
                        CU_ASSERT(answered(&calls[i], "held"));
                        call_fini(&calls[i]);
                }
        }
        memset(large, 'h', sizeof large);
        for (int i = 0; i < 2; i++) {
                call_begin(&calls[i], 1, 2, large, sizeof large);
                peer_call_submit(nodes[1].hub, &calls[i]);
        }
        waiting--;
        wait_all(); /* only the second can be back */
        CU_ASSERT_EQUAL(calls[1].outcome, PEER_E_FULL);
        waiting++;
        for (int i = 0; i < 500 && held_count(2) < 1; i++)
                usleep(10000);
        release(2);
        wait_all();
        CU_ASSERT_EQUAL(calls[0].outcome, PEER_OK);
        call_fini(&calls[0]);
        CU_ASSERT(!peer_outcome_may_be_done(PEER_E_FULL) && peer_outcome_may_be_done(PEER_E_LOST));
        world_end();
}

static void make_file(void)
{
        static uint8_t bytes[FILE_LEN];

        for (size_t i = 0; i < FILE_LEN; i++)
                bytes[i] = (uint8_t)(i * 2654435761u >> 13);
        file_fd = memfd_create("piece", MFD_CLOEXEC);
        CU_ASSERT_EQUAL_FATAL(write(file_fd, bytes, FILE_LEN), FILE_LEN);
}

static bool is_file(const uint8_t *data)
{
        for (size_t i = 0; i < FILE_LEN; i++)
                if (data[i] != (uint8_t)(i * 2654435761u >> 13))
                        return false;
        return true;
}

/* Files in answers, and in calls; several MiB in memory. */
static void check_bytes(void)
{
        struct peer_link_info link = { 0 };

        for (int i = 0; i < 200 && link.bytes_in <= 3 * FILE_LEN; i++) { /* they are noted a few times in a second */
                usleep(10000);
                link = info_of(1, 2).links[PEER_CONTROL];
        }
        CU_ASSERT(link.bytes_in > 3 * FILE_LEN && link.bytes_in < 3 * FILE_LEN + 10000);
        CU_ASSERT(link.bytes_out > 30 && link.bytes_out < 10000);
}

static void test_large(void)
{
        struct net_piece p = { .fd = -1, .len = FILE_LEN, .release = on_release };
        struct peer_call c[3];
        uint8_t *large;

        make_file();
        pair_begin();
        for (int i = 0; i < 3; i++)
                call_text(&c[i], 1, 2, "f");
        wait_all();
        for (int i = 0; i < 3; i++) {
                CU_ASSERT_EQUAL_FATAL(c[i].outcome, PEER_OK);
                CU_ASSERT_EQUAL_FATAL(c[i].body.len, FILE_LEN + 2);
                CU_ASSERT(c[i].body.data[0] == '<' && c[i].body.data[FILE_LEN + 1] == '>');
                CU_ASSERT(is_file(c[i].body.data + 1));
                call_fini(&c[i]);
        }
        check_bytes();
        call_begin(&c[0], 1, 2, "e", 1);
        peer_out_fini(&c[0].out);
        p.fd = file_fd;
        atomic_fetch_add(&pieces_out, 1);
        CU_ASSERT_EQUAL_FATAL(peer_out_begin(&c[0].out, 1, 1), 0);
        writer_u8(&c[0].out.w, 'e');
        writer_ext(&c[0].out.w, &p, FILE_LEN);
        peer_call_submit(nodes[1].hub, &c[0]);
        memset(&p, 0xff, sizeof p); /* it was copied */
        wait_all();
        CU_ASSERT_EQUAL_FATAL(c[0].outcome, PEER_OK);
        CU_ASSERT_EQUAL_FATAL(c[0].body.len, FILE_LEN + 1);
        CU_ASSERT(is_file(c[0].body.data + 1));
        call_fini(&c[0]);
        large = calloc(1, 20 << 20);
        large[0] = 'e';
        large[(20 << 20) - 1] = 'z';
        call_begin(&c[0], 1, 2, large, 20 << 20);
        c[0].timeout_ms = 60000; /* an emulated processor encrypts some MB in a second */
        peer_call_submit(nodes[1].hub, &c[0]);
        wait_all();
        CU_ASSERT_EQUAL_FATAL(c[0].outcome, PEER_OK);
        CU_ASSERT(c[0].body.len == 20 << 20 && !memcmp(c[0].body.data, large, 20 << 20));
        call_fini(&c[0]);
        free(large);
        world_end();
        close(file_fd);
}

static void test_time_out(void)
{
        struct peer_call c;
        int64_t from_ms;

        pair_begin();
        from_ms = clock_mono_ms();
        call_begin(&c, 1, 2, "h", 1);
        c.timeout_ms = 100;
        peer_call_submit(nodes[1].hub, &c);
        wait_all();
        CU_ASSERT_EQUAL(c.outcome, PEER_E_TIMEOUT);
        CU_ASSERT(clock_mono_ms() - from_ms >= 100);
        expect(1, 2, "e", "e"); /* the connection goes on, */
        release(2);             /* and the answer that comes late harms nobody */
        expect(1, 2, "e2", "e2");
        CU_ASSERT_EQUAL(info_of(1, 2).links[PEER_CONTROL].connects_total, 1);
        world_end();
}

/* Nobody there; then somebody; then nobody again, in the middle; then somebody at another address. */
static void test_peer_restarts(void)
{
        struct peer_conf a, b;
        struct peer_info info;
        struct peer_call held;
        uint16_t port;
        int fd;

        world_begin();
        a = conf_of(1);
        b = conf_of(2);
        node_start(1, &a);
        fd = listen_raw(&port);
        close(fd);
        know(1, 2, port);
        CU_ASSERT_EQUAL(ask(1, 2, "e"), PEER_E_UNREACHABLE);
        info = info_of(1, 2);
        CU_ASSERT(!info.known);
        CU_ASSERT_STRING_EQUAL(info.error, "cannot connect: Connection refused");
        node_start(2, &b);
        know(1, 2, nodes[2].port);
        expect(1, 2, "e", "e");
        CU_ASSERT_STRING_EQUAL(info_of(1, 2).error, "");
        call_text(&held, 1, 2, "h");
        for (int i = 0; i < 500 && !held_count(2); i++)
                usleep(10000);
        node_stop(2); /* the request stays unanswered */
        wait_all();
        CU_ASSERT_EQUAL(held.outcome, PEER_E_LOST);
        CU_ASSERT(comes_to(&nodes[1].downs[PEER_CONTROL], 1));
        node_start(2, &b);
        know(1, 2, nodes[2].port);
        expect(1, 2, "c", "1");
        know(1, 2, 0);
        CU_ASSERT(comes_to(&nodes[1].downs[PEER_CONTROL], 2));
        CU_ASSERT_EQUAL(ask(1, 2, "e"), PEER_E_NO_ADDRESS);
        world_end();
}

/* The same address again: found without being told, by back-off. */
static void test_reconnects(void)
{
        struct peer_conf a, b;
        char listen[32];

        world_begin();
        a = conf_of(1);
        b = conf_of(2);
        node_start(1, &a);
        node_start(2, &b);
        know(1, 2, nodes[2].port);
        expect(1, 2, "e", "e");
        snprintf(listen, sizeof listen, "127.0.0.1:%u", nodes[2].port);
        node_stop(2);
        CU_ASSERT(comes_to(&nodes[1].downs[PEER_CONTROL], 1));
        CU_ASSERT_EQUAL(ask(1, 2, "e"), PEER_E_UNREACHABLE);
        b.listen = listen;
        node_start(2, &b);
        for (int i = 0; i < 5 && ask(1, 2, "e") != PEER_OK; i++)
                ;
        expect(1, 2, "e", "e");
        CU_ASSERT_EQUAL(atomic_load(&nodes[1].ups[PEER_CONTROL]), 2);
        world_end();
}

static void on_stopped(struct loop *l, struct mail *m)
{
        on_done(NULL);
}

static void test_stop_while_calls_wait(void)
{
        struct mail done = { .fn = on_stopped };
        struct peer_call held[3], queued;
        uint16_t port;
        int fd;

        pair_begin();
        fd = listen_raw(&port); /* it connects, and nobody says hello */
        know(1, 3, port);
        for (int i = 0; i < 3; i++)
                call_text(&held[i], 1, 2, "h");
        call_text(&queued, 1, 3, "e");
        for (int i = 0; i < 500 && held_count(2) < 3; i++)
                usleep(10000);
        waiting++; /* the stop's */
        peer_hub_stop(nodes[1].hub, 300, here, &done);
        wait_all();
        for (int i = 0; i < 3; i++)
                CU_ASSERT_EQUAL(held[i].outcome, PEER_E_LOST);
        CU_ASSERT_EQUAL(queued.outcome, PEER_E_STOPPED);
        CU_ASSERT_EQUAL(ask(1, 2, "e"), PEER_E_STOPPED);
        nodes[1].hub = peer_hub_free(nodes[1].hub);
        release(2); /* to nobody */
        world_end();
        close(fd);
}

/* ---- who may speak ---- */

static void refused_with(const struct peer_conf *a, const struct peer_conf *b, int32_t to, const char *words)
{
        struct peer_stats stats;
        struct peer_info info;

        node_start(1, a);
        node_start(2, b);
        know(1, to, nodes[2].port);
        CU_ASSERT_EQUAL(ask(1, to, "e"), PEER_E_REFUSED);
        info = info_of(1, to);
        CU_ASSERT_PTR_NOT_NULL(strstr(info.error, words));
        if (!strstr(info.error, words))
                fprintf(stderr, "not in it: %s\n in: %s\n", words, info.error);
        peer_hub_stats(nodes[1].hub, &stats);
        CU_ASSERT_EQUAL(stats.refused, 1);
        CU_ASSERT_EQUAL(atomic_load(&nodes[2].served), 0);
        CU_ASSERT_EQUAL(atomic_load(&nodes[1].ups[0]), 0);
        node_stop(1);
        node_stop(2);
}

static void test_refusals(void)
{
        struct peer_conf a, b;

        world_begin();
        a = conf_of(1);
        b = conf_of(2);
        a.cluster_id = STR_LIT("one");
        b.cluster_id = STR_LIT("two");
        refused_with(&a, &b, 2, "belongs to cluster one and node 2 to cluster two");
        b.cluster_id = STR_NULL;
        refused_with(&a, &b, 5, "node 5 was called, and this is node 2");
        b.directory = a.directory;
        refused_with(&a, &b, 2, "one is a copy of the other");
        b = conf_of(1);
        refused_with(&a, &b, 2, "node 2 was called, and this is node 1");
        world_end();
}

/* Two processes under one id: the second is refused as long as the first speaks, and taken when it is gone. */
static void test_id_twice(void)
{
        struct peer_conf a, b, twin;

        world_begin();
        a = conf_of(1);
        b = conf_of(2);
        twin = conf_of(2);
        node_start(1, &a);
        node_start(2, &b);
        node_start(3, &twin);
        know(2, 1, nodes[1].port);
        know(3, 1, nodes[1].port);
        expect(2, 1, "e", "e");
        CU_ASSERT_EQUAL(ask(3, 1, "e"), PEER_E_REFUSED);
        CU_ASSERT_PTR_NOT_NULL(strstr(info_of(3, 1).error, "node 2 is there already, as another process"));
        CU_ASSERT_PTR_NULL(strstr(info_of(3, 1).error, "TLS")); /* the reason is known */
        expect(2, 1, "e", "e");                                 /* the first is not disturbed */
        node_stop(2);
        for (int i = 0; i < 100 && ask(3, 1, "e"); i++)
                usleep(20000);
        expect(3, 1, "e", "e");
        world_end();
}

/* A cluster that becomes known later ends what does not belong to it, both ways. */
static void test_cluster_becomes_known(void)
{
        pair_begin();
        expect(1, 2, "e", "e");
        expect(2, 1, "e", "e");
        CU_ASSERT_EQUAL(peer_hub_set_cluster(nodes[1].hub, STR_LIT("one")), 0);
        expect(1, 2, "e", "e");
        CU_ASSERT_EQUAL(peer_hub_set_cluster(nodes[1].hub, STR_LIT("")), -EINVAL);
        know(1, 2, 0); /* a new hello, with the cluster's id */
        CU_ASSERT(comes_to(&nodes[1].downs[PEER_CONTROL], 1));
        know(1, 2, nodes[2].port);
        expect(1, 2, "e", "e");
        CU_ASSERT_STRING_EQUAL(info_of(2, 1).peer.cluster_id, "one");
        CU_ASSERT_EQUAL(peer_hub_set_cluster(nodes[2].hub, STR_LIT("two")), 0);
        CU_ASSERT(comes_to(&nodes[1].downs[PEER_CONTROL], 2));
        CU_ASSERT_EQUAL(ask(1, 2, "e"), PEER_E_REFUSED);
        world_end();
}

/* ---- peers that misbehave ---- */

static void test_bad_clients(void)
{
        static const struct {
                const char *bytes;
                size_t len;
        } cases[] = {
                { "\0\0\0\2ab", 6 }, /* shorter than a header */
                { "\0\0\0\11"
                  "N \0\0\0\0\0\1x",
                  13 }, /* a service's key before hello */
                { "\0\0\0\11"
                  "'\20\0\0\0\0\0\1x",
                  13 }, /* hello, malformed */
                { "\0\0\0\10"
                  "'\20\0\1\0\0\0\1",
                  12 }, /* hello in a version that is none */
                { "\x7f\xff\xff\xff"
                  "'\20\0\0\0\0\0\1",
                  12 }, /* too long */
                { "GET / HTTP/1.1\r\n\r\n", 18 },
                { "\0\0\x13\x88", 4 }, /* longer than a hello */
        };

        pair_begin();
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                int fd = dial_raw(nodes[2].port);

                CU_ASSERT_EQUAL(send(fd, cases[i].bytes, cases[i].len, 0), (ssize_t)cases[i].len);
                CU_ASSERT(is_closed(fd));
                close(fd);
        }
        expect(1, 2, "e", "e");
        CU_ASSERT_EQUAL(atomic_load(&nodes[2].served), 1);
        world_end();
}

/* Connects, and then nothing; or nonsense. */
static void test_bad_servers(void)
{
        static const struct {
                const char *bytes;
                size_t len;
                const char *words;
        } cases[] = {
                { "", 0, "does not answer hello in time" },
                { "\0\0\0\3abc", 7, "malformed" },
                { "\0\0\0\6\0\0\0\1\0\0", 10, "does not answer hello" },
                { "\0\0\0\6\xff\xff\xff\xfe\0\0", 10, "answer to hello is malformed" },
                { "\0\0\0\6\xff\xff\xff\xfe\0\1", 10, "does not answer hello" },
                { "\x7f\xff\xff\xff", 4, "longer than allowed" },
        };
        struct peer_conf a;

        world_begin();
        a = conf_of(1);
        a.connect_ms_max = 300;
        a.listen = NULL;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                struct peer_call c;
                uint16_t port;
                int fd, peer;

                node_start(1, &a);
                fd = listen_raw(&port);
                know(1, 2, port);
                call_text(&c, 1, 2, "e");
                peer = accept(fd, NULL, NULL);
                if (cases[i].len)
                        CU_ASSERT_EQUAL(send(peer, cases[i].bytes, cases[i].len, 0), (ssize_t)cases[i].len);
                wait_all();
                CU_ASSERT_EQUAL(c.outcome, PEER_E_UNREACHABLE);
                CU_ASSERT_PTR_NOT_NULL(strstr(info_of(1, 2).error, cases[i].words));
                close(peer);
                close(fd);
                node_stop(1);
        }
        world_end();
}

/* A relay between node 1 and node 2 that can fall silent, as a cable does. */
static int relay_listen_fd, relay_a = -1, relay_b = -1;

static void relay_open(void)
{
        relay_a = accept(relay_listen_fd, NULL, NULL);
        relay_b = dial_raw(nodes[2].port);
}

static void relay_run(int ms)
{
        int64_t until_ms = clock_mono_ms() + ms;

        while (clock_mono_ms() < until_ms) {
                struct pollfd p[2] = { { relay_a, POLLIN, 0 }, { relay_b, POLLIN, 0 } };
                char buf[4096];
                ssize_t n;

                if (poll(p, 2, 10) <= 0)
                        continue;
                for (int i = 0; i < 2; i++) {
                        if (!(p[i].revents & POLLIN))
                                continue;
                        n = recv(p[i].fd, buf, sizeof buf, 0);
                        if (n > 0)
                                (void)!send(p[1 - i].fd, buf, (size_t)n, MSG_NOSIGNAL);
                }
        }
}

static void test_silence(void)
{
        struct peer_conf a, b;
        struct peer_call c;
        int64_t from_ms;
        uint16_t port;

        world_begin();
        a = conf_of(1);
        a.silence_ms_max = 600;
        b = conf_of(2);
        node_start(1, &a);
        node_start(2, &b);
        relay_listen_fd = listen_raw(&port);
        know(1, 2, port);
        call_begin(&c, 1, 2, "h", 1);
        c.timeout_ms = 20000;
        peer_call_submit(nodes[1].hub, &c);
        relay_open();
        relay_run(1500); /* it waits for long, and probes are answered */
        CU_ASSERT_EQUAL(atomic_load(&nodes[1].downs[PEER_CONTROL]), 0);
        CU_ASSERT_EQUAL(held_count(2), 1);
        from_ms = clock_mono_ms();
        wait_all(); /* nothing is relayed any more */
        CU_ASSERT_EQUAL(c.outcome, PEER_E_LOST);
        CU_ASSERT(clock_mono_ms() - from_ms < 1000);
        CU_ASSERT(clock_mono_ms() - from_ms > 300);
        CU_ASSERT_PTR_NOT_NULL(strstr(info_of(1, 2).error, "nothing came from it"));
        close(relay_a);
        close(relay_b);
        close(relay_listen_fd);
        release(2);
        world_end();
}

static void test_names(void)
{
        struct peer_hub *h;
        char address[32];

        pair_begin();
        h = nodes[1].hub;
        CU_ASSERT_EQUAL(peer_hub_set_address(h, 1, "127.0.0.1:1"), -EINVAL);
        CU_ASSERT_EQUAL(peer_hub_set_address(h, 3, "127.0.0.1"), -EINVAL);
        CU_ASSERT_EQUAL(peer_hub_set_address(h, 3, "127.0.0.1:0"), -EINVAL);
        CU_ASSERT_EQUAL(peer_hub_set_address(h, 3, ":9093"), -EINVAL);
        CU_ASSERT_EQUAL(peer_hub_set_address(h, -1, "127.0.0.1:1"), -EINVAL);
        snprintf(address, sizeof address, "localhost:%u", nodes[2].port);
        CU_ASSERT_EQUAL(peer_hub_set_address(h, 2, address), 0);
        expect(1, 2, "e", "e");
        CU_ASSERT_EQUAL(peer_hub_set_address(h, 3, "no-such-host.invalid:1"), 0);
        CU_ASSERT_EQUAL(ask(1, 3, "e"), PEER_E_UNREACHABLE);
        CU_ASSERT_PTR_NOT_NULL(strstr(info_of(1, 3).error, "no-such-host.invalid:1"));
        world_end();
}

static const struct unit_case cases[] = {
        { "calls and outcomes", test_calls },
        { "lanes, and a service's state of a connection", test_lanes_and_users },
        { "many calls, answered in any order", test_pipelined },
        { "bounds", test_bounds },
        { "large messages and files", test_large },
        { "time-outs", test_time_out },
        { "a peer that comes and goes", test_peer_restarts },
        { "a peer that comes back", test_reconnects },
        { "stop while calls wait", test_stop_while_calls_wait },
        { "refusals", test_refusals },
        { "two processes under one id", test_id_twice },
        { "the cluster becomes known", test_cluster_becomes_known },
        { "clients that are none", test_bad_clients },
        { "servers that are none", test_bad_servers },
        { "silence", test_silence },
        { "addresses and names", test_names },
        { "from here on with TLS", tls_begin },
        { "TLS: calls and outcomes", test_calls },
        { "TLS: lanes, and a service's state of a connection", test_lanes_and_users },
        { "TLS: many calls, answered in any order", test_pipelined },
        { "TLS: bounds", test_bounds },
        { "TLS: large messages and files", test_large },
        { "TLS: time-outs", test_time_out },
        { "TLS: a peer that comes and goes", test_peer_restarts },
        { "TLS: a peer that comes back", test_reconnects },
        { "TLS: stop while calls wait", test_stop_while_calls_wait },
        { "TLS: the cluster becomes known", test_cluster_becomes_known },
        { "TLS: silence", test_silence },
        { "TLS: to here", tls_end },
};

UNIT_MAIN("peer hub", cases)
