/* Goal: when memory runs out anywhere in a hub, in net or in OpenSSL, nothing crashes, leaks or hangs, every call still
 * has one outcome, and once there is memory again calls come through. Method: two hubs and a few calls, with the n-th
 * allocation failing, for n from 0 until the whole passes without one; of every allocation of ours, and of OpenSSL's in
 * strides, because a handshake takes thousands. */
#include <openssl/crypto.h>

#include "sys/diag.h"
#include "test-peer-world.h"

static atomic_long left = -1; /* allocations until the one that fails; below 0: none does */
static atomic_bool failed, ssl_too;

static bool fails(void)
{
        if (atomic_load_explicit(&left, memory_order_relaxed) < 0 || atomic_fetch_sub(&left, 1) != 0)
                return false;
        atomic_store(&failed, true);
        return true;
}

#include "nomem.h"

static void *ssl_malloc(size_t size, const char *file, int line)
{
        return atomic_load(&ssl_too) && fails() ? NULL : __real_malloc(size);
}

static void *ssl_realloc(void *p, size_t size, const char *file, int line)
{
        return atomic_load(&ssl_too) && fails() ? NULL : __real_realloc(p, size);
}

static void ssl_free(void *p, const char *file, int line)
{
        free(p);
}

/* Echo, on the reactor or elsewhere. */
static void serve(void *arg, struct peer_request *rq)
{
        struct peer_out o;

        if (peer_out_begin(&o, rq->body.len, 0)) {
                peer_refuse(rq, -ENOMEM);
                return;
        }
        writer_bytes(&o.w, rq->body.data, rq->body.len);
        peer_answer(rq, &o);
}

static bool hub_begin(unsigned at)
{
        struct peer_service s = { .key = KEY, .version_max = 2, .request = serve };
        struct peer_conf conf = conf_of((int32_t)at);

        conf.reactors_count = 2;
        if (peer_hub_new(&conf, &nodes[at].hub))
                return false;
        CU_ASSERT_EQUAL(peer_hub_register(nodes[at].hub, &s), 0);
        if (!peer_hub_start(nodes[at].hub, &nodes[at].port))
                return true;
        nodes[at].hub = peer_hub_free(nodes[at].hub);
        return false;
}

static bool introduce(void)
{
        char address[32];

        snprintf(address, sizeof address, "127.0.0.1:%u", nodes[2].port);
        return !peer_hub_set_address(nodes[1].hub, 2, address);
}

/* A call of @len bytes. Return: its outcome. */
static int call_len(enum peer_lane lane, size_t len)
{
        static uint8_t bytes[70000];
        struct peer_call c = {
                .node = 2, .key = KEY, .version = 1, .lane = lane, .timeout_ms = 5000, .loop = here, .done = on_done
        };

        if (peer_out_begin(&c.out, len, 0))
                return -ENOMEM;
        writer_bytes(&c.out.w, bytes, len);
        waiting++;
        peer_call_submit(nodes[1].hub, &c);
        wait_all();
        if (c.outcome == PEER_OK) {
                CU_ASSERT_EQUAL(c.body.len, len);
                iobuf_unref(c.frame);
        }
        return c.outcome;
}

static void scenario(void)
{
        if (!hub_begin(1) || !hub_begin(2) || !introduce())
                return;
        for (int i = 0; i < 3; i++) {
                int r = call_len(i == 1 ? PEER_DATA : PEER_CONTROL, i == 2 ? 70000 : 10);

                CU_ASSERT(r == PEER_OK || r == -ENOMEM || r == PEER_E_UNREACHABLE || r == PEER_E_LOST ||
                          r == PEER_E_BUSY || r == PEER_E_REFUSED);
        }
}

/* With memory again. */
static void aftermath(void)
{
        int r = -1;

        if (nodes[1].hub && nodes[2].hub && introduce()) {
                for (int i = 0; i < 5 && r != PEER_OK; i++)
                        r = call_len(PEER_CONTROL, 10);
                CU_ASSERT_EQUAL(r, PEER_OK);
        }
        for (unsigned i = 1; i <= 2; i++)
                if (nodes[i].hub)
                        node_stop(i);
}

static void run(long stride)
{
        long n = 0;

        world_begin();
        for (;; n += stride) {
                memset(nodes, 0, sizeof nodes);
                atomic_store(&failed, false);
                atomic_store(&left, n);
                scenario();
                atomic_store(&left, -1);
                aftermath();
                if (!atomic_load(&failed))
                        break;
        }
        CU_ASSERT(n > 30); /* it did fail */
        world_end();
}

static void test_plaintext(void)
{
        run(1);
}

static void test_tls(void)
{
        tls_begin();
        run(1);
        atomic_store(&ssl_too, true);
        run(97);
        atomic_store(&ssl_too, false);
        tls_end();
}

static const struct unit_case cases[] = {
        { "plaintext", test_plaintext },
        { "TLS", test_tls },
};

int main(void)
{
        if (!CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free))
                return 2;
        diag_set_level(DIAG_ERROR);
        return unit_run("peer nomem", cases, ARRAY_LEN(cases));
}
