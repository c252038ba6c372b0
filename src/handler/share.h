/* What the files of share groups share (KIP-932). */
#pragma once

#include "handler/group_ask.h"

/* Is share.version finalised at 1? Until then a node that does not know their records may be the next coordinator. */
bool share_is_enabled(const struct rq *rq);
/* For people, who ask while it is not. */
#define SHARE_DISABLED "Share groups are not enabled: finalise share.version at 1."

/* Not in the table of APIs yet (apis.h): members have nothing to fetch with. */
struct rq;
void handler_share_group_heartbeat(struct rq *rq);
void handler_share_group_describe(struct rq *rq);
void handler_describe_share_group_offsets(struct rq *rq);
void handler_alter_share_group_offsets(struct rq *rq);
void handler_delete_share_group_offsets(struct rq *rq);
