/* What the files admin*.c share: answers of the admin listener. On threads of their own; all may wait. */
#pragma once

#include <jansson.h>

#include "chronikd/node.h"
#include "chronikd/tally.h"

/* ---- admin_json.c ---- */

/* Answer with @value, which is taken over; NULL (memory is out) answers 503. */
void admin_answer_json(struct http_request *rq, json_t *value);
/* Answer with @status and {"error": text}. */
void admin_answer_error(struct http_request *rq, unsigned status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* New values, the caller's; NULL when memory is out. Text that is not UTF-8 is made so; null text is null. */
json_t *admin_json_str(struct str s);
/* What is set on a resource: {name: text}. */
json_t *admin_json_configs(const struct meta_image *image, enum meta_resource type, struct str name);
json_t *admin_json_ids(const int32_t *ids, size_t count);

/* The body of a request as an object with no other members than @known (none is needed: an empty body is an empty object); a new
 * reference. NULL: it is not that, which has been answered, with @shape: what it should look like. */
json_t *admin_body(struct http_request *rq, const char *const *known, size_t count, const char *shape);
/* The number of a node. False: it is none. */
bool admin_id_of(const json_t *value, int32_t *ret_id);
/* The same of a path. False has been answered. */
bool admin_id_read(struct http_request *rq, const char *text, int32_t *ret_id);
/* A path such as "3/drain": a node's number, and what follows the slash, "" when nothing does. False has been answered. */
bool admin_path_read(struct http_request *rq, const char *path, int32_t *ret_id, const char **ret_rest);
/* Answer with what the controller said: @done, which is taken over, when it did what was asked; otherwise its words. @item: the
 * result of the request's item. */
void admin_answer_result(struct http_request *rq, const struct controller_request *crq,
                         const struct controller_result *item, json_t *done);

/* Damaged ranges of a log, the same in every answer (admin_verify.c). */
json_t *admin_json_damage(const struct plog_damaged_range *ranges, size_t count);

/* ---- admin_coordinator.c ---- */

/* The partition of @topic, a coordinator's log, in which @id lives, and which node leads it; META_NO_NODE: none just now. False: there is no such
 * log yet, so that nobody has such an id. */
bool admin_find_coordinator(const struct meta_image *image, struct str topic, const char *id, int32_t *ret_partition,
                            int32_t *ret_node);
/* What another @node says at /v1/here/@folder/@id: a new reference, with rq->status as it was there. NULL: it does not answer, which was told. */
json_t *admin_ask_coordinator(struct node *n, struct http_request *rq, int32_t node, const char *folder,
                              const char *id);

/* ---- admin_quorum.c: the quorum as the active controller tells it ---- */

enum {
        QUORUM_VIEW_MS = 2000, /* longer than an election; who asks waits in front of a terminal */
        CHANGE_MS = 10000,     /* for what changes something: an active controller is elected in a second or two */
};

struct quorum_view {
        bool is_known;  /* the active controller answered; otherwise @why, and only @here is filled in */
        struct str why; /* in @mem */
        struct controller_status here;
        struct controller_describe_quorum told;
        int64_t now_ms;    /* wall clock */
        int64_t silent_ms; /* a controller that was not heard of for so long is missing */
        int64_t end_index; /* of the leader's log */
        int voters, voters_heard;
        struct arena mem;
};

/* Ask for it; waits. quorum_view_fini() in any case. */
void quorum_view_take(struct node *n, struct quorum_view *v);
/* Of what was told; done by quorum_view_take(). */
void quorum_view_fill(struct quorum_view *v, const struct conf *conf, const struct controller_describe_quorum *told);
void quorum_view_fini(struct quorum_view *v);
/* NULL: it is not among those that have the metadata, or nothing is known. */
const struct controller_member *quorum_view_find(const struct quorum_view *v, int32_t node_id);
bool quorum_member_is_silent(const struct quorum_view *v, const struct controller_member *m);
/* Would the controllers that are heard of be no majority any more, if this one stopped? */
bool quorum_view_would_be_lost(const struct quorum_view *v, int32_t node_id);
/* New values. */
json_t *quorum_json(const struct quorum_view *v);
json_t *quorum_json_member(const struct quorum_view *v, const struct controller_member *m);

/* ---- admin_nodes.c ---- */

/* Every node, brokers and controllers, by rising id; new value, NULL when memory is out. */
json_t *admin_json_nodes(struct node *n, const struct meta_image *image, const struct tally *t,
                         const struct quorum_view *v);

/* ---- a function for each route, in the file of its noun; @name is what follows its path ---- */

void admin_get_audit(struct node *n, struct http_request *rq, const char *name);
void admin_get_audit_entries(struct node *n, struct http_request *rq, const char *name);
void admin_post_audit_key(struct node *n, struct http_request *rq, const char *arg);
void admin_get_audit_verify(struct node *n, struct http_request *rq, const char *name);
void admin_get_cluster(struct node *n, struct http_request *rq, const char *name);
void admin_get_disruption(struct node *n, struct http_request *rq, const char *name);
void admin_post_disruption(struct node *n, struct http_request *rq, const char *name);
void admin_get_nodes(struct node *n, struct http_request *rq, const char *name);
void admin_get_node(struct node *n, struct http_request *rq, const char *name);
void admin_post_node(struct node *n, struct http_request *rq, const char *name);
void admin_get_controllers(struct node *n, struct http_request *rq, const char *name);
void admin_post_controllers(struct node *n, struct http_request *rq, const char *name);
void admin_delete_controller(struct node *n, struct http_request *rq, const char *name);
void admin_post_transfer(struct node *n, struct http_request *rq, const char *name);
void admin_get_reassignments(struct node *n, struct http_request *rq, const char *name);
void admin_post_reassignments(struct node *n, struct http_request *rq, const char *name);
void admin_post_elections(struct node *n, struct http_request *rq, const char *name);
void admin_get_topics(struct node *n, struct http_request *rq, const char *name);
void admin_get_topic(struct node *n, struct http_request *rq, const char *name);
void admin_post_topics(struct node *n, struct http_request *rq, const char *name);
void admin_delete_topic(struct node *n, struct http_request *rq, const char *name);
/* What this node itself has, for another one that was asked: below /v1/here/. */
void admin_here_health(struct node *n, struct http_request *rq, const char *name);
void admin_here_node(struct node *n, struct http_request *rq, const char *name);
void admin_here_topics(struct node *n, struct http_request *rq, const char *name);
void admin_here_topic(struct node *n, struct http_request *rq, const char *name);
void admin_here_groups(struct node *n, struct http_request *rq, const char *name);
void admin_here_group(struct node *n, struct http_request *rq, const char *name);
void admin_get_groups(struct node *n, struct http_request *rq, const char *name);
void admin_get_group(struct node *n, struct http_request *rq, const char *name);
void admin_get_quotas(struct node *n, struct http_request *rq, const char *name);
void admin_post_quotas(struct node *n, struct http_request *rq, const char *name);
void admin_get_acls(struct node *n, struct http_request *rq, const char *name);
void admin_post_acls(struct node *n, struct http_request *rq, const char *name);
void admin_get_users(struct node *n, struct http_request *rq, const char *name);
void admin_post_users(struct node *n, struct http_request *rq, const char *name);
void admin_get_user(struct node *n, struct http_request *rq, const char *name);
void admin_post_rotations(struct node *n, struct http_request *rq, const char *arg);
void admin_delete_user(struct node *n, struct http_request *rq, const char *name);
void admin_get_txns(struct node *n, struct http_request *rq, const char *name);
void admin_get_txn(struct node *n, struct http_request *rq, const char *id);
void admin_post_txns(struct node *n, struct http_request *rq, const char *name);
void admin_here_txns(struct node *n, struct http_request *rq, const char *name);
void admin_here_txn(struct node *n, struct http_request *rq, const char *id);
void admin_get_verify(struct node *n, struct http_request *rq, const char *name);
void admin_post_verify(struct node *n, struct http_request *rq, const char *name);
/* The members of @body are among @known; otherwise @why says which is not. */
bool admin_members_known(json_t *body, const char *const *known, size_t count, char *why, size_t size);
