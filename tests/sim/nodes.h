/* The nodes of a simulated cluster: each is chronikd's node on a machine. */
#pragma once

#include "machine.h"

struct node;

enum { NODES_MAX = 8, KAFKA_PORT = 9092, PEER_PORT = 9093 };

enum layout {
        LAYOUT_TOGETHER, /* all keep records, the first three are controllers, too */
        LAYOUT_SPLIT,    /* the first three are controllers and nothing else */
        LAYOUT_SPARE,    /* the first five, of which the first three vote at the beginning */
        LAYOUTS
};

struct node_host {
        struct machine *machine;
        int id; /* node.id */
        bool is_controller, is_ingest;
        bool may_wait; /* it has nothing to do until it is made a voter */
        /* Of the process that runs. */
        bool is_ready;
        bool is_stopping;
        unsigned ready_count; /* times that it became ready */
        /* To be started again after its end. */
        bool is_wanted;
        /* What its disk lost may still come to light: see node_host_lost(). */
        bool is_unsure;
};

extern struct node_host nodes[NODES_MAX];
extern unsigned nodes_count;

/* Machines for @count nodes, which are off, and one fiber each that starts the node whenever it is wanted and does not run. */
void nodes_new(unsigned count, enum layout layout);
/* On a fiber: wait until the nodes that are wanted are ready. False: it took longer than @ns. */
bool nodes_wait_ready(int64_t ns);
/* NULL: it does not run. */
struct node *node_that_runs(unsigned i);
/* Say in the trace what every node knows of every partition. On a fiber. */
void nodes_say(void);
/* Its disk lost, or may have lost, what was not synced. That comes to light only when it is back, and may lead before the others
 * know: until a little later nothing is promised of what it may have lost. */
void node_host_lost(struct node_host *h);
/* Tell it to stop in good order, as SIGTERM does. It is not wanted any more. */
void node_host_stop(struct node_host *h);
