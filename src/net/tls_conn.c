/* TLS of one connection. OpenSSL reads the socket through a BIO of ours, and what it encrypts goes into the reactor's
 * buffer, from where one system call takes it to the socket. What the socket does not take is kept with the connection,
 * and nothing more is encrypted before it has left. So OpenSSL never has to repeat a write, and an idle connection has
 * no buffers.
 *
 * The kernel's TLS is not used: it needs a module that is not there everywhere, and a second way to send that would have
 * to be proved as this one is.
 *
 * Handshakes are what strangers can make us work for. So only so many run on a reactor at a time, and each has to be
 * done in open_ms_max; the others wait for their turn, in order, and not for ever. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "net/tls_internal.h"
#include "sys/diag.h"
#include "sys/file.h"

enum {
        RECORD_LEN = 16 * 1024, /* the longest that TLS has */
        LINGER_READS_MAX = 4,   /* nobody who fails has more to say */
};
static_assert((int)TLS_BLOCK_LEN <= (int)SCRATCH_LEN, "a block of a file is read into the scratch buffer");

/* ---- out ---- */

static int keep(struct net_tls *t, const uint8_t *data, size_t len)
{
        size_t old_len = t->out_len - t->out_at;
        uint8_t *all;

        if (!len)
                return 0;
        if (len > TLS_PENDING_MAX - MIN2(old_len, (size_t)TLS_PENDING_MAX))
                return -ENOBUFS;
        all = malloc(old_len + len);
        if (!all)
                return -ENOMEM;
        if (old_len)
                memcpy(all, t->out + t->out_at, old_len);
        memcpy(all + old_len, data, len);
        free(t->out);
        t->out = all;
        t->out_at = 0;
        t->out_len = old_len + len;
        return 0;
}

/* Return: how many bytes the socket took of @len; negative errno, but for -EAGAIN. */
static ssize_t to_socket(struct net_tls *t, const uint8_t *data, size_t len)
{
        size_t at = 0;

        while (at < len) {
                struct iovec iov = { (void *)(uintptr_t)(data + at), len - at };
                ssize_t n = sock_writev(t->conn->fd, &iov, 1, false);

                if (n == -EAGAIN)
                        break;
                if (n < 0)
                        return n;
                t->conn->progress_ms = loop_now_ms(t->conn->reactor->loop);
                at += (size_t)n;
        }
        return (ssize_t)at;
}

static int flush(struct net_tls *t)
{
        ssize_t n;

        if (!t->out)
                return 0;
        n = to_socket(t, t->out + t->out_at, t->out_len - t->out_at);
        if (n < 0)
                return (int)n;
        t->out_at += (size_t)n;
        if (t->out_at < t->out_len)
                return -EAGAIN;
        free(TAKE_PTR(t->out));
        t->out_len = t->out_at = 0;
        return 0;
}

/* What was encrypted, from the reactor's buffer to the socket; the rest is kept. Return: 0; -EAGAIN: some is kept;
 * other negative errno. */
static int push(struct net_tls *t)
{
        struct net_reactor *r = t->conn->reactor;
        size_t len = r->tls_out_len;
        ssize_t n = 0;
        int e;

        r->tls_out_len = 0;
        e = flush(t);
        if (!e)
                n = to_socket(t, r->tls_out, len);
        if (n < 0)
                e = (int)n;
        if (e && e != -EAGAIN)
                return e;
        e = keep(t, r->tls_out + n, len - (size_t)n);
        return e ? e : t->out ? -EAGAIN : 0;
}

/* ---- what OpenSSL calls ---- */

