/* Commands of users: who may log in. The password is read from standard input, and only what SCRAM keeps of it leaves this program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/base64.h"
#include "ctl/ctl.h"
#include "security/scram.h"
#include "sys/clock.h"

enum { PASSWORD_SIZE = 1026, SALT_LEN = 24, MADE_LEN = 24, ITERATIONS = 8192 };
#define OVERLAP_MS (INT64_C(24) * 3600 * 1000)

/* ---- list ---- */

static void cell_time(struct table *t, const json_t *object, const char *key)
{
        char time[32];

        table_cell(t, "%s", json_object_get(object, key) ? table_time(number_of(object, key), time) : "-");
}

int user_list(struct ctl *c, const char *arg)
{
        static const char *const titles[] = { "USER", "MECHANISM", "ITERATIONS>", "PASSWORD SET", "EARLIER ONE UNTIL" };
        json_t *answer, *one, *credential;
        struct table *t;
        int status;
        size_t i, k;

        (void)arg;
        if (!ask(c, "GET", "/v1/users", NULL, NULL, &answer, &status))
                return status;
        t = table_new(titles, ARRAY_LEN(titles));
        json_array_foreach (json_object_get(answer, "users"), i, one)
                json_array_foreach (json_object_get(one, "credentials"), k, credential) {
                        table_cell(t, "%s", text_of(one, "name"));
                        table_cell(t, "%s", text_of(credential, "mechanism"));
                        cell_number(t, credential, "iterations");
                        cell_time(t, credential, "set_ms");
                        cell_time(t, credential, "earlier_until_ms");
                }
        table_print(t);
        json_decref(answer);
        return CTL_OK;
}

/* ---- add ---- */

/* Without a buffer, in which what is secret would stay behind. */
static bool take_line(char line[PASSWORD_SIZE])
{
        size_t len;

        (void)setvbuf(stdin, NULL, _IONBF, 0);
        if (!fgets(line, PASSWORD_SIZE, stdin))
                return false;
        len = strlen(line);
        if (len == PASSWORD_SIZE - 1)
                return false;
        while (len && (line[len - 1] == '\n' || line[len - 1] == '\r'))
                line[--len] = '\0';
        return len > 0;
}

