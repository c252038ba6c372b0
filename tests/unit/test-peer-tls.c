/* Goal: with TLS a node is who its certificate says, and nobody else is spoken with: another authority, another node's
 * certificate, one that names nobody or has run out, plaintext on one side; each is refused with words that say so, on
 * the side that called. Certificates are replaced while connections live. Method: hubs on loopback with certificates
 * made for it. */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "test-peer-world.h"

static struct tls_pair other_ca;

static void begin(void)
{
        char both[8192];

        tls_begin();
        other_ca = tls_authority("another cluster");
        snprintf(both, sizeof both, "%s%s", ca.certificate, other_ca.certificate);
        tls_write("both.pem", both);
        tls_write("other-ca.pem", other_ca.certificate);
        world_begin();
}

static void end(void)
{
        world_end();
        tls_pair_fini(&other_ca);
        tls_end();
}

/* Node 1 with @a calls node 2 with @b. */
static void try(struct tls_slot *a, struct tls_slot *b, int outcome, const char *words)
{
        struct peer_conf conf_a = conf_of(1), conf_b = conf_of(2);
        struct peer_info info;
        struct peer_stats stats;

        conf_a.tls = a;
        conf_b.tls = b;
        conf_a.connect_ms_max = 1000;
        node_start(1, &conf_a);
        node_start(2, &conf_b);
        know(1, 2, nodes[2].port);
        CU_ASSERT_EQUAL(ask(1, 2, "e"), outcome);
        info = info_of(1, 2);
        CU_ASSERT_PTR_NOT_NULL(strstr(info.error, words));
        if (!strstr(info.error, words))
                fprintf(stderr, "not in it: %s\n  it says: %s\n", words, info.error);
        CU_ASSERT_EQUAL(atomic_load(&nodes[2].served), outcome == PEER_OK);
        peer_hub_stats(nodes[1].hub, &stats);
        CU_ASSERT_EQUAL(stats.refused, outcome == PEER_E_REFUSED);
        node_stop(1);
        node_stop(2);
}

static void test_authorities(void)
{
        struct tls_slot *theirs, *trusting;

        begin();
        tls_issue_files("theirs", "chronik://node/2", &other_ca, -HOUR_S, HOUR_S);
        tls_issue_files("mine", "chronik://node/1", &other_ca, -HOUR_S, HOUR_S);
        theirs = tls_slot_of("theirs", "both.pem", true);
        try(slots[1], theirs, PEER_E_REFUSED, "certificate is not accepted");
        theirs = tls_slot_free(theirs);
        /* This side accepts the other, and the other does not accept this one: it says so after our handshake is over.
         */
        trusting = tls_slot_of("mine", "both.pem", true);
        for (int i = 0; i < 20; i++) /* an alert could get lost when the socket is closed too soon */
                try(trusting, slots[2], PEER_E_REFUSED, "refuses the TLS connection: unknown CA");
        try(slots[1], slots[2], PEER_OK, "");
        tls_slot_free(trusting);
        end();
}

/* Who is refused goes on sending until it reads why; its connection must not be reset under it, or it may never read
 * that. */
static void test_refusal_is_read(void)
{
        struct peer_conf conf;
        struct tls_slot *slot;
        char byte;
        SSL_CTX *ctx;
        SSL *ssl;
        int fd;

        begin();
        tls_issue_files("mine", "chronik://node/1", &other_ca, -HOUR_S, HOUR_S);
        slot = tls_slot_of("mine", "both.pem", true);
        conf = conf_of(2);
        node_start(2, &conf);
        ctx = SSL_CTX_new(TLS_client_method());
        CU_ASSERT_EQUAL(SSL_CTX_use_certificate_chain_file(ctx, tls_path("mine.pem")), 1);
        CU_ASSERT_EQUAL(SSL_CTX_use_PrivateKey_file(ctx, tls_path("mine.key"), SSL_FILETYPE_PEM), 1);
        fd = dial_raw(nodes[2].port);
        ssl = SSL_new(ctx);
        SSL_set_fd(ssl, fd);
        CU_ASSERT_EQUAL_FATAL(SSL_connect(ssl), 1);
        for (int i = 0; i < 3; i++) {
                CU_ASSERT_EQUAL(send(fd, "x", 1, MSG_NOSIGNAL), 1);
                usleep(50000);
        }
        CU_ASSERT(SSL_read(ssl, &byte, 1) < 1);
        CU_ASSERT_EQUAL(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_TLSV1_ALERT_UNKNOWN_CA);
        ERR_clear_error();
        SSL_free(ssl);
        SSL_CTX_free(ctx);
        close(fd);
        tls_slot_free(slot);
        end();
}

static void test_ids(void)
{
        struct tls_slot *x;

        begin();
        try(slots[1], slots[3], PEER_E_REFUSED, "the certificate says node 3, its configuration node 2");
        try(slots[3], slots[2], PEER_E_REFUSED,
            "it refuses this node: the certificate says node 3, its configuration node 1");
        tls_issue_files("nobody", NULL, &ca, -HOUR_S, HOUR_S);
        x = tls_slot_of("nobody", "ca.pem", true);
        try(slots[1], x, PEER_E_REFUSED, "the certificate of node 2 names no node");
        try(x, slots[2], PEER_E_REFUSED, "the certificate of node 1 names no node");
        tls_slot_free(x);
        tls_issue_files("odd", "chronik://node/02", &ca, -HOUR_S, HOUR_S);
        x = tls_slot_of("odd", "ca.pem", true);
        try(slots[1], x, PEER_E_REFUSED, "the certificate of node 2 names no node");
        tls_slot_free(x);
        end();
}

