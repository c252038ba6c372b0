/* /v1/users of the admin listener: users and their SCRAM credentials, told without what is secret, and changed. A password never comes
 * here: who makes a user derives from it what is kept. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "chronikd/admin.h"
#include "chronikd/ask.h"
#include "security/scram.h"
#include "sys/clock.h"

enum { SEED_LEN = 32 };

static const char shape[] =
        "{\"name\": text, \"credentials\": [{\"mechanism\": text, \"iterations\": number, \"salt\": base64, "
        "\"stored_key\": base64, \"server_key\": base64}, ...]}";

static const char rotation_shape[] =
        "{\"name\": text, \"finish\": true} or {\"name\": text, \"overlap_ms\": number, \"credentials\": [...]}, these "
        "as in /v1/users";

/* ---- told ---- */

static void answer_unknown(struct http_request *rq, const char *name)
{
        admin_answer_error(rq, 404, "There is no user '%s'. `chronik-ctl user list` shows all.", name);
}

/* Without what is secret. */
static json_t *credential_json(const struct meta_credential *c)
{
        json_t *o = json_pack("{s:s, s:i}", "mechanism", scram_name((enum scram_mechanism)c->key.mechanism),
                              "iterations", c->iterations);

        if (c->set_ms)
                json_object_set_new(o, "set_ms", json_integer(c->set_ms));
        if (meta_credential_has_earlier(c, clock_wall_ms()))
                json_object_set_new(o, "earlier_until_ms", json_integer(c->earlier_until_ms));
        return o;
}

void admin_get_users(struct node *n, struct http_request *rq, const char *arg)
{
        struct meta_image *image = controller_image(n->controller);
        json_t *list = json_array(), *credentials = NULL;
        const struct meta_credential *c;
        struct str before = STR_NULL;

        (void)arg;
        pmap_for_each (it, c, &image->credentials) {
                if (!str_equal(c->key.user, before)) {
                        credentials = json_array();
                        json_array_append_new(list, json_pack("{s:o, s:o}", "name", admin_json_str(c->key.user),
                                                              "credentials", credentials));
                        before = c->key.user;
                }
                json_array_append_new(credentials, credential_json(c));
        }
        meta_image_unref(image);
        admin_answer_json(rq, json_pack("{s:o}", "users", list));
}

/* With salts, for who makes the keys of another password that is to count beside the one that there is. A salt is no secret: whoever begins to
 * log in as the user is told it. */
void admin_get_user(struct node *n, struct http_request *rq, const char *name)
{
        struct meta_image *image = controller_image(n->controller);
        json_t *credentials = json_array();

        for (enum scram_mechanism m = SCRAM_UNKNOWN + 1; m < SCRAM_MECHANISM_END; m++) {
                const struct meta_credential *c = meta_image_credential(image, str_of(name), (int8_t)m);
                CLEANUP(strbuf_finip) struct strbuf salt = { 0 };
                json_t *o;

                if (!c)
                        continue;
                base64_add(&salt, c->salt);
                o = credential_json(c);
                json_object_set_new(o, "salt", json_string(salt.failed ? "" : salt.data));
                json_array_append_new(credentials, o);
        }
        meta_image_unref(image);
        if (json_array_size(credentials)) {
                admin_answer_json(
                        rq, json_pack("{s:o, s:o}", "name", admin_json_str(str_of(name)), "credentials", credentials));
                return;
        }
        json_decref(credentials);
        answer_unknown(rq, name);
}

/* ---- changed ---- */

/* What is read of a body; bytes are in @mem. */
struct user_body {
        struct arena mem;
        struct controller_alter_credential items[SCRAM_MECHANISM_END - 1];
        uint32_t count;
        uint8_t seed[SEED_LEN];
};

static bool read_bytes(const json_t *value, struct arena *mem, struct span *ret)
{
        struct str text = { json_string_value(value), json_string_length(value) };
        uint8_t *data = text.p ? arena_alloc(mem, text.len + 1) : NULL;
        size_t len = 0;

        if (!data || base64_read(text, data, &len))
                return false;
        *ret = span_of(data, len);
        return true;
}

/* Return: NULL, or what is wrong. */
static const char *read_credential(json_t *value, struct user_body *in, struct str user)
{
        struct controller_alter_credential *item = &in->items[in->count];
        const json_t *mechanism = json_object_get(value, "mechanism"),
                     *iterations = json_object_get(value, "iterations");

        *item = (struct controller_alter_credential){ .user = user, .decoy_seed = span_of(in->seed, sizeof in->seed) };
        item->mechanism = (int8_t)scram_by_name(str_of(json_string_value(mechanism)));
        if (item->mechanism == SCRAM_UNKNOWN)
                return "\"mechanism\" is SCRAM-SHA-256 or SCRAM-SHA-512.";
        if (!json_is_integer(iterations) || json_integer_value(iterations) < 0 ||
            json_integer_value(iterations) > INT32_MAX)
                return "\"iterations\" must be a number.";
        item->iterations = (int32_t)json_integer_value(iterations);
        if (!read_bytes(json_object_get(value, "salt"), &in->mem, &item->salt) ||
            !read_bytes(json_object_get(value, "stored_key"), &in->mem, &item->stored_key) ||
            !read_bytes(json_object_get(value, "server_key"), &in->mem, &item->server_key))
                return "\"salt\", \"stored_key\" and \"server_key\" must be there, in base64.";
        for (uint32_t i = 0; i < in->count; i++)
                if (in->items[i].mechanism == item->mechanism)
                        return "A mechanism is named twice.";
        in->count++;
        return NULL;
}

