/* A network in memory in the place of peer/: every function of peer/peer.h, so that the linker takes nothing of the real
 * one, on one thread. Connections between two nodes can be cut, and messages lost. What it does not do: hello and its
 * refusals, lanes (there is one), pieces of files. */
#pragma once

#include "peer/peer.h"

/* Before the first hub, and after the last one. */
void net_begin(void);
void net_end(void);
/* Nothing passes between @a and @b, in either direction. Any thread. */
void net_cut(int32_t a, int32_t b, bool is_cut);
/* Nothing passes between @node and anybody. */
void net_isolate(int32_t node, bool is_cut);
void net_heal(void);
/* One in so many messages is lost; 0: none. */
void net_lose_one_in(unsigned n);
/* Requests that were handed to services since net_begin(). */
uint64_t net_requests(void);