static void test_own_certificate(void)
{
        char why[PEER_TEXT_SIZE], more[TLS_WHY_SIZE];
        struct tls_context *x = tls_slot_get((begin(), slots[1]));

        CU_ASSERT_EQUAL(peer_check_certificate(x, 1, why), 0);
        CU_ASSERT_EQUAL(peer_check_certificate(x, 2, why), -EINVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "that of chronik://node/1; node 2 needs its own"));
        tls_context_unref(x);
        tls_issue_files("nobody", NULL, &ca, -HOUR_S, HOUR_S);
        CU_ASSERT_EQUAL_FATAL(tls_load("nobody", "ca.pem", true, &x, more), 0);
        CU_ASSERT_EQUAL(peer_check_certificate(x, 2, why), -EINVAL);
        CU_ASSERT_PTR_NOT_NULL(strstr(why, "exactly one, chronik://node/2, has to be there"));
        tls_context_unref(x);
        end();
}

static void test_runs_out(void)
{
        struct tls_slot *x;

        begin();
        tls_issue_files("short", "chronik://node/2", &ca, -HOUR_S, 2);
        x = tls_slot_of("short", "ca.pem", true);
        try(slots[1], x, PEER_OK, "");
        usleep(3100000);
        try(slots[1], x, PEER_E_REFUSED, "certificate is not accepted: certificate has expired");
        tls_slot_free(x);
        end();
}

static void test_plaintext_on_one_side(void)
{
        struct peer_conf conf;

        begin();
        try(slots[1], NULL, PEER_E_UNREACHABLE, "during the TLS handshake; it may expect plaintext");
        try(NULL, slots[2], PEER_E_UNREACHABLE, "before it answered hello; it may expect TLS");
        conf = conf_of(2); /* and the one that was called says what it was */
        node_start(2, &conf);
        for (int i = 0; i < 2; i++) {
                struct peer_stats stats;
                int fd = dial_raw(nodes[2].port);

                CU_ASSERT_EQUAL(send(fd, "\0\0\0\10'\20\0\0\0\0\0\1", 12, 0), 12);
                shutdown(fd, SHUT_WR);
                CU_ASSERT(is_closed(fd));
                close(fd);
                for (int k = 0; k < 500; k++) {
                        peer_hub_stats(nodes[2].hub, &stats);
                        if (stats.refused == (uint64_t)i + 1)
                                break;
                        usleep(10000);
                }
                CU_ASSERT_EQUAL(stats.refused, (uint64_t)i + 1);
        }
        end();
}

/* Many connect and say nothing; a node still gets through, after they were given up. */
static void test_half_open(void)
{
        struct peer_conf a, b;
        int fds[80];

        begin();
        a = conf_of(1);
        b = conf_of(2);
        b.connect_ms_max = 500;
        node_start(1, &a);
        node_start(2, &b);
        know(1, 2, nodes[2].port);
        for (int i = 0; i < 80; i++)
                fds[i] = dial_raw(nodes[2].port);
        expect(1, 2, "e", "e");
        for (int i = 0; i < 80; i++) {
                CU_ASSERT(is_closed(fds[i]));
                close(fds[i]);
        }
        end();
}

/* An authority is replaced without a moment in which nodes cannot speak: first both are trusted, then certificates
 * change, then the old one goes. Open connections stay. */
static void test_replacement(void)
{
        struct tls_context *x;
        struct peer_conf a, b;
        char why[TLS_WHY_SIZE];

        begin();
        a = conf_of(1);
        b = conf_of(2);
        node_start(1, &a);
        node_start(2, &b);
        know(1, 2, nodes[2].port);
        expect(1, 2, "c", "1");
        CU_ASSERT_EQUAL_FATAL(tls_load("n1", "both.pem", true, &x, why), 0);
        tls_slot_set(slots[1], x);
        tls_issue_files("n2-new", "chronik://node/2", &other_ca, -HOUR_S, HOUR_S);
        CU_ASSERT_EQUAL_FATAL(tls_load("n2-new", "both.pem", true, &x, why), 0);
        tls_slot_set(slots[2], x);
        expect(1, 2, "c", "2"); /* the same connection */
        know(1, 2, 0);
        CU_ASSERT(comes_to(&nodes[1].downs[PEER_CONTROL], 1));
        know(1, 2, nodes[2].port);
        expect(1, 2, "c", "1"); /* another one, with the new certificate */
        CU_ASSERT_EQUAL_FATAL(tls_load("n1", "ca.pem", true, &x, why), 0);
        tls_slot_set(slots[1], x);
        know(1, 2, 0);
        CU_ASSERT(comes_to(&nodes[1].downs[PEER_CONTROL], 2));
        know(1, 2, nodes[2].port);
        CU_ASSERT_EQUAL(ask(1, 2, "e"), PEER_E_REFUSED); /* so it was the new one */
        end();
}

static const struct unit_case cases[] = {
        { "authorities", test_authorities },
        { "a refusal is read", test_refusal_is_read },
        { "ids", test_ids },
        { "the own certificate", test_own_certificate },
        { "a certificate runs out", test_runs_out },
        { "plaintext on one side", test_plaintext_on_one_side },
        { "half-open connections", test_half_open },
        { "replacement", test_replacement },
};

UNIT_MAIN("peer tls", cases)
