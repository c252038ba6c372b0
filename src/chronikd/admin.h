/* What the files admin*.c share: answers of the admin listener. On threads of their own; all may wait. */
#pragma once

#include <jansson.h>

#include "chronikd/node.h"

/* ---- admin_json.c ---- */

/* Answer with @value, which is taken over; NULL (memory is out) answers 503. */
void admin_answer_json(struct http_request *rq, json_t *value);
/* Answer with @status and {"error": text}. */
void admin_answer_error(struct http_request *rq, unsigned status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* New values, the caller's; NULL when memory is out. Text that is not UTF-8 is made so; null text is null. */
json_t *admin_json_str(struct str s);
json_t *admin_json_ids(const int32_t *ids, size_t count);

/* Damaged ranges of a log, the same in every answer (admin_verify.c). */
json_t *admin_json_damage(const struct plog_damaged_range *ranges, size_t count);

/* ---- admin_topics.c, admin_groups.c, admin_verify.c: a function for each route; @name is what follows its path ---- */

void admin_get_topics(struct node *n, struct http_request *rq, const char *name);
void admin_get_topic(struct node *n, struct http_request *rq, const char *name);
void admin_post_topics(struct node *n, struct http_request *rq, const char *name);
void admin_delete_topic(struct node *n, struct http_request *rq, const char *name);
void admin_get_groups(struct node *n, struct http_request *rq, const char *name);
void admin_get_group(struct node *n, struct http_request *rq, const char *name);
void admin_get_verify(struct node *n, struct http_request *rq, const char *name);
void admin_post_verify(struct node *n, struct http_request *rq, const char *name);
/* The members of @body are among @known; otherwise @why says which is not. */
bool admin_members_known(json_t *body, const char *const *known, size_t count, char *why, size_t size);
