/* Shared Key, the signature of Azure Storage. Pure; any thread. */
#pragma once

#include "object/call.h"

/* What is signed, as "Authorize with Shared Key" has it for requests as of 2015-02-21 and newer. @rq is sorted.
 * Return: 0; -ENOMEM. */
int object_azure_string_to_sign(const struct object_request *rq, struct str account, struct strbuf *out);

/* Sign with cred->access_key, the account, and cred->secret_key, its key in base64: adds "x-ms-date" and "authorization".
 * Return: 0; OBJECT_BAD_CREDENTIALS: the key is no base64; -ENOMEM; -E2BIG. */
int object_azure_sign(struct object_request *rq, const struct object_credentials *cred, int64_t wall_ms);
