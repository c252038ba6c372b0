/* See admin_record.h. */
#include "chronikd/admin_record.h"

#include <stdio.h>

/* "Token:deploy", "Certificate:CN=ops"; what a request without a role claims to be is told as well. False: it says nothing. */
static bool principal_write(const struct http_request *rq, char text[ADMIN_RECORD_TEXT_SIZE])
{
        const char *name = rq->who;

        if (!*name && !rq->authorization && rq->caller && !rq->rights)
                name = rq->caller->uri ? rq->caller->uri : rq->caller->subject ? rq->caller->subject : "";
        if (!*name)
                return false;
        snprintf(text, ADMIN_RECORD_TEXT_SIZE, "%s:%s", rq->authorization ? "Token" : "Certificate", name);
        return true;
}

void admin_record_init(struct admin_record *r, enum audit_kind kind, const struct http_request *rq)
{
        r->e = (struct audit_entry){ .kind = kind, .time_ms = clock_wall_ms(), .listener = STR_LIT("admin") };
        if (!rq)
                return;
        if (principal_write(rq, r->principal))
                r->e.principal = str_of(r->principal);
        if (*rq->who)
                r->e.role = str_of(operator_role_name((enum operator_role)rq->rights));
        if (rq->caller && rq->caller->address.any.sa_family) {
                sock_format_host(&rq->caller->address, r->host);
                r->e.host = str_of(r->host);
        }
        snprintf(r->api, sizeof r->api, "%s %s", rq->method, rq->path);
        r->e.api = str_of(r->api);
}

/* Who is refused may ask again at once, and must not fill the queue. */
static void put(struct audit *a, struct audit_entry *e)
{
        (void)audit_wait_for_room(
                a); /* when there is none it is put anyway: there are few connections, and each has waited */
        e->node = a->sink.node;
        a->sink.put(a->sink.arg, e);
}

static struct str mechanism_of(const struct http_request *rq)
{
        if (rq->authorization)
                return STR_LIT("TOKEN");
        return rq->caller && rq->caller->subject ? STR_LIT("SSL") : STR_LIT("NONE");
}

void admin_record_login(struct audit *a, struct http_request *rq)
{
        struct admin_record r;

        if (!a || !audit_sink_of(a) || (rq->caller && !strcmp(rq->caller->known_as, rq->who)))
                return;
        if (rq->caller)
                memcpy(rq->caller->known_as, rq->who, sizeof rq->who);
        admin_record_init(&r, AUDIT_LOGIN, rq);
        r.e.operation = mechanism_of(rq);
        put(a, &r.e);
}

void admin_record_unknown(struct audit *a, const struct http_request *rq, const char *why)
{
        struct admin_record r;

        if (!a || !audit_sink_of(a))
                return;
        admin_record_init(&r, AUDIT_LOGIN_FAILED, rq);
        r.e.operation = mechanism_of(rq);
        r.e.outcome = str_of(why);
        put(a, &r.e);
}

void admin_record_denied(struct audit *a, const struct http_request *rq, enum operator_role needed)
{
        struct admin_record r;
        char outcome[64];

        if (!a || !audit_sink_of(a))
                return;
        admin_record_init(&r, AUDIT_DENIED, rq);
        r.e.operation = str_of(rq->method);
        r.e.name = str_of(rq->path);
        snprintf(outcome, sizeof outcome, "needs the role %s", operator_role_name(needed));
        r.e.outcome = str_of(outcome);
        put(a, &r.e);
}