static int bio_write(BIO *b, const char *data, int len)
{
        struct net_tls *t = BIO_get_data(b);
        struct net_reactor *r = t->conn->reactor;
        int e = 0;

        BIO_clear_retry_flags(b);
        if ((size_t)len > TLS_OUT_LEN - r->tls_out_len)
                e = push(t);
        if ((e && e != -EAGAIN) || (size_t)len > TLS_OUT_LEN) {
                t->sock_error = e && e != -EAGAIN ? e : -ENOBUFS;
                return -1;
        }
        memcpy(r->tls_out + r->tls_out_len, data, (size_t)len);
        r->tls_out_len += (size_t)len;
        return len;
}

static int bio_read(BIO *b, char *buf, int len)
{
        struct net_tls *t = BIO_get_data(b);
        struct iovec iov = { buf, (size_t)len };
        ssize_t n = sock_readv(t->conn->fd, &iov, 1);

        BIO_clear_retry_flags(b);
        if (n > 0)
                return (int)n;
        if (!n)
                t->eof = true;
        else if (n == -EAGAIN)
                BIO_set_retry_read(b);
        else
                t->sock_error = (int)n;
        return n ? -1 : 0;
}

static long bio_ctrl(BIO *b, int what, long number, void *arg)
{
        const struct net_tls *t = BIO_get_data(b);

        if (what == BIO_CTRL_EOF)
                return t->eof;
        return what == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method;

static void bio_setup(void)
{
        BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "net");

        if (!m)
                return;
        BIO_meth_set_write(m, bio_write);
        BIO_meth_set_read(m, bio_read);
        BIO_meth_set_ctrl(m, bio_ctrl);
        bio_method = m;
}

static BIO *bio_new(struct net_tls *t)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        BIO *b;

        pthread_once(&once, bio_setup);
        b = bio_method ? BIO_new(bio_method) : NULL;
        if (!b)
                return NULL;
        BIO_set_data(b, t);
        BIO_set_init(b, 1);
        return b;
}

/* ---- why it failed, in words ---- */

static const char *advice_for_alert(int alert)
{
        switch (alert) {
        case SSL_AD_UNKNOWN_CA:
        case SSL_AD_BAD_CERTIFICATE:
                return "; the certificate here has to be of an authority that it trusts";
        case SSL_AD_CERTIFICATE_EXPIRED:
                return "; the certificate here, or the clock on one side, is out of date";
        case SSL_AD_PROTOCOL_VERSION:
                return "; it takes other versions of TLS";
        default:
                return "";
        }
}

static bool is_no_tls(int reason)
{
        return reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
               reason == SSL_R_BAD_RECORD_TYPE || reason == SSL_R_PACKET_LENGTH_TOO_LONG ||
               reason == SSL_R_RECORD_LENGTH_MISMATCH;
}

static void explain(struct net_tls *t)
{
        unsigned long e = ERR_peek_last_error();
        int reason = ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0;
        size_t size = sizeof t->why;

        t->broken = true;
        if (t->sock_error) {
                snprintf(t->why, size, "%s", strerrordesc_np(-t->sock_error));
        } else if (!e && t->eof) {
                snprintf(t->why, size,
                         "the other side closed the connection during the TLS handshake; it may expect plaintext");
        } else if (reason > SSL_AD_REASON_OFFSET) {
                t->refused = true;
                snprintf(t->why, size, "the other side refuses the TLS connection: %s%s",
                         SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET),
                         advice_for_alert(reason - SSL_AD_REASON_OFFSET));
        } else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
                t->refused = true;
                snprintf(t->why, size, "the other side's certificate is not accepted: %s",
                         X509_verify_cert_error_string(SSL_get_verify_result(t->ssl)));
        } else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
                t->refused = true;
                snprintf(t->why, size, "the other side shows no certificate");
        } else if (is_no_tls(reason)) {
                t->refused = t->no_tls = true;
                snprintf(t->why, size, "what the other side sends is not TLS; is it set to plaintext?");
        } else {
                t->refused = true;
                snprintf(t->why, size, "TLS failed: %s", e ? ERR_reason_error_string(e) : "unknown reason");
        }
        ERR_clear_error();
}

