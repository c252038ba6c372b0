/* See status.h. */
#include "chronikd/status.h"

#include <stdio.h>

#include "chronikd/node.h"
#include "chronikd/tally.h"
#include "sys/diag.h"
#include "sys/systemd.h"

enum { EVERY_MS = 2000 };

/* ---- in words ---- */

static const char *state_word(const struct node *n, const struct meta_broker *b, const struct tally_node *t)
{
        const char *state = b ? tally_state(b, t) : "not registered";

        if (n->stopping)
                return "stopping";
        return strcmp(state, "active") ? state : "serving";
}

static void add_partitions(struct strbuf *out, const struct tally_node *t)
{
        if (!t->replicas) {
                strbuf_add_c(out, ": no partitions");
                return;
        }
        strbuf_printf(out, ": leads %u of %u partition%s, ", t->leads, t->replicas, t->replicas == 1 ? "" : "s");
        if (t->behind)
                strbuf_printf(out, "%u not in sync", t->behind);
        else
                strbuf_add_c(out, "all in sync");
        if (t->leads_under_replicated)
                strbuf_printf(out, ", %u that it leads with too few replicas in sync", t->leads_under_replicated);
        if (t->leads_below_min_isr)
                strbuf_printf(out, " (%u refuse%s acks=all)", t->leads_below_min_isr,
                              t->leads_below_min_isr == 1 ? "s" : "");
}

static void add_controller(struct strbuf *out, const struct node *n)
{
        bool controls = n->conf->server.roles & CONF_ROLE_CONTROLLER;
        struct controller_status s;

        controller_status(n->controller, &s);
        if (controls && s.leader_id == n->led.node_id)
                strbuf_add_c(out, "; the active controller");
        else if (s.leader_id != META_NO_NODE)
                strbuf_printf(out, "; %snode %d is the active controller", controls ? "controller, " : "", s.leader_id);
        else
                strbuf_printf(out, "; %sno controller is active", controls ? "controller, " : "");
}

static void add_broker(struct strbuf *out, struct node *n)
{
        struct meta_image *image = controller_image(n->controller);
        const struct meta_broker *b = meta_image_broker(image, n->led.node_id);
        struct tally_node *own;
        struct tally t;

        if (!tally_take(image, n->conf, &t)) {
                own = tally_find(&t, n->led.node_id);
                strbuf_add_c(out, state_word(n, b, own));
                if (own)
                        add_partitions(out, own);
                tally_fini(&t);
        }
        meta_image_unref(image);
}

void status_words(struct node *n, char ret_text[STATUS_SIZE])
{
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };

        if (n->store)
                add_broker(&out, n);
        else
                strbuf_add_c(&out, n->stopping ? "stopping" : "serving");
        add_controller(&out, n);
        snprintf(ret_text, STATUS_SIZE, "%s", out.failed ? "memory is out" : out.data);
}

/* ---- to systemd ---- */

static void look(struct lookout *l)
{
        struct status *s = container_of(l, struct status, lookout);

        status_words(s->n, s->text);
}

static void looked(struct lookout *l)
{
        struct status *s = container_of(l, struct status, lookout);

        if (!strcmp(s->text, s->told))
                return;
        memcpy(s->told, s->text, sizeof s->told);
        systemd_status("%s", s->told);
}

void status_start(struct status *s, struct node *n)
{
        s->n = n;
        s->lookout.look = look;
        s->lookout.looked = looked;
        s->lookout.every_ms = EVERY_MS;
        lookout_start(&s->lookout, n->loop, n->pool);
}

/* ---- to the operator ---- */

static void add_kind(struct strbuf *out, const struct tally_kind *k, const char *is)
{
        if (k->count)
                strbuf_printf(out, "%s%u %s (%s%s)", out->len ? ", " : "", k->count, is, k->names,
                              k->count > TALLY_NAMED_MAX ? ", ..." : "");
}

void status_tell_losses(struct node *n)
{
        struct meta_image *image = controller_image(n->controller);
        CLEANUP(strbuf_finip) struct strbuf out = { 0 };
        struct tally t;

        if (!tally_take_without(image, n->conf, n->led.node_id, &t)) {
                add_kind(&out, &t.under_replicated, "with fewer replicas in sync than there should be");
                add_kind(&out, &t.below_min_isr, "with fewer than acks=all needs");
                add_kind(&out, &t.offline, "without a leader");
                tally_fini(&t);
        }
        meta_image_unref(image);
        if (out.len)
                diag(DIAG_WARN, "partitions without this node: %s", out.data);
}
