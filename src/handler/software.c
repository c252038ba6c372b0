#include "handler/software.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

void client_software_note(struct net_conn *c, struct str name, struct str version)
{
        struct client_software *s = net_conn_user(c);

        if (!s)
                s = calloc(1, sizeof *s);
        if (!s)
                return;
        name = utf8_clip(name, CLIENT_SOFTWARE_LEN_MAX);
        version = utf8_clip(version, CLIENT_SOFTWARE_LEN_MAX);
        snprintf(s->name, sizeof s->name, "%.*s", STR_FMT(name));
        snprintf(s->version, sizeof s->version, "%.*s", STR_FMT(version));
        net_conn_set_user(c, s);
}

const struct client_software *client_software_of(const struct net_conn *c)
{
        return net_conn_user(c);
}

void client_software_close(void *owner, struct net_conn *c, const char *reason)
{
        (void)owner;
        (void)reason;
        free(net_conn_user(c));
        net_conn_set_user(c, NULL);
}
