/* Commands of the audit log: its newest entries, and whether it is whole; of a node that runs, or of files of one that need not. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl.h"
#include "security/audit_folder.h"
#include "sys/file.h"

static int unreadable(const char *path, int error)
{
        fprintf(stderr, "chronik-ctl: %s: %s\n", path, strerror(-error));
        return CTL_FAILED;
}

/* ---- list ---- */

static int gather_line(void *arg, struct str line)
{
        json_t *one = json_loadb(line.p, line.len, 0, NULL);

        json_array_append_new(arg, one ? one : json_string("This is no entry: see 'audit verify'."));
        return 0;
}

static int gather_file(const char *path, json_t *list)
{
        int64_t torn;
        int r = audit_file_each(path, gather_line, list, &torn);

        return r ? unreadable(path, r) : CTL_OK;
}

/* All entries of a folder or of a file. */
static int gather(const char *path, json_t *list)
{
        uint64_t *files = NULL;
        struct file_info info;
        size_t count = 0;
        int r = file_info(path, &info), status = CTL_OK;

        if (!r && !info.is_dir)
                return gather_file(path, list);
        if (!r)
                r = audit_folder_list(path, &files, &count);
        if (r)
                return unreadable(path, r);
        for (size_t i = 0; i < count && !status; i++) {
                char file[AUDIT_PATH_SIZE];

                audit_folder_file(path, files[i], file);
                status = gather_file(file, list);
        }
        free(files);
        return status;
}

static void print_entries(json_t *list)
{
        static const char *const titles[] = { "NUMBER>",   "TIME",     "KIND", "PRINCIPAL", "HOST",
                                              "OPERATION", "RESOURCE", "NAME", "OUTCOME" };
        struct table *t = table_new(titles, ARRAY_LEN(titles));
        json_t *e;
        size_t i;

        json_array_foreach (list, i, e) {
                char time[32];

                cell_number(t, e, "seq");
                table_cell(t, "%s", table_time(number_of(e, "time_ms"), time));
                table_cell(t, "%s", json_is_string(e) ? "damaged" : text_of(e, "kind"));
                table_cell(t, "%s", text_of(e, "principal"));
                table_cell(t, "%s", text_of(e, "host"));
                table_cell(t, "%s", text_of(e, "operation"));
                table_cell(t, "%s", text_of(e, "resource"));
                table_cell(t, "%s", text_of(e, "name"));
                table_cell(t, "%s", text_of(e, "outcome"));
        }
        table_print(t);
}

int audit_list(struct ctl *c, const char *path)
{
        json_t *answer;
        int status;

        if (path) {
                json_t *list = json_array();

                status = gather(path, list);
                answer = json_pack("{s:o}", "entries", list);
                if (!status && c->json)
                        print_json(answer);
        } else if (!ask(c, "GET", "/v1/audit/entries", NULL, NULL, &answer, &status)) {
                return status;
        }
        if (!status && !(path && c->json))
                print_entries(json_object_get(answer, "entries"));
        json_decref(answer);
        return status;
}

/* ---- verify ---- */

static void print_fault(const json_t *r)
{
        printf("damaged: %s\n", text_of(r, "why"));
        printf("%s, line %" JSON_INTEGER_FORMAT ", where entry %" JSON_INTEGER_FORMAT " is expected",
               text_of(r, "file"), number_of(r, "line"), number_of(r, "expected"));
        if (json_object_get(r, "found"))
                printf(" and entry %" JSON_INTEGER_FORMAT " is found", number_of(r, "found"));
        if (json_object_get(r, "must_reach"))
                printf("; there was an entry %" JSON_INTEGER_FORMAT, number_of(r, "must_reach"));
        printf("\n%" JSON_INTEGER_FORMAT " entries before it are as they were written, %" JSON_INTEGER_FORMAT
               " is the last that is signed\n",
               number_of(r, "entries"), number_of(r, "signed_to"));
}

static void print_key_changes(const json_t *r)
{
        json_t *change;
        size_t i;

        json_array_foreach (json_object_get(r, "key_changes"), i, change) {
                char time[32];

                printf("the key changed with entry %" JSON_INTEGER_FORMAT
                       " of %s, which the one before has signed, to %s\n",
                       number_of(change, "entry"), table_time(number_of(change, "time_ms"), time),
                       text_of(change, "public_key"));
        }
}

