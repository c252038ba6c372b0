/* uthash, with a hash function that both compilers accept: the one it comes with falls through cases of a switch in the
 * macro's expansion, which clang reports as ours. */
#pragma once

#define HASH_FUNCTION(key, len, ret_hash) HASH_FNV(key, len, ret_hash)
#include <uthash.h>
