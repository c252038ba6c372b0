/* /v1/controllers of the admin listener, and how the quorum is for other answers. */
#include <jansson.h>
#include <stdio.h>

#include "chronikd/admin.h"
#include "chronikd/ask.h"
#include "sys/clock.h"

void quorum_view_fill(struct quorum_view *v, const struct conf *conf, const struct controller_describe_quorum *told)
{
        v->told = *told;
        v->is_known = true;
        v->now_ms = clock_wall_ms();
        /* They are heard of several times in an election's time. The guard counts on this: who is gone must soon be missing. */
        v->silent_ms = 2 * conf->cluster.election_timeout_ms;
        for (int32_t i = 0; i < told->members_count; i++) {
                const struct controller_member *m = &told->members[i];

                if (m->node_id == told->leader_id)
                        v->end_index = m->end_index;
                if (m->kind != CONTROLLER_VOTER)
                        continue;
                v->voters++;
                v->voters_heard += !quorum_member_is_silent(v, m);
        }
}

/* Why nobody answers is what this node's own controller has trouble with. */
static void explain(struct node *n, struct quorum_view *v, struct str said)
{
        struct controller_describe_quorum told = { 0 };
        struct controller_request ask = {
                .op = CONTROLLER_DESCRIBE_QUORUM, .here_only = true, .items = &told, .items_count = 1, .mem = &v->mem
        };

        ask_controller(n, NULL, &ask);
        v->why = str_is_null(told.trouble) ? said
                                           : arena_printf(&v->mem, "%.*s %.*s.", STR_FMT(said), STR_FMT(told.trouble));
}

void quorum_view_take(struct node *n, struct quorum_view *v)
{
        struct controller_describe_quorum told = { 0 };
        struct controller_request ask = {
                .op = CONTROLLER_DESCRIBE_QUORUM, .items = &told, .items_count = 1, .timeout_ms = QUORUM_VIEW_MS
        };

        *v = (struct quorum_view){ 0 };
        arena_init(&v->mem, 0);
        ask.mem = &v->mem;
        controller_status(n->controller, &v->here);
        ask_controller(n, NULL, &ask);
        if (!ask.result.outcome && !told.result.outcome)
                quorum_view_fill(v, n->conf, &told);
        else
                explain(n, v, ask.result.outcome ? ask.result.message : told.result.message);
}

void quorum_view_fini(struct quorum_view *v)
{
        arena_fini(&v->mem);
}

const struct controller_member *quorum_view_find(const struct quorum_view *v, int32_t node_id)
{
        for (int32_t i = 0; v->is_known && i < v->told.members_count; i++)
                if (v->told.members[i].node_id == node_id)
                        return &v->told.members[i];
        return NULL;
}

bool quorum_member_is_silent(const struct quorum_view *v, const struct controller_member *m)
{
        return m->node_id != v->told.leader_id && (m->heard_ms < 0 || v->now_ms - m->heard_ms > v->silent_ms);
}

bool quorum_view_would_be_lost(const struct quorum_view *v, int32_t node_id)
{
        const struct controller_member *m = quorum_view_find(v, node_id);

        return m && m->kind == CONTROLLER_VOTER && !quorum_member_is_silent(v, m) &&
               v->voters_heard - 1 <= v->voters / 2;
}

static const char *kind_name(enum controller_member_kind kind)
{
        static const char *const names[] = { "voter", "learner", "observer" };

        return names[kind];
}

json_t *quorum_json_member(const struct quorum_view *v, const struct controller_member *m)
{
        bool leads = m->node_id == v->told.leader_id;
        char directory[UUID_TEXT_SIZE];
        json_t *out;

        uuid_format(m->directory, directory);
        out = json_pack("{s:i, s:s, s:s, s:o, s:b}", "id", m->node_id, "kind", kind_name(m->kind), "directory",
                        directory, "address", admin_json_str(m->address), "active", leads);
        if (m->end_index >= 0) {
                json_object_set_new(out, "end_index", json_integer(m->end_index));
                json_object_set_new(out, "lag", json_integer(MAX2(v->end_index - m->end_index, INT64_C(0))));
        }
        if (leads || m->heard_ms >= 0)
                json_object_set_new(out, "heard_ms_ago",
                                    json_integer(leads ? 0 : MAX2(v->now_ms - m->heard_ms, INT64_C(0))));
        return out;
}