static void print_report(const struct ctl *c, const json_t *r)
{
        if (!is_true(r, "whole")) {
                print_fault(r);
                return;
        }
        printf("whole: entries %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT " of node %" JSON_INTEGER_FORMAT
               ", signed up to %" JSON_INTEGER_FORMAT " by %s\n",
               number_of(r, "first"), number_of(r, "last"), number_of(r, "node"), number_of(r, "signed_to"),
               text_of(r, "public_key"));
        print_key_changes(r);
        if (number_of(r, "dropped"))
                printf("%" JSON_INTEGER_FORMAT " entries were dropped, as it says itself\n", number_of(r, "dropped"));
        if (number_of(r, "unfinished_bytes"))
                printf("%" JSON_INTEGER_FORMAT " bytes at the end are of an entry that is not written to its end\n",
                       number_of(r, "unfinished_bytes"));
        if (!is_true(r, "end_is_known"))
                fputs("chronik-ctl: of a single file nobody knows where it must end; give the folder\n", stderr);
        if (!c->public_key)
                fputs("chronik-ctl: the key was believed; --public-key says which one to believe\n", stderr);
}

/* "KEY,KEY": oldest first. Return: how many; 0: they are none, or too many. */
static size_t keys_read(const char *text, uint8_t keys[AUDIT_KEYS_MAX][AUDIT_KEY_LEN])
{
        size_t count = 0;

        for (;;) {
                size_t len = strcspn(text, ",");

                if (count == AUDIT_KEYS_MAX || !audit_unhex((struct str){ text, len }, keys[count], AUDIT_KEY_LEN))
                        return 0;
                count++;
                if (!text[len])
                        return count;
                text += len + 1;
        }
}

static int verify_path(const char *path, const uint8_t (*keys)[AUDIT_KEY_LEN], size_t count, json_t **ret)
{
        struct strbuf text = { 0 };
        struct audit_report report;
        int r = audit_folder_check(path, count ? keys : NULL, count, &report);

        if (r)
                return unreadable(path, r);
        audit_report_write(&report, &text);
        *ret = text.failed ? NULL : json_loadb(text.data, text.len, 0, NULL);
        strbuf_fini(&text);
        return *ret ? CTL_OK : unreadable(path, -ENOMEM);
}

/* What a node says of its own log is believed, but for the key: it has to be the last of those that were given. */
static bool is_signed_by(const json_t *report, const uint8_t key[AUDIT_KEY_LEN])
{
        char text[AUDIT_KEY_HEX_SIZE];

        audit_hex(key, AUDIT_KEY_LEN, text);
        return !strcmp(text_of(report, "public_key"), text);
}

int audit_verify(struct ctl *c, const char *path)
{
        uint8_t keys[AUDIT_KEYS_MAX][AUDIT_KEY_LEN];
        size_t count = c->public_key ? keys_read(c->public_key, keys) : 0;
        json_t *report;
        int status;

        if (c->public_key && !count)
                return ctl_usage(
                        "--public-key %s: 64 digits are needed, as GET /v1/audit tells them, or several such with "
                        "commas between them, oldest first",
                        c->public_key);
        status = path ? verify_path(path, (const uint8_t(*)[AUDIT_KEY_LEN])keys, count, &report)
                      : ctl_ask(c, "GET", "/v1/audit/verify", NULL, &report);
        if (status)
                return status;
        if (c->json)
                print_json(report);
        else
                print_report(c, report);
        status = is_true(report, "whole") ? CTL_OK : CTL_DAMAGED;
        if (!status && count && !is_signed_by(report, keys[count - 1])) {
                fputs("chronik-ctl: it is signed by another key than --public-key\n", stderr);
                status = CTL_DAMAGED;
        }
        json_decref(report);
        return status;
}

/* ---- another key ---- */

int audit_rotate_key(struct ctl *c, const char *arg)
{
        json_t *answer;
        int status;

        (void)arg;
        if (!ask(c, "POST", "/v1/audit/key", NULL, NULL, &answer, &status))
                return status;
        printf("the audit log of this node is signed by another key from now on. Keep both public keys, in this order, "
               "elsewhere than "
               "the log:\n\n%s,%s\n",
               text_of(answer, "earlier_public_key"), text_of(answer, "public_key"));
        json_decref(answer);
        return CTL_OK;
}