static const char *read_body(const json_t *body, struct user_body *in)
{
        const json_t *name = json_object_get(body, "name");
        json_t *list = json_object_get(body, "credentials"), *value;
        const char *wrong = NULL;
        size_t i;

        if (!json_is_string(name))
                return "\"name\" must be there, and a text.";
        if (!json_is_array(list) || !json_array_size(list) || json_array_size(list) >= SCRAM_MECHANISM_END)
                return "\"credentials\" must be there, one for each mechanism.";
        json_array_foreach (list, i, value) {
                wrong = read_credential(value, in, (struct str){ json_string_value(name), json_string_length(name) });
                if (wrong)
                        break;
        }
        return wrong;
}

/* All of @in; the first that is refused is told. */
static void change(struct node *n, struct http_request *rq, struct user_body *in)
{
        struct controller_request ask = { .op = CONTROLLER_ALTER_CREDENTIALS,
                                          .wait_applied = true,
                                          .items = in->items,
                                          .items_count = in->count,
                                          .timeout_ms = CHANGE_MS,
                                          .mem = &in->mem };
        const struct controller_result *result = &in->items[0].result;

        ask_controller(n, rq, &ask);
        for (uint32_t i = 1; i < in->count && !result->outcome; i++)
                result = &in->items[i].result;
        admin_answer_result(rq, &ask, result, json_pack("{s:i}", "changed", (int)in->count));
}

void admin_post_users(struct node *n, struct http_request *rq, const char *arg)
{
        static const char *const known[] = { "name", "credentials" };
        json_t *body = admin_body(rq, known, ARRAY_LEN(known), shape);
        struct user_body in = { 0 };
        const char *wrong;

        (void)arg;
        if (!body)
                return;
        arena_init(&in.mem, 0);
        random_bytes(in.seed, sizeof in.seed);
        wrong = read_body(body, &in);
        if (wrong)
                admin_answer_error(rq, 400, "The body must be %s. %s", shape, wrong);
        else
                change(n, rq, &in);
        arena_fini(&in.mem);
        json_decref(body);
}

void admin_delete_user(struct node *n, struct http_request *rq, const char *name)
{
        struct meta_image *image = controller_image(n->controller);
        struct user_body in = { 0 };

        arena_init(&in.mem, 0);
        for (enum scram_mechanism m = SCRAM_UNKNOWN + 1; m < SCRAM_MECHANISM_END; m++)
                if (meta_image_credential(image, str_of(name), (int8_t)m))
                        in.items[in.count++] = (struct controller_alter_credential){ .user = str_of(name),
                                                                                     .mechanism = (int8_t)m,
                                                                                     .remove = true };
        meta_image_unref(image);
        if (in.count)
                change(n, rq, &in);
        else
                answer_unknown(rq, name);
        arena_fini(&in.mem);
}

/* ---- rotated ---- */

struct rotation {
        struct user_body in;
        struct controller_rotated credentials[SCRAM_MECHANISM_END - 1];
        struct controller_rotate_user user;
};

/* Return: NULL, or what is wrong. */
static const char *read_rotation(const json_t *body, struct rotation *x)
{
        const json_t *name = json_object_get(body, "name"), *finish = json_object_get(body, "finish"),
                     *overlap = json_object_get(body, "overlap_ms");
        const char *wrong;

        if (!json_is_string(name))
                return "\"name\" must be there, and a text.";
        x->user.user = (struct str){ json_string_value(name), json_string_length(name) };
        x->user.finish = json_is_true(finish);
        if (x->user.finish)
                return overlap || json_object_get(body, "credentials") ? "\"finish\" stands alone." : NULL;
        if (finish || !json_is_integer(overlap))
                return "\"overlap_ms\" must be there, and a number.";
        x->user.overlap_ms = json_integer_value(overlap);
        wrong = read_body(body, &x->in);
        for (uint32_t i = 0; i < x->in.count; i++)
                x->credentials[i] = (struct controller_rotated){ .mechanism = x->in.items[i].mechanism,
                                                                 .iterations = x->in.items[i].iterations,
                                                                 .salt = x->in.items[i].salt,
                                                                 .stored_key = x->in.items[i].stored_key,
                                                                 .server_key = x->in.items[i].server_key };
        x->user.credentials = x->credentials;
        x->user.credentials_count = (int32_t)x->in.count;
        return wrong;
}

void admin_post_rotations(struct node *n, struct http_request *rq, const char *arg)
{
        static const char *const known[] = { "name", "finish", "overlap_ms", "credentials" };
        json_t *body = admin_body(rq, known, ARRAY_LEN(known), rotation_shape);
        struct rotation x = { 0 };
        struct controller_request ask = { .op = CONTROLLER_ROTATE_USERS,
                                          .wait_applied = true,
                                          .items = &x.user,
                                          .items_count = 1,
                                          .timeout_ms = CHANGE_MS,
                                          .mem = &x.in.mem };
        const char *wrong;

        (void)arg;
        if (!body)
                return;
        arena_init(&x.in.mem, 0);
        wrong = read_rotation(body, &x);
        if (wrong) {
                admin_answer_error(rq, 400, "The body must be %s. %s", rotation_shape, wrong);
        } else {
                ask_controller(n, rq, &ask);
                admin_answer_result(rq, &ask, &x.user.result,
                                    json_pack("{s:I}", "until_ms", (json_int_t)x.user.until_ms));
        }
        arena_fini(&x.in.mem);
        json_decref(body);
}
