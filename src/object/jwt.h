/* See remote.h: the claim of a service account. */
#pragma once

#include "base/span.h"

/* Sign @claims (JSON) with the RSA key @pem: a JSON Web Token with RS256 (RFC 7515). @ret_token: free() it.
 * Return: 0; -EINVAL: @pem is no RSA key; -ENOMEM. */
int object_jwt_sign(const char *pem, const char *claims, char **ret_token);