/* One line of standard input, without its end; not shown while it is typed. False: there is none, or it is too long. */
static bool read_line(const char *prompt, char line[PASSWORD_SIZE])
{
        bool typed = isatty(STDIN_FILENO) && isatty(STDERR_FILENO), ok;
        struct termios before, silent;

        if (typed) {
                fputs(prompt, stderr);
                typed = !tcgetattr(STDIN_FILENO, &before);
        }
        if (typed) {
                silent = before;
                silent.c_lflag &= ~(tcflag_t)ECHO;
                (void)tcsetattr(STDIN_FILENO, TCSAFLUSH,
                                &silent); /* then it is seen, which is not worse than not at all */
        }
        ok = take_line(line);
        if (typed) {
                (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
                fputc('\n', stderr);
        }
        return ok;
}

/* Return: CTL_OK; otherwise why not has been told. */
static int read_password(char password[PASSWORD_SIZE])
{
        bool typed = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
        char again[PASSWORD_SIZE];
        int r = CTL_OK;

        if (!read_line("Password: ", password))
                return fputs("chronik-ctl: a password of at most 1024 bytes is needed, as a line of standard input\n",
                             stderr),
                       CTL_FAILED;
        if (typed && (!read_line("Again: ", again) || strcmp(password, again) != 0)) {
                fputs("chronik-ctl: these are two passwords\n", stderr);
                r = CTL_FAILED;
        }
        if (typed)
                explicit_bzero(again, sizeof again);
        return r;
}

static json_t *base64_json(struct span data)
{
        CLEANUP(strbuf_finip) struct strbuf text = { 0 };

        base64_add(&text, data);
        return text.failed ? NULL : json_string(text.data);
}

/* What the cluster keeps of @password; NULL: memory is out. */
static json_t *credential_of(enum scram_mechanism m, const char *password, struct span salt, int32_t iterations)
{
        uint8_t salted[SCRAM_KEY_LEN_MAX];
        struct scram_keys keys;
        json_t *ret = NULL;

        if (!scram_salt_password(m, span_of(password, strlen(password)), salt, iterations, salted) &&
            !scram_derive(m, salted, &keys))
                ret = json_pack("{s:s, s:i, s:o, s:o, s:o}", "mechanism", scram_name(m), "iterations", iterations,
                                "salt", base64_json(salt), "stored_key",
                                base64_json(span_of(keys.stored, scram_key_len(m))), "server_key",
                                base64_json(span_of(keys.server, scram_key_len(m))));
        explicit_bzero(salted, sizeof salted);
        explicit_bzero(&keys, sizeof keys);
        return ret;
}

static json_t *new_credential(enum scram_mechanism m, const char *password)
{
        uint8_t salt[SALT_LEN];

        random_bytes(salt, sizeof salt);
        return credential_of(m, password, span_of(salt, sizeof salt), ITERATIONS);
}

int user_add(struct ctl *c, const char *name)
{
        json_t *answer, *credentials = json_array();
        char password[PASSWORD_SIZE] = "";
        int status = read_password(password);

        for (enum scram_mechanism m = SCRAM_UNKNOWN + 1; !status && m < SCRAM_MECHANISM_END; m++)
                json_array_append_new(credentials, new_credential(m, password));
        explicit_bzero(password, sizeof password);
        if (status)
                return status;
        if (!ask(c, "POST", "/v1/users", NULL, json_pack("{s:s, s:o}", "name", name, "credentials", credentials),
                 &answer, &status))
                return status;
        printf("set the password of user %s\n", name);
        json_decref(answer);
        return CTL_OK;
}

/* ---- rotate ---- */

/* 192 bits of chance, in letters and digits as they may stand in any configuration file. */
static int make_password(char password[PASSWORD_SIZE])
{
        CLEANUP(strbuf_finip) struct strbuf text = { 0 };
        uint8_t chance[MADE_LEN];

        random_bytes(chance, sizeof chance);
        base64_add(&text, span_of(chance, sizeof chance));
        explicit_bzero(chance, sizeof chance);
        if (text.failed)
                abort();
        for (size_t i = 0; i <= text.len; i++)
                password[i] = text.data[i] == '+' ? '-' : text.data[i] == '/' ? '_' : text.data[i];
        explicit_bzero(text.data, text.len);
        return CTL_OK;
}

/* The keys of @password with salt and iterations of @old, which is what the node told of a credential; NULL: it told what cannot be. */
static json_t *credential_beside(const json_t *old, const char *password)
{
        enum scram_mechanism m = scram_by_name(str_of(json_string_value(json_object_get(old, "mechanism"))));
        const char *text = json_string_value(json_object_get(old, "salt"));
        json_int_t iterations = number_of(old, "iterations");
        uint8_t salt[2 * SCRAM_SALT_LEN_MAX];
        size_t len = 0;

        if (m == SCRAM_UNKNOWN || !text || strlen(text) > sizeof salt || base64_read(str_of(text), salt, &len) ||
            !len || len > SCRAM_SALT_LEN_MAX || iterations < 1 || iterations > SCRAM_ITERATIONS_MAX)
                return NULL;
        return credential_of(m, password, span_of(salt, len), (int32_t)iterations);
}

static int rotate(struct ctl *c, const char *name, const json_t *user, const char *password, json_t **ret)
{
        json_t *credentials = json_array(), *old, *new;
        size_t i;

        json_array_foreach (json_object_get(user, "credentials"), i, old) {
                new = credential_beside(old, password);
                if (!new)
                        return fputs("chronik-ctl: the node told of a credential that cannot be\n", stderr), CTL_FAILED;
                json_array_append_new(credentials, new);
        }
        return ctl_ask(c, "POST", "/v1/rotations",
                       json_pack("{s:s, s:I, s:o}", "name", name, "overlap_ms",
                                 (json_int_t)(c->overlap_ms ? c->overlap_ms : OVERLAP_MS), "credentials", credentials),
                       ret);
}

static int rotation_finish(struct ctl *c, const char *name)
{
        json_t *answer;
        int status;

        if (c->generate || c->overlap_ms)
                return ctl_usage("--finish stands alone: it sets no password");
        if (!ask(c, "POST", "/v1/rotations", NULL, json_pack("{s:s, s:b}", "name", name, "finish", 1), &answer,
                 &status))
                return status;
        printf("only the new password of user %s counts now\n", name);
        json_decref(answer);
        return CTL_OK;
}

static void print_rotated(const struct ctl *c, const char *name, json_t *answer, const char *password)
{
        char time[32];

        if (c->json) {
                if (c->generate)
                        json_object_set_new(answer, "password", json_string(password));
                print_json(answer);
                return;
        }
        if (c->generate)
                printf("The new password of user %s; it is shown this once:\n\n%s\n\n", name, password);
        printf("Both passwords of user %s count until %s. When all clients have the new one:\n\n"
               "chronik-ctl user rotate %s --finish\n",
               name, table_time(number_of(answer, "until_ms"), time), name);
}

int user_rotate(struct ctl *c, const char *name)
{
        char password[PASSWORD_SIZE] = "", *escaped, *path;
        json_t *user, *answer;
        int status;

        if (c->finish)
                return rotation_finish(c, name);
        escaped = ctl_escape(name);
        if (!escaped || asprintf(&path, "/v1/users/%s", escaped) < 0)
                abort();
        status = ctl_ask(c, "GET", path, NULL, &user);
        free(escaped);
        free(path);
        if (status)
                return status;
        status = c->generate ? make_password(password) : read_password(password);
        if (!status)
                status = rotate(c, name, user, password, &answer);
        json_decref(user);
        if (!status) {
                print_rotated(c, name, answer, password);
                json_decref(answer);
        }
        explicit_bzero(password, sizeof password);
        return status;
}

/* ---- remove ---- */

int user_remove(struct ctl *c, const char *name)
{
        json_t *answer;
        int status;

        if (!ask(c, "DELETE", "/v1/users/", name, NULL, &answer, &status))
                return status;
        printf("removed user %s\n", name);
        json_decref(answer);
        return CTL_OK;
}
