/* Goal: what test-net-server.c says holds over TLS; keys may be renewed at any time; whoever does not finish its
 * handshake, or says what is no TLS, costs little and holds up nobody. Method: the same tests through tunnels, and
 * sockets that misbehave. */
#define TEST_TLS
#include "test-net-server.c"

static void test_keys_renewed(void)
{
        struct net_config cfg = config();
        static char text[20001], got[20001];
        uint8_t head[4];
        int fd;

        cfg.idle_ms_max = 5000;
        start_with(cfg);
        fd = dial();
        atomic_store(&tunnel_update_every, 1);
        memset(text, 'e', sizeof text - 1);
        for (int i = 0; i < 50; i++) {
                text[i] = 'x';
                text[0] = 'e';
                say(fd, text);
                CU_ASSERT_EQUAL_FATAL(hear_bytes(fd, head, 4), 4);
                CU_ASSERT_EQUAL_FATAL(hear_bytes(fd, got, sizeof got - 1), sizeof got - 1);
                CU_ASSERT(!memcmp(text, got, sizeof got - 1));
        }
        atomic_store(&tunnel_update_every, 0);
        close(fd);
        stop();
}

static void test_older_version(void)
{
        int fd;

        start();
        SSL_CTX_set_max_proto_version(tls_client, TLS1_2_VERSION);
        fd = dial();
        say(fd, "e1");
        expect(fd, "e1");
        close(fd);
        SSL_CTX_set_max_proto_version(tls_client, TLS1_1_VERSION);
        SSL_CTX_set_security_level(tls_client, 0);
        CU_ASSERT_EQUAL(tunnel_dial(tls_client, port), -1);
        stop();
}

/* The first two handshakes never go on; until they are given up nobody else has a turn, and then all have. */
static void test_handshakes_are_bounded(void)
{
        struct net_config cfg = config();
        struct net_stats stats;
        int64_t from_ms;
        int silent[3], fd;

        cfg.idle_ms_max = 10000;
        cfg.open_ms_max = 800;
        cfg.handshakes_max = 2;
        start_with(cfg);
        from_ms = clock_mono_ms();
        for (int i = 0; i < 3; i++)
                silent[i] = dial_plain();
        (void)!send(silent[1], "\x16\x03\x01\x02", 4, 0); /* it may even have begun */
        usleep(400000);
        fd = dial();
        CU_ASSERT(clock_mono_ms() - from_ms >= 700);
        say(fd, "e1");
        expect(fd, "e1");
        for (int i = 0; i < 3; i++)
                expect_closed(silent[i]);
        net_server_stats(server, &stats);
        CU_ASSERT_EQUAL(stats.closed_tls, 3);
        close(fd);
        stop();
        CU_ASSERT_EQUAL(atomic_load(&closes), 1); /* the owner never heard of the others */
}

static void test_no_tls(void)
{
        static const char *const lines[] = { "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff\x01",
                                             "\x15\x03\x03\x01\x02\x02\x28" };
        struct net_stats stats;

        start();
        for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
                int fd = dial_plain();
                char buf[64];

                (void)!send(fd, lines[i], strlen(lines[i]), 0);
                shutdown(fd, SHUT_WR);
                while (recv(fd, buf, sizeof buf, 0) > 0)
                        ; /* an alert */
                close(fd);
        }
        stats = stats_when_open(0);
        CU_ASSERT_EQUAL(stats.closed_tls, 3);
        stop();
        CU_ASSERT_EQUAL(atomic_load(&closes), 0);
}

/* A good handshake, and then bytes that nobody encrypted. */
static void test_forged_record(void)
{
        struct net_stats stats;
        char byte;
        SSL *ssl;
        int fd;

        start();
        fd = dial_plain();
        ssl = SSL_new(tls_client);
        SSL_set_fd(ssl, fd);
        CU_ASSERT_EQUAL_FATAL(SSL_connect(ssl), 1);
        CU_ASSERT_EQUAL(SSL_write(ssl, "\0\0\0\2e1", 6), 6);
        CU_ASSERT_EQUAL(SSL_read(ssl, &byte, 1), 1);
        (void)!send(fd,
                    "\x17\x03\x03\0\x20"
                    "0123456789abcdef0123456789abcdef",
                    37, 0);
        while (SSL_read(ssl, &byte, 1) == 1)
                ;
        CU_ASSERT_NOT_EQUAL(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN);
        SSL_free(ssl);
        close(fd);
        stats = stats_when_open(0);
        CU_ASSERT_EQUAL(stats.closed_error, 1);
        stop();
}

static const struct unit_case cases[] = {
        { "answers leave in request order", test_order },
        { "lengths that lie", test_lengths_that_lie },
        { "file pieces", test_file_pieces },
        { "stop with work", test_stop_with_work },
        { "half-closed peers", test_half_closed },
        { "turns are short", test_turns_are_short },
        { "requests in no haste", test_patience },
        { "keys are renewed", test_keys_renewed },
        { "an older version", test_older_version },
        { "handshakes are bounded", test_handshakes_are_bounded },
        { "what is no TLS", test_no_tls },
        { "a forged record", test_forged_record },
};
UNIT_MAIN("net/server over TLS", cases)
