/* HOST:PORT, and the list of controllers, as text. Pure. */
#pragma once

#include "base/span.h"
#include "conf/row.h"

/* Split HOST:PORT or [V6]:PORT. A host is a name of at most 253 characters, a number, or "*".
 * @ret_host  without brackets; borrowed from @text. Return: false when it is neither; nothing is set then. */
bool conf_address_split(struct str text, struct str *ret_host, uint16_t *ret_port);

/* One controller of cluster.controllers: ID@HOST:PORT. */
struct conf_controller {
        int32_t id;
        struct str host; /* without brackets; borrowed from the list */
        uint16_t port;   /* not 0 */
};

/* Take the first one off @list, with the comma behind it.
 * Return: 1 taken; 0 the list is empty; -1 what comes first is not of that form. */
int conf_controllers_next(struct str *list, struct conf_controller *ret);

enum {
        CONF_CONTROLLERS_MAX = 15
}; /* in a list; a group of more would wait for more disks at each commit and survive no more */

/* Read the whole list (empty: none). Return: their number; -1 when the text is not such a list, or names one twice. */
int conf_controllers_parse(struct str list, struct conf_controller ret[CONF_CONTROLLERS_MAX]);
