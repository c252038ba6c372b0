/* What the files that host the controller share: controller.c (life, requests in and answers out), active.c (deciding),
 * abilities.c (what programs can do), forward.c (asking the active controller of another node), service.c (askers on other nodes). All of it belongs to the
 * controller's loop, but for what says otherwise. */
#pragma once

#include <stdatomic.h>

#include "controller/controller.h"

struct controller_forward;

#define CONTROLLER_PEER_KEY 10040 /* of the message between nodes that marshal.h describes */

struct controller {
        struct controller_rules rules;
        struct conf *conf;
        struct controller_memory memory;
        struct random_source random;
        struct loop *loop;
        struct quorum *quorum;     /* or */
        struct observer *observer; /* exactly one of the two */
        char *cluster_id;          /* configured, or NULL */
        struct meta_publisher publisher;
        struct peer_hub *hub; /* NULL: alone */

        /* On the loop. */
        bool role_known, active, stopping, quorum_stopping, quorum_stopped, stopped;
        int32_t term, leader_id;
        struct meta_image *decided;
        unsigned in_flight;     /* proposals */
        int64_t last_index;     /* of the newest proposal */
        struct ilist waiting;   /* until a role is known */
        struct ilist pending;   /* for the commit, and for the metadata to come here */
        struct ilist forwards;  /* forward.c */
        unsigned voter_changes; /* in work: voters.c */
        struct loop_timer round_timer;
        int64_t balance_ms; /* when to balance next */
        int64_t sweep_ms;   /* when to remove delegation tokens that have ended */
        struct mail start_mail, answer_mail;
        bool answer_posted;
        uint64_t requests;

        struct mail stop_mail, stopped_mail;
        struct loop *stop_loop;
        void (*stop_done)(void *arg);
        void *stop_arg;
        bool running;     /* the thread was started */
        atomic_bool deaf; /* no mail is taken any more */

        pthread_mutex_t lock; /* guards @status; innermost */
        struct controller_status status;
};

/* ---- controller.c ---- */

void controller_update_status(struct controller *c);
/* The image of all that is committed and applied here; one reference. */
struct meta_image *controller_applied(const struct controller *c);
/* Answer @rq, which is in no list: as it is filled in, or as a whole. @message: static, or in its memory. */
void controller_answer(struct controller_request *rq);
void controller_answer_whole(struct controller_request *rq, enum controller_outcome outcome, const char *message);
/* Look soon at those that are pending. */
void controller_answer_soon(struct controller *c);
/* The request is decided: answer it when what it changed or saw is here. */
void controller_pend(struct controller *c, struct controller_request *rq);

/* ---- active.c ---- */

void controller_active_init(struct controller *c);
/* This node leads from now on, or does not any more. */
void controller_activate(struct controller *c);
void controller_deactivate(struct controller *c);
/* The connection over which a broker sent heartbeats broke. */
void controller_link_lost(struct controller *c, int32_t broker_id);
/* Decide @rq now. Answers it, or lets it wait for the commit. */
void controller_decide(struct controller *c, struct controller_request *rq);
/* Is the metadata @image that of the cluster that the configuration names, if it does? */
bool controller_cluster_is_ours(const struct controller *c, const struct meta_image *image);

/* ---- abilities.c ---- */

/* Have @d know what the other controllers can do. Return: 0 or -ENOMEM. */
int controller_abilities(struct controller *c, struct decision *d);
/* Can this program do what the cluster has agreed on? False: @why says what it cannot. Any thread. */
bool controller_can(const struct controller_rules *rules, const struct meta_image *image, char *why, size_t why_size);

/* ---- forward.c ---- */

/* Bring @rq to the active controller, wherever it is or will be. */
void controller_forward(struct controller *c, struct controller_request *rq);
/* The active controller may be another one: those that wait try again. */
void controller_forward_retry(struct controller *c);
/* This node stops: answer those that wait. True when none is on its way any more. */
bool controller_forward_stop(struct controller *c);

/* ---- voters.c ---- */

/* Answer @rq when it asks something of the quorum itself. Return: false when it does not. */
bool controller_ask_quorum(struct controller *c, struct controller_request *rq);
