/* Base64 as RFC 4648 section 4 has it, and nothing else: no line breaks, no other alphabet, bits that mean nothing are zero. */
#pragma once

#include "base/span.h"
#include "base/strbuf.h"

/* Append; latches when memory is out. At most a gigabyte. */
void base64_add(struct strbuf *out, struct span data);
/* @ret_data: has room for text.len / 4 * 3 bytes. Return: 0; -EINVAL: not well formed, and @ret_data is unspecified. */
int base64_read(struct str text, uint8_t *ret_data, size_t *ret_len);
/* The same for RFC 4648 section 5, as JSON Web Tokens have it: '-' and '_' for '+' and '/', and no padding. @ret_data: has room for
 * text.len / 4 * 3 + 3 bytes. Return: as above; -ENOMEM. */
int base64url_read(struct str text, uint8_t *ret_data, size_t *ret_len);
