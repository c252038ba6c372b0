/* Machines: each has a disk, clocks, chance and a place in the network of its own, and a process that ends by itself, by a
 * kill or with the power. Stands in for sys/clock.c, diag.c, loop.c, memory.c, process.c, systemd.c (machine_*.c), for
 * sys/sock.c (network.c) and for meta/store.c (machine_store.c: LMDB has its own way to the kernel).
 *
 * Memory of a process that did not end by itself is not given back: a run is a process, and short. */
#pragma once

#include "disk.h"
#include "fiber.h"

struct meta_image;

enum { MACHINE_NAME_SIZE = 16, MACHINES_MAX = 32 };

struct machine {
        int number; /* its address is 10.0.0.NUMBER */
        char name[MACHINE_NAME_SIZE];
        struct ilist fibers, held; /* fiber.c's */
        bool is_stopped;           /* SIGSTOP; held by machine_stop() */
        bool is_up;                /* a process runs */
        bool lost_power;           /* that is how the last one ended */
        unsigned lives;            /* processes so far */
        int exit_status;           /* of the last process; -1: killed */
        struct fiber_queue ended;  /* who waits for the process to end */
        struct disk *disk;         /* NULL: none */
        struct meta_image *image;  /* what the metadata store holds; outlives the process */
        struct chance chance;

        /* Clocks. */
        int64_t base_ns;      /* sim_now() at which... */
        int64_t base_mono_ns; /* ...this was the monotonic clock */
        int32_t drift_ppm;    /* it runs faster by this */
        int64_t wall_ahead_ms;

        /* How long the disk takes; what a sync takes is up to twice as much. */
        int64_t sync_ns, read_ns;
        bool store_full; /* the metadata store finds no room */

        void (*on_end)(struct machine *m); /* the process has ended in any way */
        void *user;
};

/* A machine that is on, with nothing on its disk. Lives as long as the process. */
struct machine *machine_new(const char *name, bool with_disk);
/* All of them. */
unsigned machines_count(void);
struct machine *machine_of(unsigned i);

/* Run @main as its process, when none runs. */
void machine_start(struct machine *m, void (*main)(void *arg), void *arg);
/* The process ends where it is: SIGKILL, or what the kernel does at its end. */
void machine_kill(struct machine *m);
/* The power goes and comes back: what was not synced is there or not. Its peers are not told. */
void machine_cut_power(struct machine *m);
/* SIGSTOP and SIGCONT. */
void machine_stop(struct machine *m);
void machine_continue(struct machine *m);
/* How long its disk takes from now on, about; 0: as at first. */
void machine_set_disk(struct machine *m, int64_t sync_ns, int64_t read_ns);
/* Its clock runs faster by @ppm from now on; the wall clock jumps by @ms. */
void machine_set_drift(struct machine *m, int32_t ppm);
void machine_jump(struct machine *m, int64_t ms);
/* The process says that it has ended by itself, as by return from main. On its own fiber; returns. */
void machine_has_ended(struct machine *m);

/* fiber.c: what runs from now on runs on @m; NULL: on none. */
void machine_enter(struct machine *m);
/* The one that runs, or NULL. */
struct machine *machine_here(void);

/* Its monotonic clock; and when the world is to be at when that shows @mono_ns. */
int64_t machine_mono_ns(const struct machine *m);
int64_t machine_when(const struct machine *m, int64_t mono_ns);

/* machine_loop.c: a descriptor became readable or writable for the loop that watches it. */
struct loop_io;
void machine_loop_wake(struct loop_io *w);

/* machine_diag.c: with SIM_TRACE set all is told at once, else the last lines when a run fails. */
void world_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void world_print_last(void);
/* A line of the nodes that no run may have. */
void world_forbid(const char *part);
/* Called with every line that a node says; may be NULL. */
extern void (*world_heard)(const char *line);
/* A number that is a function of everything said so far: two runs of a seed have the same. */
uint64_t world_hash(void);
/* The run has failed: says so, how to have it again, and ends the process. */
_Noreturn void world_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Printed by world_fail(). */
void world_set_command(const char *text);