const char *net_tls_why(const struct net_conn *c)
{
        return c->tls->why;
}

bool net_tls_is_refused(const struct net_conn *c)
{
        return c->tls && c->tls->refused;
}

/* ---- reading and writing ---- */

/* An operation of OpenSSL has failed with @r. Return: -EAGAIN: it waits for bytes; 0: the peer has ended; the socket's
 * error; -EPROTO. */
static int failed(struct net_tls *t, int r)
{
        int e = SSL_get_error(t->ssl, r);

        if (e == SSL_ERROR_WANT_READ)
                return -EAGAIN;
        if (e == SSL_ERROR_ZERO_RETURN && t->shaken)
                return 0;
        explain(t);
        return t->sock_error ? t->sock_error : -EPROTO;
}

ssize_t net_tls_readv(struct net_conn *c, const struct iovec *iov, int iov_count)
{
        struct net_tls *t = c->tls;
        size_t total = 0;
        int e = -EAGAIN;

        if (t->broken)
                return t->sock_error ? t->sock_error : -EPROTO;
        ERR_clear_error();
        t->more = true;
        for (int i = 0; i < iov_count && t->more; i++) {
                size_t at = 0, n;

                while (at < iov[i].iov_len && t->more) {
                        int r = SSL_read_ex(t->ssl, (char *)iov[i].iov_base + at, iov[i].iov_len - at, &n);

                        if (r == 1) {
                                at += n;
                                continue;
                        }
                        e = failed(t, r);
                        t->more = false;
                }
                total += at;
        }
        if (c->reactor->tls_out_len) { /* an answer to the peer's key update, or an alert; a failure is seen by what is
                                          sent next */
                int r = push(t);

                if (r && r != -EAGAIN && e == -EAGAIN)
                        e = r;
        }
        if (!total)
                return e;
        if (e != -EAGAIN)
                t->more = true; /* the end, or the failure, is told next time */
        return (ssize_t)total;
}

static int encrypt(struct net_tls *t, const void *data, size_t len)
{
        size_t n;
        int r = SSL_write_ex(t->ssl, data, len, &n);

        if (r == 1) {
                assert(n == len);
                return 0;
        }
        explain(t);
        t->conn->reactor->tls_out_len = 0;
        return t->sock_error ? t->sock_error : -EPROTO;
}

/* To begin with something to send. Return: 0; -EAGAIN: what was sent before has not left; other negative errno. */
static int write_begin(struct net_tls *t)
{
        if (t->broken)
                return t->sock_error ? t->sock_error : -EPROTO;
        ERR_clear_error();
        return flush(t);
}

/* @len bytes of plaintext were encrypted. */
static ssize_t write_end(struct net_tls *t, size_t len)
{
        int r = push(t);

        return r && r != -EAGAIN ? r : (ssize_t)len;
}

/* The next record's bytes from @iov at (*i, *at): where they lie, if many lie together; collected in @scratch
 * otherwise. */
static struct span next_record(const struct iovec *iov, int iov_count, int *i, size_t *at, uint8_t *scratch)
{
        size_t len = 0, part;

        while (*i < iov_count && *at == iov[*i].iov_len) {
                (*i)++;
                *at = 0;
        }
        if (*i < iov_count && iov[*i].iov_len - *at >= RECORD_LEN) {
                *at += RECORD_LEN;
                return span_of((uint8_t *)iov[*i].iov_base + *at - RECORD_LEN, RECORD_LEN);
        }
        while (*i < iov_count && len < RECORD_LEN) {
                part = MIN2(iov[*i].iov_len - *at, RECORD_LEN - len);
                memcpy(scratch + len, (uint8_t *)iov[*i].iov_base + *at, part);
                len += part;
                *at += part;
                if (*at < iov[*i].iov_len)
                        break;
                (*i)++;
                *at = 0;
        }
        return span_of(scratch, len);
}

