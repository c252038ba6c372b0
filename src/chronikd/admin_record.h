/* What is recorded of the admin listener in the audit log (chronikd/audit.h): who came, who was refused, and who it was that asked for a
 * change. Of a listener without roles nobody is known, and nobody refused. On threads that may wait. */
#pragma once

#include "chronikd/audit.h"
#include "obs/http.h"
#include "security/operators.h"

enum { ADMIN_RECORD_TEXT_SIZE = 512 };

/* Texts that an entry borrows. */
struct admin_record {
        struct audit_entry e;
        char principal[ADMIN_RECORD_TEXT_SIZE], host[SOCK_TEXT_SIZE], api[ADMIN_RECORD_TEXT_SIZE];
};

/* An entry with what is known of who asks @rq; NULL: the node itself does. Without its node. */
void admin_record_init(struct admin_record *r, enum audit_kind kind, const struct http_request *rq);

/* @rq is of somebody who has a role: a login, once on a connection. @a: NULL is fine, also below. */
void admin_record_login(struct audit *a, struct http_request *rq);
/* It is of nobody that has one; @why for people. */
void admin_record_unknown(struct audit *a, const struct http_request *rq, const char *why);
/* It needs a higher role. */
void admin_record_denied(struct audit *a, const struct http_request *rq, enum operator_role needed);