json_t *quorum_json(const struct quorum_view *v)
{
        json_t *members = json_array(), *out;

        if (!v->is_known) {
                json_decref(members);
                return json_pack("{s:b, s:i, s:i, s:o}", "known", 0, "leader", v->here.leader_id, "term", v->here.term,
                                 "why", admin_json_str(v->why));
        }
        for (int32_t i = 0; i < v->told.members_count; i++)
                if (v->told.members[i].kind != CONTROLLER_OBSERVER)
                        json_array_append_new(members, quorum_json_member(v, &v->told.members[i]));
        out = json_pack("{s:b, s:i, s:i, s:I, s:I, s:I, s:i, s:i, s:o}", "known", 1, "leader", v->told.leader_id,
                        "term", v->told.term, "committed_index", (json_int_t)v->told.committed_index, "log_first_index",
                        (json_int_t)v->told.log_first_index, "log_bytes", (json_int_t)v->told.log_bytes, "voters",
                        v->voters, "voters_heard", v->voters_heard, "controllers", members);
        return out;
}

/* ---- routes ---- */

void admin_get_controllers(struct node *n, struct http_request *rq, const char *name)
{
        struct quorum_view v;

        (void)name;
        quorum_view_take(n, &v);
        if (v.is_known)
                admin_answer_json(rq, quorum_json(&v));
        else
                admin_answer_error(rq, 503, "%.*s", STR_FMT(v.why));
        quorum_view_fini(&v);
}

static void change(struct node *n, struct http_request *rq, enum controller_op op, struct controller_voter_change *item,
                   const char *done)
{
        struct controller_request ask = { .op = op, .items = item, .items_count = 1, .timeout_ms = CHANGE_MS };
        struct arena mem;

        arena_init(&mem, 0);
        ask.mem = &mem;
        ask_controller(n, rq, &ask);
        admin_answer_result(rq, &ask, &item->result, json_pack("{s:s, s:i}", "result", done, "id", item->node_id));
        arena_fini(&mem);
}

void admin_post_controllers(struct node *n, struct http_request *rq, const char *name)
{
        static const char *const known[] = { "id", "address", "directory" };
        json_t *body = admin_body(rq, known, ARRAY_LEN(known),
                                  "{\"id\": number, \"address\": \"HOST:PORT\", \"directory\": text, may be left out}");
        struct controller_voter_change item = { 0 };
        const char *address = json_string_value(json_object_get(body, "address"));
        const char *directory = json_string_value(json_object_get(body, "directory"));

        (void)name;
        if (!body)
                return;
        if (!address || !admin_id_of(json_object_get(body, "id"), &item.node_id)) {
                admin_answer_error(rq, 400,
                                   "\"id\" must be a node's number and \"address\" HOST:PORT of its cluster.listen.");
        } else if (directory && uuid_parse(str_of(directory), &item.directory)) {
                admin_answer_error(rq, 400, "\"directory\" must be the identity of a folder, 22 characters.");
        } else {
                item.address = str_of(address);
                change(n, rq, CONTROLLER_ADD_VOTER, &item, "added");
        }
        json_decref(body);
}

void admin_delete_controller(struct node *n, struct http_request *rq, const char *name)
{
        struct controller_voter_change item = { 0 };
        const char *directory;

        if (!admin_path_read(rq, name, &item.node_id, &directory))
                return;
        if (*directory && uuid_parse(str_of(directory), &item.directory))
                admin_answer_error(rq, 400, "'%s' is not the identity of a folder, which has 22 characters.",
                                   directory);
        else
                change(n, rq, CONTROLLER_REMOVE_VOTER, &item, "removed");
}

void admin_post_transfer(struct node *n, struct http_request *rq, const char *name)
{
        static const char *const known[] = { "id" };
        json_t *body = admin_body(rq, known, ARRAY_LEN(known), "{\"id\": number, may be left out}"), *id;
        struct controller_voter_change item = { .node_id = META_NO_NODE };

        (void)name;
        if (!body)
                return;
        id = json_object_get(body, "id");
        if (id && !admin_id_of(id, &item.node_id))
                admin_answer_error(rq, 400, "\"id\" must be a node's number.");
        else
                change(n, rq, CONTROLLER_TRANSFER, &item, "transferred");
        json_decref(body);
}