ssize_t net_tls_writev(struct net_conn *c, const struct iovec *iov, int iov_count)
{
        struct net_tls *t = c->tls;
        size_t done = 0, at = 0;
        int i = 0, r = write_begin(t);

        while (!r && done < TLS_BLOCK_LEN) {
                struct span record = next_record(iov, iov_count, &i, &at, c->reactor->scratch);

                if (!record.len)
                        break;
                r = encrypt(t, record.data, record.len);
                done += record.len;
        }
        return r ? r : write_end(t, done);
}

ssize_t net_tls_sendfile(struct net_conn *c, int file_fd, int64_t pos, size_t len)
{
        struct net_tls *t = c->tls;
        int r = write_begin(t);
        ssize_t n;

        if (r)
                return r;
        n = file_pread(file_fd, c->reactor->scratch, MIN2(len, (size_t)TLS_BLOCK_LEN), pos);
        for (size_t at = 0; !r && (ssize_t)at < n; at += RECORD_LEN)
                r = encrypt(t, c->reactor->scratch + at, MIN2((size_t)n - at, (size_t)RECORD_LEN));
        if (r || n <= 0)
                return r ? r : n;
        return write_end(t, (size_t)n);
}

int net_tls_flush(struct net_conn *c)
{
        return flush(c->tls);
}

bool net_tls_is_flushed(const struct net_conn *c)
{
        return !c->tls->out;
}

bool net_tls_has_more(const struct net_conn *c)
{
        return c->tls->more;
}

/* ---- life ---- */

struct net_tls *net_tls_new(struct net_conn *c, struct tls_slot *slot, bool server)
{
        struct tls_context *x = tls_slot_get(slot);
        struct net_tls *t = calloc(1, sizeof *t);
        BIO *b = NULL;

        if (!c->reactor->tls_out)
                c->reactor->tls_out = malloc(TLS_OUT_LEN);
        if (t)
                t->conn = c;
        if (t && c->reactor->tls_out) {
                t->ssl = tls_context_ssl(x);
                b = bio_new(t);
        }
        tls_context_unref(x); /* OpenSSL keeps what the connection needs of it */
        if (!b || !t->ssl) {
                BIO_free(b);
                return net_tls_free(t);
        }
        SSL_set_bio(t->ssl, b, b);
        if (server)
                SSL_set_accept_state(t->ssl);
        else
                SSL_set_connect_state(t->ssl);
        return t;
}

struct net_tls *net_tls_free(struct net_tls *t)
{
        if (!t)
                return NULL;
        if (t->shaken && !t->broken && !t->eof &&
            !t->out) { /* tell the peer that this is the end, if that costs nothing */
                ERR_clear_error();
                SSL_shutdown(t->ssl);
                (void)push(t);
        }
        t->conn->reactor->tls_out_len = 0;
        SSL_free(t->ssl);
        free(t->out);
        free(t);
        return NULL;
}

int net_tls_shake(struct net_tls *t)
{
        int r, e = 0, pushed;

        ERR_clear_error();
        r = SSL_do_handshake(t->ssl);
        if (r != 1)
                e = failed(t, r);
        pushed = push(t); /* also an alert */
        if (!e && pushed && pushed != -EAGAIN) {
                t->sock_error = pushed;
                explain(t);
                e = pushed;
        }
        if (e)
                return e;
        t->shaken = t->more = true; /* what was read with the end of the handshake */
        return 0;
}

/* The handshake failed, and the peer was told why. If the socket were closed while something of the peer is on its way,
 * the kernel would take the telling back (RST). So what comes is thrown away until the peer has closed, or the time of
 * the handshake is over. */
static void linger(struct net_conn *c)
{
        struct iovec iov = { c->reactor->scratch, SCRATCH_LEN };
        ssize_t n = sock_readv(c->fd, &iov, 1);

        c->tls->thrown_away += n > 0;
        if ((n <= 0 && n != -EAGAIN) || c->tls->thrown_away > LINGER_READS_MAX)
                net_conn_close(c, c->tls->why, NULL);
}

