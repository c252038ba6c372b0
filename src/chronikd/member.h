/* A node as a member of its cluster: registration, the metadata that it follows from then on, heartbeats, and leaving in good
 * order (KIP-631). For nodes with the role ingest. Everything on the main loop. */
#pragma once

#include "chronikd/levels.h"
#include "conf/listener.h"
#include "controller/controller.h"
#include "meta/publish.h"

struct node;

/*  NEW --member_start--> REGISTERING --accepted, metadata is as new as that--> SERVING --member_leave--> LEAVING
 *                            ^                                                   |
 *                            +--the controller does not know the registration----+
 *   each --member_stop--> LEFT */
enum member_state { MEMBER_NEW, MEMBER_REGISTERING, MEMBER_SERVING, MEMBER_LEAVING, MEMBER_LEFT };

enum { MEMBER_ENDPOINTS_MAX = CONF_LISTENERS_MAX + 1 };

struct member {
        struct node *n;
        enum member_state state;
        bool follows;     /* @subscriber is subscribed */
        bool is_asking;   /* @rq is on its way */
        bool losses_told; /* of this registration */
        struct meta_subscriber subscriber;
        struct controller_request rq; /* registration and heartbeats, one at a time */
        struct arena mem;
        struct controller_register_broker registration;
        struct controller_heartbeat heartbeat;
        struct rec_broker_endpoint endpoints[MEMBER_ENDPOINTS_MAX];
        struct rec_broker_feature features[LEVELS_MAX];
        struct uuid directory;
        struct loop_timer timer;
        int64_t asked_ms;   /* when the heartbeat on its way began */
        int64_t refused_ms; /* since when registration has been refused; 0: it is not */
        int64_t leave_ms;   /* until when leadership may be moved away */
        unsigned unheard;   /* heartbeats while leaving that no active controller answered */
        void (*left)(void *arg);
        void *arg;
};

/* Register, follow the metadata, and renew the lease until member_stop(). What cannot be mended by waiting ends the process. */
void member_start(struct member *m, struct node *n);
/* Have what this node leads led by others, for some seconds at most, then call @left once; at once when there are no others. */
void member_leave(struct member *m, void (*left)(void *arg), void *arg);
/* Ask nothing any more. */
void member_stop(struct member *m);
void member_fini(struct member *m);

/* For struct led, @node being the struct node: what the image at @index asks for is done. */
void member_applied(void *node, int64_t index);
