/* libcurl's multi interface on one of our loops: curl says which descriptors and which time it waits for, the loop tells it when.
 *
 * What a configuration of curl could change is said here: no redirects (a signature is for one host), no proxies, no netrc, paths as they
 * are (a key may hold "//" or be encoded), nothing but HTTP. */
#include "object/transfer.h"

#include <stdio.h>

#include "object/object.h"
#include "sys/clock.h"

enum { BUFFER_LEN = 256 << 10 };

struct http_socket {
        struct loop_io io;
        struct object_http *h;
};

/* ---- descriptors and time ---- */

static void take_results(struct object_http *h)
{
        int left;

        for (CURLMsg *m; (m = curl_multi_info_read(h->multi, &left));) {
                struct object_transfer *t = NULL;
                CURLcode result = m->data.result;

                if (m->msg != CURLMSG_DONE)
                        continue;
                curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
                curl_multi_remove_handle(h->multi, t->easy);
                ilist_unlink(&t->link);
                t->done(t, result);
        }
}

static void on_io(struct loop_io *io, int events)
{
        struct http_socket *s = container_of(io, struct http_socket, io);
        struct object_http *h = s->h;
        int running;

        curl_multi_socket_action(
                h->multi, io->ev.fd,
                (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0), &running);
        take_results(h); /* @s may be gone by now */
}

static void on_timer(struct loop_timer *timer)
{
        struct object_http *h = container_of(timer, struct object_http, timer);
        int running;

        curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        take_results(h);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
        struct object_http *h = arg;

        if (timeout_ms < 0)
                loop_timer_stop(&h->timer);
        else
                loop_timer_start(&h->timer, timeout_ms);
        return 0;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
        struct object_http *h = arg;
        struct http_socket *s = socket_arg;

        if (what == CURL_POLL_REMOVE) {
                if (s)
                        loop_io_set(&s->io, 0);
                curl_multi_assign(h->multi, fd, NULL);
                free(s);
                return 0;
        }
        if (!s) {
                s = calloc(1, sizeof *s);
                if (!s)
                        return -1; /* curl ends its transfers */
                s->h = h;
                loop_io_init(&s->io, h->loop, fd, on_io);
                curl_multi_assign(h->multi, fd, s);
        }
        loop_io_set(&s->io, (what & CURL_POLL_IN ? LOOP_READ : 0) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0));
        return 0;
}

/* ---- bandwidth ---- */

static bool must_wait(struct object_transfer *t, struct object_rate *rate)
{
        int64_t wait_ms = object_rate_wait_ms(rate, clock_mono_ns());

        if (!wait_ms)
                return false;
        t->waits = true;
        if (!loop_timer_is_active(&t->h->resume))
                loop_timer_start(&t->h->resume, wait_ms);
        return true;
}

static void on_resume(struct loop_timer *timer)
{
        struct object_http *h = container_of(timer, struct object_http, resume);

        ilist_for_each (t, &h->transfers, struct object_transfer, link) {
                if (!t->waits)
                        continue;
                t->waits = false;
                curl_easy_pause(t->easy, CURLPAUSE_CONT); /* calls our functions, which may set it waiting again */
        }
}

/* ---- what curl gives and takes ---- */

static size_t on_send(char *to, size_t size, size_t count, void *arg)
{
        struct object_transfer *t = arg;
        size_t len = MIN2(size * count, t->rq.body.len - t->sent);

        if (!len)
                return 0;
        if (must_wait(t, &t->h->up))
                return CURL_READFUNC_PAUSE;
        memcpy(to, t->rq.body.data + t->sent, len);
        t->sent += len;
        t->h->sent_bytes += len;
        object_rate_spend(&t->h->up, (int64_t)len);
        return len;
}

static int on_seek(void *arg, curl_off_t pos, int origin)
{
        struct object_transfer *t = arg;

        if (origin != SEEK_SET || pos < 0 || (size_t)pos > t->rq.body.len)
                return CURL_SEEKFUNC_FAIL;
        t->sent = (size_t)pos;
        return CURL_SEEKFUNC_OK;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
        struct object_transfer *t = arg;

        object_answer_header(&t->answer, (struct str){ data, size * count });
        return size * count;
}

