/* UTF-8 that is well formed, as RFC 3629 has it: what peers send as text need not be. */
#pragma once

#include "base/span.h"
#include "base/strbuf.h"

/* Bytes of the character at the front of @s (not empty): 1 to 4, or 0 when it is not well formed. */
unsigned utf8_char_len(struct str s);
bool utf8_is_valid(struct str s);
/* The front of @s, at most @len_max bytes of it, that does not end within a character. Null stays null. */
struct str utf8_clip(struct str s, size_t len_max);
/* Append @s with U+FFFD in place of each byte that is not part of a character. */
void utf8_add_clean(struct strbuf *out, struct str s);
