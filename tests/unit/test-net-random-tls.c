/* Goal: what test-net-random.c says, over TLS. Method: the same peers through tunnels, some of which renew their keys.
 */
#define TEST_TLS
#include "test-net-random.c"