static size_t on_receive(char *data, size_t size, size_t count, void *arg)
{
        struct object_transfer *t = arg;
        size_t len = size * count;

        if (must_wait(t, &t->h->down))
                return CURL_WRITEFUNC_PAUSE;
        t->h->received_bytes += len;
        object_rate_spend(&t->h->down, (int64_t)len);
        if (t->sink && t->answer.status >= 200 && t->answer.status < 300) {
                if (len > t->sink_size - t->sink_len) {
                        t->overflow = true;
                        return 0;
                }
                memcpy(t->sink + t->sink_len, data, len);
                t->sink_len += len;
                return len;
        }
        if (len > t->body_max - t->body.len) {
                t->overflow = true;
                return 0;
        }
        strbuf_add(&t->body, data, len);
        return t->body.failed ? 0 : len;
}

/* ---- one exchange ---- */

static int set_headers(struct object_transfer *t)
{
        static const char *const unwanted[] = { "Expect:", "Content-Type:", "Accept:" };

        for (size_t i = 0; i < t->rq.headers_count + ARRAY_LEN(unwanted); i++) {
                CLEANUP(strbuf_finip) struct strbuf line = { 0 };
                struct curl_slist *grown;

                if (i < t->rq.headers_count) {
                        struct object_field *f = &t->rq.headers[i];

                        strbuf_printf(&line, "%.*s: %.*s", STR_FMT(f->name), STR_FMT(f->value));
                        if (!f->value.len) /* curl's way to say that a header is there and empty */
                                line.len = 0, strbuf_printf(&line, "%.*s;", STR_FMT(f->name));
                } else if (str_is_null(object_request_header_of(&t->rq, "content-type")) ||
                           i - t->rq.headers_count != 1) {
                        strbuf_add_c(&line, unwanted[i - t->rq.headers_count]);
                } else {
                        continue;
                }
                grown = line.failed ? NULL : curl_slist_append(t->headers, line.data);
                if (!grown)
                        return -ENOMEM;
                t->headers = grown;
        }
        return 0;
}

static void set_limits(struct object_transfer *t, int64_t timeout_ms)
{
        struct object_http *h = t->h;

        curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)h->connect_timeout_ms);
        curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(t->easy, CURLOPT_LOW_SPEED_TIME, (long)(h->stall_timeout_ms + 999) / 1000);
        curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)MIN2(timeout_ms, (int64_t)INT32_MAX));
        curl_easy_setopt(t->easy, CURLOPT_BUFFERSIZE, (long)BUFFER_LEN);
        curl_easy_setopt(t->easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)BUFFER_LEN);
        curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(t->easy, CURLOPT_QUICK_EXIT, 1L); /* who is cancelled does not wait for the resolver */
        curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 0L);
        curl_easy_setopt(t->easy, CURLOPT_PROXY, "");
        curl_easy_setopt(t->easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
        curl_easy_setopt(t->easy, CURLOPT_PATH_AS_IS, 1L);
        curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        curl_easy_setopt(t->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        if (h->ca_file)
                curl_easy_setopt(t->easy, CURLOPT_CAINFO, h->ca_file);
}

static void set_exchange(struct object_transfer *t)
{
        curl_easy_setopt(t->easy, CURLOPT_URL, t->url);
        curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
        curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
        curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->error);
        curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
        curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_receive);
        curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
        if (!strcmp(t->rq.method, "HEAD")) {
                curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
        } else if (!strcmp(t->rq.method, "PUT") || !strcmp(t->rq.method, "POST")) {
                curl_easy_setopt(t->easy, CURLOPT_UPLOAD, 1L);
                curl_easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)t->rq.body.len);
                curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, on_send);
                curl_easy_setopt(t->easy, CURLOPT_READDATA, t);
                curl_easy_setopt(t->easy, CURLOPT_SEEKFUNCTION, on_seek);
                curl_easy_setopt(t->easy, CURLOPT_SEEKDATA, t);
                curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, t->rq.method);
        } else {
                curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, t->rq.method);
        }
}

DEFINE_FREEP(struct object_transfer, object_transfer_free)

