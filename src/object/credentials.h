/* Credentials and where they are read from. Those that are asked for over HTTP are in remote.h. */
#pragma once

#include "object/object.h"

enum { OBJECT_CREDENTIAL_MAX = 4096 };

/* A set of credentials; counted by nobody: copied where it is kept. Text is NUL-terminated, "" for what there is not. */
struct object_credentials {
        char access_key[256];              /* Azure: the account */
        char secret_key[256];              /* Azure: its key, in base64 */
        char token[OBJECT_CREDENTIAL_MAX]; /* S3: of the session; Google: OAuth's; Azure: the SAS */
        int64_t expires_ms;                /* 0: not known */
};

/* Read the text of a credentials file: KEY = VALUE lines in sections [profile], as the AWS command line keeps them. Before the first
 * section, or without any, every line counts. @profile: NULL is "default". Unknown names are skipped. Pure.
 * Return: 0; -ENOENT: no such profile, or it lacks a key; -EINVAL: a value is too long. */
int object_credentials_parse(struct str text, const char *profile, struct object_credentials *ret_credentials);

/* Read credentials from text, environment, file or systemd, whatever @c says. Blocks for a small file.
 * @ret_why: OBJECT_TEXT_SIZE bytes. Return: 0; OBJECT_BAD_CREDENTIALS; OBJECT_BAD_CONFIG. */
int object_credentials_read(const struct object_config *c, struct object_credentials *ret_credentials, char *ret_why);

/* The path of the file that they are in; "" if they are in none. */
void object_credentials_path(const struct object_config *c, char *ret_path, size_t size);
