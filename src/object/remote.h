/* Credentials that somebody gives out over HTTP: the metadata service of a machine at Amazon, STS for a web identity, OAuth for a service
 * account of Google. */
#pragma once

#include "object/keys.h"

/* Is what these credentials need configured? @ret_why: OBJECT_TEXT_SIZE bytes. Return: 0; OBJECT_BAD_CONFIG. */
int object_remote_check(const struct object_config *c, char *ret_why);
/* Read files and sign, on the I/O pool: fills k->secret and k->url, or k->why. Return: 0; OBJECT_BAD_CREDENTIALS; -ENOMEM. */
int object_remote_prepare(struct object_keys *k);
/* Ask, on the store's loop. @done gets 0 with k->read, or a failure with k->why. */
void object_remote_start(struct object_keys *k, void (*done)(struct object_keys *k, int result));

/* What they answer; pure. Return: 0; OBJECT_BAD_CREDENTIALS: it is not such an answer. */
int object_remote_read_instance(struct span body, struct object_credentials *ret_credentials);
int object_remote_read_sts(struct span body, struct object_credentials *ret_credentials);
int object_remote_read_oauth(struct span body, int64_t now_ms, struct object_credentials *ret_credentials);

/* A signed claim that the holder of a service account's key asks for access to storage (RFC 7523), from the JSON of the key.
 * @ret_assertion: free() it. @ret_endpoint: where the key's file says that it is to be sent.
 * Return: 0; OBJECT_BAD_CREDENTIALS: it is no such file; -ENOMEM. */
int object_remote_assertion(struct str json, int64_t now_ms, const char *audience, char **ret_assertion,
                            char *ret_endpoint, size_t size);
