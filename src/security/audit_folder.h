/* The audit log on disk, for who reads it: a running node, or an operator without one. Blocks; any thread. */
#pragma once

#include "security/audit_check.h"

enum { AUDIT_PATH_SIZE = 1400 };

/* Call @fn for each line of the file, without its newline; the bytes behind the last newline, if there are any, are no line: @ret_torn
 * is how many. A non-zero return of @fn ends it and is returned. Return: 0; -EFBIG: a line is too long; other negative errno. */
int audit_file_each(const char *path, int (*fn)(void *arg, struct str line), void *arg, int64_t *ret_torn);

/* The files in @dir, as the numbers of their first entries, rising. free(*ret_files). Return: 0 or negative errno. */
int audit_folder_list(const char *dir, uint64_t **ret_files, size_t *ret_count);
void audit_folder_file(const char *dir, uint64_t first, char path[AUDIT_PATH_SIZE]);
/* What must be there. Return: 0; -ENOENT: nothing says so; -EINVAL, @ret_fault says why; other negative errno. */
int audit_folder_head(const char *dir, struct audit_head *ret_head, enum audit_fault *ret_fault);

struct audit_report {
        enum audit_fault fault;
        struct audit_check check;   /* how far it came */
        char path[AUDIT_PATH_SIZE]; /* of the file at fault, or of the last one */
        uint64_t line;              /* in it */
        int64_t torn_bytes;         /* of an entry that is not written to its end, behind what must be there */
};

/* Check a folder, which a node may be writing to, or (when @path is a file) that file alone, of which nobody knows where it must end.
 * @keys: as in struct audit_check. Return: 0 with @ret; negative errno: it cannot be read. */
int audit_folder_check(const char *path, const uint8_t (*keys)[AUDIT_KEY_LEN], size_t keys_count,
                       struct audit_report *ret);
/* Append @r as a JSON object. Latches when memory is out. */
void audit_report_write(const struct audit_report *r, struct strbuf *out);
