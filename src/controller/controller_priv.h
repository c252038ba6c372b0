/* What the files of the controller's host share: controller.c (requests), rounds.c (what it does by itself), abilities.c. */
#pragma once

#include "controller/controller.h"

struct controller {
        struct controller_rules rules;
        struct conf *conf;
        struct controller_memory memory;
        struct random_source random;
        struct loop *loop;
        struct quorum *quorum;
        char *cluster_id;            /* configured, or NULL */
        struct abilities *abilities; /* what rules.controllers points into */
        struct meta_publisher publisher;

        /* On the loop. */
        bool role_known, active, stopping, quorum_stopped, stopped;
        int32_t term;
        struct meta_image *decided;
        unsigned in_flight; /* proposals */
        int64_t last_index; /* of the newest proposal */
        struct ilist waiting;
        struct ilist pending;
        struct loop_timer round_timer;
        int64_t lease_ms;   /* when the next lease ends */
        int64_t balance_ms; /* when to balance next */
        struct mail start_mail, answer_mail;
        bool answer_posted;
        uint64_t requests;

        struct mail stop_mail, stopped_mail;
        struct loop *stop_loop;
        void (*stop_done)(void *arg);
        void *stop_arg;
        bool running; /* the thread was started */

        pthread_mutex_t lock; /* guards @status; innermost */
        struct controller_status status;
};

/* A proposal that no request waits for. */
struct own_proposal {
        struct controller *controller;
        struct quorum_proposal proposal;
};

/* Begin a decision on top of all decided before it. Text and arrays come from @mem. Return: 0 or -ENOMEM. */
int controller_decision_start(struct controller *c, struct decision *d, struct arena *mem);
/* Propose what was decided and nobody waits for. Return: as quorum_propose(); 0 when there is nothing. */
int controller_propose_own(struct controller *c, struct decision *d);

/* The rounds: on the loop. Init once; start when this node became active, stop when it is that no more. */
void controller_rounds_init(struct controller *c);
void controller_rounds_start(struct controller *c);
void controller_rounds_stop(struct controller *c);

/* NULL is fine. Returns NULL. */
struct abilities *controller_abilities_free(struct abilities *a);