int object_transfer_start(struct object_http *h, struct object_request *rq, int64_t timeout_ms, void *sink,
                          size_t sink_size, size_t body_max, void (*done)(struct object_transfer *t, CURLcode result),
                          void *owner, struct object_transfer **ret_transfer)
{
        CLEANUP(object_transfer_freep) struct object_transfer *t = calloc(1, sizeof *t);
        int r;

        if (!t) {
                object_request_fini(rq);
                return -ENOMEM;
        }
        ilist_init(&t->link);
        t->h = h;
        t->rq = *rq;
        t->sink = sink;
        t->sink_size = sink_size;
        t->body_max = body_max;
        t->done = done;
        t->owner = owner;
        object_answer_init(&t->answer);
        t->url = object_request_url(&t->rq);
        t->easy = curl_easy_init();
        r = t->url && t->easy ? set_headers(t) : -ENOMEM;
        if (r)
                return r;
        set_limits(t, timeout_ms);
        set_exchange(t);
        if (curl_multi_add_handle(h->multi, t->easy))
                return -ENOMEM;
        ilist_push_back(&h->transfers, &t->link);
        *ret_transfer = TAKE_PTR(t);
        return 0;
}

struct object_transfer *object_transfer_free(struct object_transfer *t)
{
        if (!t)
                return NULL;
        if (!ilist_is_empty(&t->link)) {
                curl_multi_remove_handle(t->h->multi, t->easy);
                ilist_unlink(&t->link);
        }
        if (t->easy)
                curl_easy_cleanup(t->easy);
        curl_slist_free_all(t->headers);
        free(t->url);
        strbuf_fini(&t->body);
        object_request_fini(&t->rq);
        free(t);
        return NULL;
}

void object_transfer_judge(const struct object_transfer *t, CURLcode result, struct object_verdict *ret_verdict)
{
        const char *why = *t->error ? t->error : curl_easy_strerror(result), *hint = "";
        struct object_verdict v = { .result = OBJECT_UNREACHABLE, .retry = true, .retry_after_ms = -1 };

        switch (result) {
        case CURLE_OPERATION_TIMEDOUT:
                v.result = OBJECT_TIMED_OUT;
                break;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_ISSUER_ERROR:
                v.result = OBJECT_BAD_TLS;
                v.retry = false;
                hint = "; its certificate must be for this name and from an authority that is trusted here";
                break;
        case CURLE_SSL_CACERT_BADFILE:
                v.result = OBJECT_BAD_TLS;
                v.retry = false;
                hint = "; the file of trusted certificates cannot be read";
                break;
        case CURLE_SSL_CONNECT_ERROR:
                v.result = OBJECT_BAD_TLS;
                hint = "; is this an https endpoint?";
                break;
        case CURLE_PARTIAL_FILE:
        case CURLE_WRITE_ERROR: /* ours: more came than was announced */
                v.result = OBJECT_DAMAGED;
                break;
        case CURLE_OUT_OF_MEMORY:
                v.result = -ENOMEM;
                break;
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
                v.result = OBJECT_BAD_CONFIG;
                v.retry = false;
                break;
        default:
                break;
        }
        snprintf(v.text, sizeof v.text, "%.*s: %s%s", STR_FMT(t->rq.origin), why, hint);
        *ret_verdict = v;
}

/* ---- all of them ---- */

int object_http_init(struct object_http *h, struct loop *loop, const struct object_config *c)
{
        *h = (struct object_http){
                .loop = loop,
                .ca_file = c->ca_file,
                .connect_timeout_ms = c->connect_timeout_ms,
                .stall_timeout_ms = c->stall_timeout_ms,
        };
        ilist_init(&h->transfers);
        loop_timer_init(&h->timer, loop, on_timer);
        loop_timer_init(&h->resume, loop, on_resume);
        object_rate_init(&h->up, c->upload_bytes_per_s, clock_mono_ns());
        object_rate_init(&h->down, c->download_bytes_per_s, clock_mono_ns());
        h->multi = curl_multi_init();
        if (!h->multi)
                return -ENOMEM;
        curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
        curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
        curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
        curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
        curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)c->requests_max);
        return 0;
}

void object_http_fini(struct object_http *h)
{
        if (!h->multi)
                return;
        assert(ilist_is_empty(&h->transfers));
        curl_multi_cleanup(h->multi);
        loop_timer_stop(&h->timer);
        loop_timer_stop(&h->resume);
        h->multi = NULL;
}
