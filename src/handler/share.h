/* What the files of share groups share (KIP-932). */
#pragma once

#include "handler/group_ask.h"

/* Is share.version finalised at 1? Until then a node that does not know their records may be the next coordinator. */
bool share_is_enabled(const struct rq *rq);
/* For people, who ask while it is not. */
#define SHARE_DISABLED "Share groups are not enabled: finalise share.version at 1."