/* Of an accepted connection; nobody else hears of it. */
static void handshake_failed(struct net_conn *c, int r)
{
        diag_limited(DIAG_WARN, "a TLS connection from %s to listener %s failed: %s", c->peer, c->listener,
                     c->tls->why);
        counter_add(&c->reactor->counters.closed_tls, 1);
        net_tls_end_shake(c);
        if (r == -EPROTO && !c->tls->eof && !c->tls->no_tls)
                linger(c);
        else
                net_conn_close(c, c->tls->why, NULL);
}

void net_tls_turn(struct net_conn *c)
{
        int r;

        if (c->tls->broken) {
                linger(c);
                return;
        }
        r = net_tls_shake(c->tls);
        if (!r) {
                net_tls_end_shake(c);
                net_conn_opened(c);
                if (c->state != CONN_GONE)
                        net_reactor_kick(c->reactor, c);
        } else if (r == -EAGAIN) {
                c->send_blocked = !net_tls_is_flushed(c);
        } else if (c->dial) {
                net_conn_close(c, c->tls->why, NULL);
        } else {
                handshake_failed(c, r);
        }
}

void net_tls_begin(struct net_conn *c)
{
        struct net_reactor *r = c->reactor;

        if (!c->dial && r->shakes_count >= r->server->cfg.handshakes_max) {
                if (c->state == CONN_WAIT) /* it was its turn, and somebody new was quicker */
                        ilist_push_front(&r->shake_waits, &c->shake_link);
                else
                        ilist_push_back(&r->shake_waits, &c->shake_link);
                c->state = CONN_WAIT;
                return;
        }
        c->state = CONN_SHAKE;
        ilist_unlink(&c->partial_link); /* its time begins now */
        c->shaking = true;
        r->shakes_count++;
        c->tls = net_tls_new(c, c->slot, !c->dial);
        if (c->tls)
                net_tls_turn(c);
        else
                net_conn_close(c, "out of memory", &r->counters.closed_error);
}

void net_tls_end_shake(struct net_conn *c)
{
        struct net_reactor *r = c->reactor;
        struct net_conn *next;

        ilist_unlink(&c->shake_link);
        if (!c->shaking)
                return;
        c->shaking = false;
        r->shakes_count--;
        next = ilist_first(&r->shake_waits, struct net_conn, shake_link);
        if (!next)
                return;
        ilist_unlink(&next->shake_link);
        net_reactor_kick(r, next);
}

void net_tls_drop(struct net_conn *c)
{
        net_tls_end_shake(c);
        c->tls = net_tls_free(c->tls);
}

/* ---- as the owner sees it ---- */

int net_conn_certificate_uri(const struct net_conn *c, const char *prefix, char *ret_uri, size_t size)
{
        X509 *cert = c->tls && c->tls->shaken ? SSL_get0_peer_certificate(c->tls->ssl) : NULL;
        char uri[TLS_URI_SIZE];
        int r;

        if (!cert || SSL_get_verify_result(c->tls->ssl) != X509_V_OK)
                return -ENOENT;
        r = tls_certificate_uri(cert, prefix, uri);
        if (!r && strlen(uri) >= size)
                r = -EINVAL;
        if (!r)
                memcpy(ret_uri, uri, strlen(uri) + 1);
        return r;
}

int net_conn_certificate_name(const struct net_conn *c, struct strbuf *out)
{
        X509 *cert = c->tls && c->tls->shaken ? SSL_get0_peer_certificate(c->tls->ssl) : NULL;

        if (!cert || SSL_get_verify_result(c->tls->ssl) != X509_V_OK)
                return -ENOENT;
        return tls_name_add(X509_get_subject_name(cert), out);
}

bool net_conn_is_refused(const struct net_conn *c)
{
        return net_tls_is_refused(c);
}
