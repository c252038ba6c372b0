/* Goal: what test-net-cold.c says, over TLS. Method: the same tests through tunnels. */
#define TEST_TLS
#include "test-net-cold.c"
