/* Inside diag: where a message goes, and what it looks like there. */
#pragma once

#include "sys/diag.h"

/* A message that is ready: @text has no control characters and is not empty. */
struct diag_message {
        enum diag_level level;
        struct str text;
        const struct diag_about *about; /* NULL: nothing in particular */
        int32_t node;                   /* -1: not known yet */
};

/* Is standard error the journal? Then it is not written to. */
bool diag_has_journal(void);
/* False: the journal does not take it. */
bool diag_put_journal(const struct diag_message *m);
/* One write(2) to standard error, so that lines of several threads do not mix. */
void diag_put_text(const struct diag_message *m);
void diag_put_json(const struct diag_message *m);
