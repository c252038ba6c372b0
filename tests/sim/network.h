/* A network between machines: stands in for sys/sock.c. Bytes of a connection arrive in order, after a while, or never: links
 * can be cut in one direction or both, slowed down, and connections reset. What TCP would send again after a cut arrives
 * after it has healed. A peer that lost its power says nothing; who sends to it then learns of it only when it is up again,
 * or after minutes. Buffers are finite. Addresses are 10.0.0.NUMBER of the machine. */
#pragma once

#include "fiber.h"
#include "sys/sock.h"

struct loop_io;

/* ---- for the fakes ---- */

/* Who is to be woken when the socket is ready; NULL: nobody. */
void network_watch(int fd, struct loop_io *w);
/* LOOP_READ | LOOP_WRITE as of now. */
int network_ready(int fd);
/* A process ended. @tells: its peers are told, as a kernel does; else it vanishes. */
void network_end(struct machine *m, bool tells);
unsigned network_open_count(const struct machine *m);
/* Close a socket. False: @fd is none. */
bool network_close(int fd);

/* ---- for clients: on a fiber ---- */

/* Wait until the socket can be read, or written, or it is @until_ns. */
void network_wait(int fd, int events, int64_t until_ns);
/* "10.0.0.N:port". */
struct sock_address network_address(const struct machine *m, uint16_t port);
/* Which machine; NULL: none has this address. */
struct machine *network_machine(const char *host);

/* ---- what is done to it ---- */

/* Nothing gets from @from to @to, until it is healed. */
void network_cut(const struct machine *from, const struct machine *to, bool cut);
void network_heal_all(void);
/* Is any way cut? */
bool network_is_cut(void);
/* Each way between two machines takes from @ns to four times as much. */
void network_set_latency(int64_t ns);
/* Reset one connection of the machine's, if it has any. */
bool network_reset_one(const struct machine *m);

struct network_stats {
        uint64_t connects, connects_failed, resets, bytes;
};
extern struct network_stats network_stats;
