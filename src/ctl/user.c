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

enum { PASSWORD_SIZE = 1026, SALT_LEN = 24, ITERATIONS = 8192 };

/* ---- list ---- */

int user_list(struct ctl *c, const char *arg)
{
        static const char *const titles[] = { "USER", "MECHANISM", "ITERATIONS>" };
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
                }
        table_print(t);
        json_decref(answer);
        return CTL_OK;
}

/* ---- add ---- */

/* One line of standard input, without its end; not shown while it is typed. False: there is none, or it is too long. */
static bool read_line(const char *prompt, char line[PASSWORD_SIZE])
{
        bool typed = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
        struct termios before, silent;
        size_t len;
        bool ok;

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
        ok = fgets(line, PASSWORD_SIZE, stdin) != NULL;
        if (typed) {
                (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
                fputc('\n', stderr);
        }
        len = ok ? strlen(line) : 0;
        if (!ok || len == PASSWORD_SIZE - 1)
                return false;
        while (len && (line[len - 1] == '\n' || line[len - 1] == '\r'))
                line[--len] = '\0';
        return true;
}

/* Return: CTL_OK; otherwise why not has been told. */
static int read_password(char password[PASSWORD_SIZE])
{
        bool typed = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
        char again[PASSWORD_SIZE];
        int r = CTL_OK;

        if (!read_line("Password: ", password) || !password[0])
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
static json_t *credential_of(enum scram_mechanism m, const char *password)
{
        uint8_t salt[SALT_LEN], salted[SCRAM_KEY_LEN_MAX];
        struct scram_keys keys;
        json_t *ret = NULL;

        random_bytes(salt, sizeof salt);
        if (!scram_salt_password(m, span_of(password, strlen(password)), span_of(salt, sizeof salt), ITERATIONS,
                                 salted) &&
            !scram_derive(m, salted, &keys))
                ret = json_pack("{s:s, s:i, s:o, s:o, s:o}", "mechanism", scram_name(m), "iterations", ITERATIONS,
                                "salt", base64_json(span_of(salt, sizeof salt)), "stored_key",
                                base64_json(span_of(keys.stored, scram_key_len(m))), "server_key",
                                base64_json(span_of(keys.server, scram_key_len(m))));
        explicit_bzero(salted, sizeof salted);
        return ret;
}

int user_add(struct ctl *c, const char *name)
{
        json_t *answer, *credentials = json_array();
        char password[PASSWORD_SIZE] = "";
        int status = read_password(password);

        for (enum scram_mechanism m = SCRAM_UNKNOWN + 1; !status && m < SCRAM_MECHANISM_END; m++)
                json_array_append_new(credentials, credential_of(m, password));
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
